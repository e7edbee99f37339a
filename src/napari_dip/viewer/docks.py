"""The dock widgets: a form, a run panel, and the run between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_dip.errors import InputError
from napari_dip.summary import findings, what_is_missing, why_it_ended
from napari_dip.tasks import task_named
from napari_dip.viewer.connections import Links
from napari_dip.viewer.form import Form
from napari_dip.viewer.live_layer import LiveLayer
from napari_dip.viewer.messages import Done, Failed, Outcome, Report, Stopped
from napari_dip.viewer.run_panel import RunPanel, in_time
from napari_dip.viewer.runner import Runner, make_run

if TYPE_CHECKING:
    from napari_dip.restore import Run

WIDTH = 330


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
        self.runner = Runner(self._reported, self._ended, restore_steps)
        self.live: LiveLayer | None = None
        self.links, self.image_links = Links(), Links()
        self._followed: Any = None
        self._docked = False
        self.setMinimumWidth(WIDTH)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form.native)
        layout.addWidget(self.panel)
        layout.addStretch(1)
        self._connect()
        self._refresh()

    def run(self) -> None:
        """Start a restoration of what the form says."""
        try:
            job, look = self.form.job()
            control = self.runner.start(job)
        except InputError as error:
            self.panel.say(str(error))
            show_warning(str(error))
            return
        self.live = LiveLayer(self.viewer, job, look, control)
        self.form.native.setEnabled(False)
        self.panel.begin(job.settings.get("max_seconds"))

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
        self.image_links.undo()
        self.runner.forget()
        if self.live is not None:
            self.live.drop()
            self.live = None

    def event(self, event: QEvent | None) -> bool:
        """Notice when the dock is closed: napari then takes this widget out of its window."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is None and self._docked:
                self.shut()
            self._docked = self.parent() is not None
        return bool(super().event(event))

    def _connect(self) -> None:
        layers, panel = self.viewer.layers.events, self.panel
        for happened in (layers.inserted, layers.removed, layers.reordered, layers.renamed):
            self.links.connect(happened, self._refresh)
        for asked, do in (
            (panel.run, self.run),
            (panel.pause, self.pause),
            (panel.resume, self.resume),
            (panel.stop, self.stop),
            (panel.cancel, self.cancel),
            *((widget.changed, self._refresh) for widget in self.form.top),
        ):
            self.links.connect(asked, do)
        # the viewer is closed: this widget is gone before it can hear of it, so the runner hears of it by itself
        runner = self.runner
        self.destroyed.connect(lambda *_: runner.forget())

    def _refresh(self, *_: Any) -> None:
        self.form.refresh()
        self._follow(self.form.image.value)
        if self.panel.state in ("nothing", "ready"):
            self.panel.set_state(self._idle_state())

    def _follow(self, image: Any) -> None:
        """Hear of it when the chosen image is given other data, labels or scale."""
        if image is self._followed:
            return
        self.image_links.undo()
        self._followed = image
        if image is not None:
            for happened in (image.events.data, image.events.axis_labels, image.events.scale):
                self.image_links.connect(happened, self._refresh)

    def _idle_state(self) -> Any:
        return "nothing" if self.form.missing() else "ready"

    def _reported(self, report: Report) -> None:
        if report.pictures and self.live is not None:
            self.live.show(report.pictures)
        self.panel.show_report(report)

    def _ended(self, outcome: Outcome) -> None:
        live, self.live = self.live, None
        self.form.native.setEnabled(True)
        if isinstance(outcome, Done) and live is not None:
            layer, second = live.finish(outcome)
            words = _in_words(outcome, layer.name, None if second is None else second.name)
            self.panel.end(words, self._idle_state(), 1.0)
            return
        if live is not None:
            live.drop()
        if isinstance(outcome, Failed):
            self.panel.end(outcome.reason, self._idle_state(), 0.0)
            show_error(outcome.reason)
        else:
            self.panel.end("Cancelled; nothing was kept.", self._idle_state(), 0.0)


def _in_words(outcome: Done, name: str, second: str | None) -> str:
    record = outcome.record
    how = "Stopped" if isinstance(outcome, Stopped) else "Done"
    after = f"{how} after {record['iterations']} iterations in {in_time(record['seconds'])}."
    end = " ".join(filter(None, (after, why_it_ended(record), what_is_missing(record))))
    where = f"The result is the layer “{name}”."
    if second is not None:
        where += f" Its uncertainty is the layer “{second}”, hidden above it."
    return "\n".join(filter(None, (end, *findings(record), where)))


class Denoise(Dock):
    """Remove noise."""

    task = "denoise"


class Inpaint(Dock):
    """Fill in marked pixels."""

    task = "inpaint"


class SuperResolve(Dock):
    """Enlarge."""

    task = "super_resolve"
