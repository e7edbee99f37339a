"""The dock widgets: a form, a run panel, and the run between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QFrame, QScrollArea, QShortcut, QVBoxLayout, QWidget

from napari_dip.errors import InputError
from napari_dip.tasks import task_named
from napari_dip.viewer.activity import Activity
from napari_dip.viewer.connections import LayerWatch, Links
from napari_dip.viewer.ended import Kept, in_words
from napari_dip.viewer.form import Form
from napari_dip.viewer.layers import is_users_own, itself
from napari_dip.viewer.live_layer import LiveLayer
from napari_dip.viewer.messages import Done, Failed, Job, Outcome, Report
from napari_dip.viewer.number_boxes import signals_of
from napari_dip.viewer.queue import Queue, Turn
from napari_dip.viewer.result_panel import ResultPanel, is_result
from napari_dip.viewer.run_panel import RunPanel
from napari_dip.viewer.runner import BUSY, ENDING, Runner, busy, load_engine, make_run
from napari_dip.viewer.snapshots import Snapshots
from napari_dip.viewer.widgets import on_the_form

if TYPE_CHECKING:
    from napari_dip.restore import Run

WIDTH, WIDEST = 350, 520
LEAST_MORE = 50
"""Iterations that a run goes on for at the least."""
ENDING_EARLY = ("fast", "best")
"""Presets that end by themselves, in denoising."""
LOOK = 200
"""Milliseconds between two looks at whether another restoration has ended."""
LOAD_AFTER = 300
"""Milliseconds after which the engine is loaded: the dock is shown first."""


class Dock(QWidget):  # type: ignore[misc]
    """One task in the viewer; a class for each, since napari wants one for each widget of the manifest.

    Parameters
    ----------
    napari_viewer : napari viewer
        Napari gives it to whatever names it so.
    restore_steps : callable
        Makes a run, as `napari_dip.restore_steps` does.
    """

    task = ""
    """Its name in `napari_dip.tasks.TASKS`."""

    def __init__(self, napari_viewer: ViewerModel, restore_steps: Callable[..., Run] = make_run):
        super().__init__()
        self.viewer, self.panel = napari_viewer, RunPanel()
        self.form = Form(napari_viewer, task_named(self.task))
        self.results = ResultPanel(napari_viewer, self.form)
        self.runner = Runner(self._reported, self._ended, restore_steps)
        self.live: LiveLayer | None = None
        self.kept: Kept | None = None
        self.results.run_of = self._run_of
        self.queue, self.snapshots = Queue(), Snapshots()
        self.activity: Activity | None = None
        self.links, self.watch = Links(), LayerWatch(self)
        self._docked = False
        self.waiting = QTimer(self)
        self.waiting.setInterval(LOOK)
        self.next_turn = QTimer(self)
        self.next_turn.setInterval(LOOK)
        self.next_turn.setSingleShot(True)
        self.next_turn.timeout.connect(self._next)
        self._arrange()
        self._connect()
        self._refresh()
        QTimer.singleShot(LOAD_AFTER, load_engine)

    def run(self) -> None:
        """Start a restoration of what the form says."""

        def read() -> tuple[Job, dict[str, Any], Any]:
            job = self.form.job()
            self.form.remember()
            return (*job, self.form.image.value)

        self._start(read)

    def try_it(self) -> None:
        """Restore only what is in view, in seconds, as the form says."""
        self._start(lambda: (*self.form.job(in_view=True), self.form.image.value))

    def run_selected(self) -> None:
        """Restore all selected images one after the other, each as the form says now."""
        before, turns = self.form.image.value, []
        try:
            for layer in self._selected_images():
                self.form.image.value = layer
                turns.append(Turn(*self.form.job(), self._while_there(layer), str(layer.name)))
        except InputError as error:
            self.panel.say(f"{layer.name}: {error}")
            show_warning(f"{layer.name}: {error}")
            return
        finally:
            self.form.image.value = before
        self.queue.add(turns)
        self._next()

    def _next(self) -> None:
        """Begin with the next layer of the queue, unless something is at work here."""
        if self.runner.control is not None or not self.queue.waiting:
            return
        if busy():  # elsewhere, or one that was cancelled comes to its end
            self.next_turn.start()
            return
        if (turn := self.queue.take()) is None:
            return
        job, look, source = turn.job, turn.look, turn.source()
        assert job is not None
        self._start(lambda: (job, look, source))
        if self.runner.control is None:
            self.queue.end("failed", self.panel.status.text())
            QTimer.singleShot(0, self._next)

    def _while_there(self, layer: Any) -> Callable[[], Any]:
        """Make what gives a layer as long as it is in the viewer."""
        found, layers = ref(itself(layer)), self.viewer.layers
        return lambda: one if (one := found()) is not None and one in layers else None

    def _selected_images(self) -> list[Image]:
        """Give the images that are selected in the list of layers, from its top; no results."""
        chosen = self.viewer.layers.selection
        return [
            layer
            for layer in reversed(self.viewer.layers)
            if layer in chosen and isinstance(itself(layer), Image) and is_users_own(layer)
        ]

    def go_on(self) -> None:
        """Go on with the run of the result that is shown, as long again."""
        kept = self.kept
        if kept is not None and self.results.result is not None and self._run_of(self.results.result) is not None:
            planes = self.results.record["planes"]
            more = max([LEAST_MORE, *(plane["iterations"] for plane in planes)])
            self._start(lambda: (replace(kept.job, run=kept.run, more=more), kept.look, kept.source()))

    def _start(self, wanted: Callable[[], tuple[Job, dict[str, Any], Any]]) -> None:
        try:
            job, look, source = wanted()
            self.activity = Activity(job.title)  # first, since napari lets all that waits happen while it adds a bar
            control = self.runner.start(job)
        except InputError as error:
            self._end_activity()
            self.panel.say(str(error))
            show_warning(str(error))
            if str(error) in (BUSY, ENDING):
                self.waiting.start()
            return
        self.snapshots = Snapshots()
        self.kept = None  # what it holds is in memory as long as it can go on
        self.live = LiveLayer(self.viewer, replace(job, run=None), look, control, source)
        self.form.native.setEnabled(False)
        held_out = job.task == "denoise" and job.settings.get("preset", "fast") in ENDING_EARLY and job.run is None
        self.panel.begin(job.settings.get("max_seconds"), ends_early=held_out)

    def pause(self) -> None:
        """Hold the run."""
        self.runner.pause()
        self.panel.set_state("paused")
        self.panel.say_soon("Pausing")

    def resume(self) -> None:
        """Go on with the run."""
        self.runner.resume()
        self.panel.set_state("running")

    def stop(self) -> None:
        """End the run and keep its result; planes that were learned from are still restored, unless asked again."""
        self.runner.stop(now=self.panel.keeps_only_done)
        self.panel.show_stop()

    def cancel(self) -> None:
        """End the run and drop its result."""
        self.runner.cancel()
        self.panel.set_state("cancelling")
        self.panel.say_soon("Cancelling")

    def shut(self) -> None:
        """Drop the run, if any, and listen to nothing any more."""
        self.links.undo()
        self.watch.stop()
        self.runner.forget()
        self.queue.clear()
        self.results.shut()
        self.kept = None
        self._end_activity()
        if self.live is not None:
            self.live.drop()
            self.live = None

    def event(self, event: QEvent | None) -> bool:
        """Notice when the dock is closed: napari then takes this widget out of its window.

        Notice as well when the mouse comes to it: data that a script has changed in place are told by no event.
        """
        if event is not None and event.type() == QEvent.Type.Enter:
            self.watch.expect_change()
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._docked:
                self.shut()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Be as wide as what is in the dock needs, with a large font perhaps; within limits."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            bar = self.area.verticalScrollBar()
            needed = self.area.widget().minimumSizeHint().width() + (0 if bar is None else bar.sizeHint().width())
            self.setMinimumWidth(min(max(WIDTH, needed), WIDEST))
        return False

    def _arrange(self) -> None:
        """Put form and panel below each other; what the window has no room for is scrolled to."""
        self.setMinimumWidth(WIDTH)
        inner, self.area = QWidget(), QScrollArea()
        inside = QVBoxLayout(inner)
        for widget in (self.form.native, self.panel, self.queue, self.results, self.panel.curve):
            inside.addWidget(widget)
        inside.addStretch(1)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(inner)
        inner.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)

    def _connect(self) -> None:
        layers, panel = self.viewer.layers.events, self.panel
        self.links.connect(self.viewer.layers.selection.events.active, self._selected)
        self.links.connect(self.viewer.layers.selection.events.changed, self._count_selected)
        self.links.connect(self.waiting.timeout, self._look_whether_free)
        self.links.connect(self.watch.changed, self._refresh)
        for happened in (layers.inserted, layers.removed, layers.reordered, layers.renamed):
            self.links.connect(happened, self._refresh)
        for asked, do in (
            (panel.run, self.run),
            (panel.try_it, self.try_it),
            (panel.run_all, self.run_selected),
            (self.results.more, self.go_on),
            (panel.pause, self.pause),
            (panel.resume, self.resume),
            (panel.stop, self.stop),
            (panel.cancel, self.cancel),
            *((signal, self._refresh) for widget in self.form.controls for signal in signals_of(widget)),
        ):
            self.links.connect(asked, do)
        for key in ("Ctrl+Return", "Ctrl+Enter"):  # wherever in the dock one is
            pressed = QShortcut(QKeySequence(key), self)
            pressed.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            pressed.activated.connect(panel.run_button.click)
        # the viewer is closed: this widget is gone before it can hear of it, so the runner hears of it by itself
        runner = self.runner
        self.destroyed.connect(lambda *_: runner.forget())

    def _refresh(self, *_: Any) -> None:
        self.form.refresh()
        self.results.refresh()
        if self.kept is not None and self.kept.result() not in self.viewer.layers:
            self.kept = None
        self.watch.follow([box.value for box in self.form.boxes])
        if self.panel.state in ("nothing", "ready"):
            self.panel.set_state(self._idle_state())

    def _selected(self, *_: Any) -> None:
        """Choose what is selected in the viewer, unless it is being restored."""
        active = self.viewer.layers.selection.active
        if active is not None and self.panel.state in ("nothing", "ready"):
            self.form.follow(active)
        if active is not None and is_result(active, self.task):
            self.results.show_of(active, None)

    def _count_selected(self, *_: Any) -> None:
        self.panel.offer_all(len(self._selected_images()))

    def _look_whether_free(self) -> None:
        """Take back that another restoration is running, once it is not."""
        if not busy():
            self.waiting.stop()
            if self.panel.status.text() in (BUSY, ENDING):
                self.panel.say("")

    def _idle_state(self) -> Any:
        return "nothing" if self.form.missing() else "ready"

    def _reported(self, report: Report) -> None:
        if report.pictures and self.live is not None:
            self.live.show(report.pictures)
            self.snapshots.note(report)
        self.panel.show_report(report)
        if self.activity is not None:
            self.activity.show(self.panel.left.done)

    def _run_of(self, result: Any) -> Any:
        """Give the run of a result as long as it is kept."""
        return self.kept.run if self.kept is not None and self.kept.result() is itself(result) else None

    def _end_activity(self) -> None:
        if self.activity is not None:
            self.activity.end()
            self.activity = None

    def _ended(self, outcome: Outcome) -> None:
        self._show_end(outcome)
        self._refresh()  # what only showed the run is a result now, or gone

    def _show_end(self, outcome: Outcome) -> None:
        live, self.live = self.live, None
        self._end_activity()
        self.form.native.setEnabled(True)
        QTimer.singleShot(0, self._next)
        if isinstance(outcome, Done) and live is not None:
            self.queue.end("done")
            source = live.source
            layer, second = live.finish(outcome)
            words = in_words(outcome, layer.name, None if second is None else second.name)
            if live.job.is_part:
                words += "\nThis is a part of the image; Run restores the whole."
            else:
                there = (lambda: None) if source is None else ref(itself(source))
                self.kept = Kept(outcome.run, live.job, live.look, there, ref(itself(layer)))
                self.results.show_of(layer, source, live.job.beginning.prior, self.snapshots.stages)
            self.panel.end(words, self._idle_state(), 1.0)
            if self.window().isVisible() and not self.isVisible():  # behind a tab nobody sees what the panel says
                show_info(f"“{layer.name}” is ready.")
            return
        if live is not None:
            live.drop()
        if isinstance(outcome, Failed):
            reason = on_the_form(outcome.reason)
            self.queue.end("failed", reason)
            self.panel.end(reason, self._idle_state(), 0.0)
            show_error(reason)
        else:
            self.queue.end("cancelled")
            self.panel.end("Cancelled; nothing was kept.", self._idle_state(), 0.0)


class Denoise(Dock):
    """Remove noise."""

    task = "denoise"


class Inpaint(Dock):
    """Fill in marked pixels."""

    task = "inpaint"


class SuperResolve(Dock):
    """Enlarge."""

    task = "super_resolve"
