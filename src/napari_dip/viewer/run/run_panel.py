"""Buttons, progress and curve of a run: all of it in one place that never scrolls."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_dip.run.summary import where_it_stands
from napari_dip.run.time_left import TimeLeft
from napari_dip.viewer.form.short_label import ShortLabel
from napari_dip.viewer.messages import Report
from napari_dip.viewer.run.curve import Curve

State = Literal["nothing", "ready", "running", "paused", "ending", "cancelling"]
STEPS = 1000
LINES = 3
"""Of the status."""
FINISHING = "Finishing ..."
STOP = "Stop and keep", "End now and keep the image as it is."
STOP_LEARNING = (
    "Stop and keep",
    "Stop learning now: the planes are then restored with what was learned so far.",
)
STOP_RESTORING = "Stop now", "Keep only the planes that are restored; the others stay empty."
AFTER_STOP = f"“{STOP_RESTORING[0]}” keeps only what is done by then."


class RunPanel(QWidget):  # type: ignore[misc]
    """Says what to do with a run and shows how it goes; knows nothing of runs itself.

    Parameters
    ----------
    estimate : QWidget
        Says what a run will take; shown while none is at work.
    """

    run = Signal()
    try_it = Signal()
    run_all = Signal()
    pause = Signal()
    resume = Signal()
    stop = Signal()
    cancel = Signal()

    def __init__(self, estimate: QWidget):
        super().__init__()
        self.estimate = QWidget()  # around it, since its own visibility is not ours
        around = QVBoxLayout(self.estimate)
        around.setContentsMargins(0, 0, 0, 0)
        around.addWidget(estimate)
        self.run_button = QPushButton("Run")
        self.try_button = QPushButton("Try it first")
        self.all_button = QPushButton()
        self.all_button.setToolTip("Restore all selected images one after the other, each with these settings.")
        self.offer_all(0)
        self.pause_button = QPushButton("Pause")
        self.stop_button = QPushButton()
        self.cancel_button = QPushButton("Cancel")
        self.run_button.setToolTip(
            "Start (Ctrl+Enter). The result appears as a new layer and gets better while you watch."
        )
        self.try_button.setToolTip(
            "Restore only what is in view, or the rectangle drawn in the selected Shapes layer: in seconds, with these "
            "settings."
        )
        self.pause_button.setToolTip("Hold the computation; Resume goes on from there.")
        self.cancel_button.setToolTip("End now and throw the result away.")
        self.bar = QProgressBar()
        self.bar.setRange(0, STEPS)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.bar.setAccessibleName("Progress of the run")
        self.bar.setToolTip("How much of the time that the run will probably take has passed.")
        self.status = ShortLabel(LINES)
        self.status.setAccessibleName("What the run does")
        self.curve = Curve()
        self.curve.hide()  # until there is something to see
        self.report: Report | None = None
        self.note = ""
        """What else is to be said of the run at work."""
        self.stopped = False
        self.max_seconds: float | None = None
        self.left = TimeLeft(ends_early=False)
        self._arrange()
        self.run_button.clicked.connect(self.run)
        self.try_button.clicked.connect(self.try_it)
        self.all_button.clicked.connect(self.run_all)
        self.pause_button.clicked.connect(self._toggle_pause)
        self.stop_button.clicked.connect(self.stop)
        self.cancel_button.clicked.connect(self.cancel)
        self.set_state("nothing")

    def set_state(self, state: State) -> None:
        """Allow what makes sense now."""
        self.state = state
        going = state in ("running", "paused")
        for button in (self.run_button, self.try_button):
            button.setEnabled(state == "ready")
        for button in (self.pause_button, self.stop_button):
            button.setEnabled(going)
        self.cancel_button.setEnabled(going or state == "ending")
        self.pause_button.setText("Resume" if state == "paused" else "Pause")
        self.bar.setEnabled(going)
        self.estimate.setVisible(state in ("nothing", "ready"))
        self._name_stop()

    def offer_all(self, count: int) -> None:
        """Offer to restore so many selected images one after the other, if there are several."""
        self.all_button.setText(f"Run on {count} selected layers")
        self.all_button.setVisible(count > 1)

    @property
    def keeps_only_done(self) -> bool:
        """Whether to stop means to leave out planes that are not restored yet: what the button says."""
        now = self.report
        return now is not None and now.together > 1 and (self.stopped or now.stage == "apply")

    def show_stop(self) -> None:
        """Show that the run is to end: at once, or after the planes that it has learned from are restored."""
        comes_more = not self.stopped and (self.report is None or self.report.together > 1)
        if not comes_more or self.keeps_only_done:
            self.set_state("ending")
            self.say(FINISHING)
            return
        self.stopped = True
        self.set_state("running")
        self.say(FINISHING if self.report is None else "\n".join(("Restoring planes ...", AFTER_STOP)))

    def begin(self, max_seconds: float | None, *, ends_early: bool = False) -> None:
        """Show a run that has just started; `ends_early` says whether its fits may end by themselves."""
        self.left = TimeLeft(ends_early=ends_early)
        self.max_seconds = max_seconds
        self.report, self.stopped, self.note = None, False, ""
        self.curve.clear()
        self.curve.show()
        self.bar.setRange(0, 0)  # a moving bar: the first run loads torch, which takes some seconds
        self.say("Preparing ...")
        self.set_state("running")

    def show_report(self, report: Report) -> None:
        """Show where a run stands."""
        self.bar.setRange(0, STEPS)
        error = min((error for fit, _, error in report.held_out if fit == report.fit), default=None)
        self.left.note(report, error)
        self.bar.setValue(round(STEPS * self.left.done))
        if self.report is not None and report.fit != self.report.fit:
            self.curve.clear()
        losses, held_out = (
            [(i, y) for fit, i, y in of if fit == report.fit] for of in (report.losses, report.held_out)
        )
        self.curve.add(losses, report.iterations, held_out)
        self.report = report
        self._name_stop()
        if self.state != "cancelling":
            self.say("\n".join(self._words(report)))

    def end(self, words: str, state: State, done: float | None = None) -> None:
        """Show a run that has ended."""
        self.bar.setRange(0, STEPS)
        if done is not None:
            self.bar.setValue(round(STEPS * done))
        self.say(words)
        self.report, self.stopped = None, False
        self.set_state(state)

    def say(self, words: str) -> None:
        """Show a sentence."""
        self.status.setText(words)

    def say_soon(self, words: str) -> None:
        """Show what will be as soon as the run can: an iteration takes a moment, to restore some planes may not."""
        restoring = self.report is not None and self.report.stage == "apply"
        self.say(f"{words} after the planes at work ..." if restoring else f"{words} ...")

    def _words(self, report: Report) -> list[str]:
        words = [*filter(None, [self.note]), where_it_stands(report)]
        if report.stage != "fit" and self.stopped and self.state != "ending":
            words.append(AFTER_STOP)
        if self.state == "paused":
            left = "Paused"
        elif self.state == "ending" or report.done >= 1:
            left = FINISHING
        else:
            limit = self.max_seconds if report.together == 1 else None  # it is of learning, not of restoring
            left = self.left.words(None if limit is None else limit - report.seconds)
        return [*words, left]

    def _name_stop(self) -> None:
        together = self.report is not None and self.report.together > 1
        text, tip = STOP_RESTORING if self.keeps_only_done else STOP_LEARNING if together else STOP
        self.stop_button.setText(text)
        self.stop_button.setToolTip(tip)

    def _toggle_pause(self) -> None:
        (self.resume if self.state == "paused" else self.pause).emit()

    def _arrange(self) -> None:
        buttons = QGridLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.run_button, 0, 0, 1, 3)
        buttons.addWidget(self.try_button, 0, 3, 1, 3)
        for place, button in enumerate((self.pause_button, self.stop_button, self.cancel_button)):
            buttons.addWidget(button, 1, 2 * place, 1, 2)
        buttons.addWidget(self.all_button, 2, 0, 1, 6)
        for place in range(buttons.count()):
            buttons.itemAt(place).widget().setMinimumWidth(1)  # the dock is no wider for the words of a button
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.curve)  # above, so that no button moves when it appears
        column.addWidget(self.estimate)
        column.addLayout(buttons)
        column.addWidget(self.bar)
        column.addWidget(self.status)
