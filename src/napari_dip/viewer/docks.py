"""The dock widgets: a form, a run panel, and the run between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari.components import ViewerModel
from napari.utils.notifications import show_error, show_info, show_warning
from napari.utils.theme import get_theme
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QColor, QKeySequence
from qtpy.QtWidgets import QShortcut, QVBoxLayout, QWidget

from napari_dip.errors import InputError
from napari_dip.tasks import task_named
from napari_dip.viewer.dock_tabs import tab_with_others
from napari_dip.viewer.form.form import Form
from napari_dip.viewer.form.number_boxes import signals_of
from napari_dip.viewer.form.readings import COMPLETE, Readings
from napari_dip.viewer.form.widgets import on_the_form
from napari_dip.viewer.layers.connections import LayerWatch, Links
from napari_dip.viewer.layers.layers import itself
from napari_dip.viewer.layers.live_layer import LiveLayer
from napari_dip.viewer.messages import Done, Failed, Job, Outcome, Report, Undecided
from napari_dip.viewer.result.ended import Kept, in_words
from napari_dip.viewer.result.pages import RESULT, SETTINGS, Pages
from napari_dip.viewer.result.result_panel import ResultPanel
from napari_dip.viewer.run.activity import Activity
from napari_dip.viewer.run.provenance import Provenance, is_result
from napari_dip.viewer.run.queue import Queue, Turn
from napari_dip.viewer.run.run_panel import RunPanel
from napari_dip.viewer.run.runner import BUSY, ENDING, Runner, busy, load_engine, make_run
from napari_dip.viewer.run.selected_runs import LOOK, SelectedRuns
from napari_dip.viewer.run.snapshots import Snapshots

if TYPE_CHECKING:
    from napari_dip.restore import Run

WIDTH = 350
"""Pixels of a dock at the least, whatever the font: words wrap, and lists are cut."""
MASK_OF_START = "The run uses the mask of its start."
LEAST_MORE = 50
"""Iterations that a run goes on for at the least."""
ENDING_EARLY = ("fast", "best")
"""Presets that end by themselves, in denoising."""
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
        self.viewer = napari_viewer
        self.form = Form(napari_viewer, task_named(self.task))
        self.panel = RunPanel(self.form.estimate_label)
        self.readings = Readings(self.form, self._start, self.panel.say)
        self.results = ResultPanel(napari_viewer, self.form)
        self.runner = Runner(self._reported, self._ended, restore_steps)
        self.live: LiveLayer | None = None
        self.outcome: tuple[str, Callable[[], Any]] = "", lambda: None
        """Words about a result, and its layer: they go with it."""
        self.kept: Kept | None = None
        self.results.run_of = self._run_of
        self.selected = SelectedRuns(napari_viewer, self.form, self.runner, self._start_turn, self)
        self.snapshots, self.activity = Snapshots(), Activity("")
        self.links, self.mask_links, self.watch = Links(), Links(), LayerWatch(self)
        self._painted: list[Any] = []
        self._docked = False
        self.waiting = QTimer(self)
        self.waiting.setInterval(LOOK)
        self.placement = QTimer(self)  # napari first makes the dock of a widget, then finds a place for it
        self.placement.setSingleShot(True)
        self.placement.timeout.connect(self._tab_with_others)
        self._arrange()
        self._connect()
        self._follow_theme()
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
        """Restore only what is in view, in seconds, as the form says; both readings of noise that is undecided."""
        self.readings.clear()
        self._start(lambda: (*self.form.job(in_view=True), self.form.image.value))

    def run_selected(self) -> None:
        """Restore all selected images one after the other, each as the form says now."""
        try:
            self.selected.add()
        except InputError as error:
            self._refuse(str(error))

    def go_on(self) -> None:
        """Go on with the run of the result that is shown, as long again."""
        kept = self.kept
        if kept is not None and self.results.result is not None and self._run_of(self.results.result) is not None:
            planes = self.results.record["planes"]
            more = max([LEAST_MORE, *(plane["iterations"] for plane in planes)])
            self._start(lambda: (replace(kept.job, run=kept.run, more=more), kept.look, kept.source()))

    def _start_turn(self, turn: Turn) -> str:
        job, look, source = turn.job, turn.look, turn.source()
        assert job is not None
        return self._start(lambda: (job, look, source))

    def _refuse(self, reason: str) -> None:
        self.panel.say(reason)
        show_warning(reason)
        if reason in (BUSY, ENDING):
            self.waiting.start()

    def _start(self, wanted: Callable[[], tuple[Job, dict[str, Any], Any]]) -> str:
        """Start a run; return why that cannot be, or an empty string."""
        try:
            job, look, source = wanted()
            control = self.runner.start(job)
        except InputError as error:
            self._refuse(str(error))
            return str(error)
        self.snapshots, self.activity = Snapshots(), Activity(job.title)
        self.live = LiveLayer(self.viewer, replace(job, run=None), look, control, source, self._masks())
        self.form.native.setEnabled(False)
        self.pages.setCurrentIndex(SETTINGS)
        held_out = job.task == "denoise" and job.settings.get("preset", "fast") in ENDING_EARLY and job.run is None
        self.panel.begin(job.settings.get("max_seconds"), ends_early=held_out)
        self.results.refresh()
        return ""

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
        self.mask_links.undo()
        self.watch.stop()
        self._painted = []
        self.runner.forget()
        self.queue.clear()
        self.readings.clear()
        self.results.shut()
        self.kept = None
        self.activity.end()
        if self.live is not None:
            self.live.drop()
            self.live = None

    @property
    def queue(self) -> Queue:
        """The images that wait for their turn."""
        return self.selected.queue

    def sizeHint(self) -> QSize:
        """Return the width that a dock is made with, whatever is in it."""
        return QSize(WIDTH, super().sizeHint().height())

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
            if self._docked:
                self.placement.start()
        return bool(super().event(event))

    def _tab_with_others(self) -> None:
        tab_with_others(self, Dock)

    def _arrange(self) -> None:
        """Put settings and result into pages that scroll, and the run below them, where it stays in sight."""
        self.setMinimumWidth(WIDTH)
        self.pages = Pages((self.form.native, self.queue), (self.results,))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.panel)
        layout.addWidget(self.readings)

    def _connect(self) -> None:
        layers, panel = self.viewer.layers.events, self.panel
        self.links.connect(self.viewer.layers.selection.events.active, self._selected)
        self.links.connect(self.viewer.layers.selection.events.changed, self._count_selected)
        self.links.connect(self.waiting.timeout, self._look_whether_free)
        self.links.connect(self.watch.changed, self._refresh)
        self.links.connect(self.viewer.events.theme, self._follow_theme)
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
        self.readings.follow(self.viewer.layers)
        self.pages.offer(self.results.result)
        if self.kept is not None and self.kept.result() not in self.viewer.layers:
            self.kept = None  # what it holds is in memory as long as it can go on
        words, layer = self.outcome
        if words and self.panel.status.text() == words and layer() not in self.viewer.layers:
            self.panel.say("")
        self.watch.follow([box.value for box in self.form.boxes])
        self._follow_masks()
        if self.panel.state in ("nothing", "ready"):
            self.panel.set_state(self._idle_state())

    def _follow_theme(self, *_: Any) -> None:
        self.panel.curve.set_text_colour(QColor(get_theme(self.viewer.theme).text.as_hex()))

    def _masks(self) -> list[Any]:
        """List the layers that are chosen as masks."""
        return [mask.box.value for mask in self.form.masks if mask.box.value is not None]

    def _follow_masks(self) -> None:
        """Hear at once of it when a mask is painted on: a run goes on with that of its start."""
        masks = self._masks()
        if masks == self._painted:
            return
        self.mask_links.undo()
        self._painted = masks
        for happened in (getattr(mask.events, name, None) for mask in masks for name in ("paint", "data")):
            if happened is not None:
                self.mask_links.connect(happened, self._mask_changed)

    def _mask_changed(self, *_: Any) -> None:
        self.panel.note = MASK_OF_START

    def _selected(self, *_: Any) -> None:
        """Choose what is selected in the viewer, unless it is being restored."""
        active = self.viewer.layers.selection.active
        if active is not None and self.panel.state in ("nothing", "ready"):
            self.form.follow(active)
        if active is not None and is_result(active, self.task):
            self.results.show_of(active)
            self.pages.offer(self.results.result)

    def _count_selected(self, *_: Any) -> None:
        self.panel.offer_all(len(self.selected.images()))

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
        if self.isVisible():  # its spinner makes napari draw all the time
            self.activity.hide()
        else:
            self.activity.show(self.panel.left.done)

    def _run_of(self, result: Any) -> Any:
        """Give the run of a result as long as it is kept and nothing else is at work here."""
        kept = self.kept if self.runner.control is None else None
        return kept.run if kept is not None and kept.result() is itself(result) else None

    def _ended(self, outcome: Outcome) -> None:
        self._show_end(outcome)
        self._refresh()  # what only showed the run is a result now, or gone

    def _show_end(self, outcome: Outcome) -> None:
        live, self.live = self.live, None
        self.activity.end()
        self.form.native.setEnabled(True)
        QTimer.singleShot(0, self.selected.begin_next)
        if isinstance(outcome, Done) and live is not None:
            self.queue.end("done")
            self._keep(outcome, live)
        else:
            if live is not None:
                live.drop()
                if live.job.is_part:
                    self.readings.clear()
            self._show_nothing(outcome)
        self.results.refresh()

    def _show_nothing(self, outcome: Outcome) -> None:
        """Show that nothing came of a run, and why; a part whose noise is undecided is tried with both readings."""
        if isinstance(outcome, Undecided):
            self.panel.end("", self._idle_state(), 0.0)
            self.readings.begin(outcome.radius)
            return
        reason = on_the_form(outcome.reason) if isinstance(outcome, Failed) else ""
        self.queue.end("failed" if reason else "cancelled", reason)
        self.panel.end(reason or "Cancelled; nothing was kept.", self._idle_state(), 0.0)
        if reason:
            show_error(reason)

    def _keep(self, outcome: Done, live: LiveLayer) -> None:
        """Show the result of a run, and what can be done with it unless it is only a part of the image."""
        source = live.source
        layer, second = live.finish(outcome)
        words = in_words(outcome, layer.name, None if second is None else second.name)
        if live.job.is_part:
            words += "\nThis is a part of the image; Run restores the whole."
            if self.readings.radius and self.readings.add(layer):
                words = COMPLETE
        else:
            there = (lambda: None) if source is None else ref(itself(source))
            self.kept = Kept(outcome.run, live.job, live.look, there, ref(itself(layer)))
            self.results.show_of(layer, Provenance(there, live.job.beginning.prior, self.snapshots.stages))
            self.pages.offer(self.results.result)
            self.pages.setCurrentIndex(SETTINGS if self.queue.waiting else RESULT)
        self.outcome = words, ref(itself(layer))
        self.panel.end(words, self._idle_state(), 1.0)
        self.readings.go_on()
        if self.window().isVisible() and not self.isVisible():  # behind a tab nobody sees what the panel says
            show_info(f"“{layer.name}” is ready.")


class Denoise(Dock):
    """Remove noise."""

    task = "denoise"


class Inpaint(Dock):
    """Fill in marked pixels."""

    task = "inpaint"


class SuperResolve(Dock):
    """Enlarge."""

    task = "super_resolve"
