"""The form of a task, built from its row and `settings.py`: what is needed every day on top, the rest under "More"."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from magicgui.widgets import ComboBox, Widget
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_dip.errors import InputError
from napari_dip.image.axes import outer_axes
from napari_dip.run.estimate import Estimate, Plan, check_memory, estimate
from napari_dip.run.record import Record
from napari_dip.run.summary import plan
from napari_dip.settings import OF_PRIOR, STACK, STRENGTH
from napari_dip.tasks import Task
from napari_dip.viewer.form.axes import AxesField
from napari_dip.viewer.form.inputs import KINDS, ImageInput, MaskInput, layer_box, preselect, renew
from napari_dip.viewer.form.number_boxes import fault, mark, read, write
from napari_dip.viewer.form.pixel_size import entry_for_result, read_z_step
from napari_dip.viewer.form.preferences import Preferences, preferences
from napari_dip.viewer.form.priors import PriorFields
from napari_dip.viewer.form.short_label import ShortLabel
from napari_dip.viewer.form.trial import only, part_in_view
from napari_dip.viewer.form.widgets import EMPTY, collapsible, lay_out, setting_widget
from napari_dip.viewer.layers.layers import describe, enlarge, is_users_own, read_data
from napari_dip.viewer.layers.placing import from_left_to_right
from napari_dip.viewer.messages import Beginning, Job

ON_TOP = ("preset", "noise", "uncertainty")
OF_VALUES = ("values", "period")
RARE = ("seed", "device", "threads", "nonfinite", "waves")
MORE = (*STRENGTH, *OF_VALUES, "max_iterations", "max_seconds", *STACK, *RARE)

log = logging.getLogger("napari_dip")

GUESSED = "The axes are guessed: type T for time, Z for depth, C for channels."


class Form:
    """An image, what else the task takes, the settings of every day, and the rest under "More".

    Parameters
    ----------
    viewer : napari viewer
    task : Task
        Settings that it has no use for are not on the form.

    Attributes
    ----------
    native : QWidget
        The form as a Qt widget.
    image : magicgui widget
    axes : AxesField
        What the dimensions of the image are.
    own : dict
        The widgets that only this task has, by name; each is an attribute, too, such as `form.mask`.
    everyday, more : dict
        The widgets of the knobs by name, those on top and those under "More".
    prior : PriorFields or None
        Also under "More", where the task has any use for them.
    """

    def __init__(self, viewer: ViewerModel, task: Task):
        self.viewer, self.task = viewer, task
        self.image = layer_box(
            viewer,
            Image,
            name="image",
            label="Image",
            tooltip="The image layer to restore; it is never changed.",
        )
        self.axes = AxesField()
        self.inputs = {row.name: KINDS[row.kind](row, viewer, self.image) for row in task.inputs}
        self.masks = [one for one in self.inputs.values() if isinstance(one, MaskInput)]
        for mask in self.masks:
            mask.axes = self.axes.read
        self.own = {name: widget for one in self.inputs.values() for name, widget in one.widgets.items()}
        for name, widget in self.own.items():
            setattr(self, name, widget)
        self.everyday = {name: setting_widget(name) for name in ON_TOP if task.uses(name)}
        self.more = {name: setting_widget(name) for name in MORE if task.uses(name)}
        self.prior = PriorFields() if task.keeps else None
        self._begin_with(preferences())
        self.top: list[Widget] = [self.image, self.axes.box, *self.own.values(), *self.everyday.values()]
        self.native = self._arrange()
        self.refresh()
        preselect(self.image, viewer, Image)
        for one in self.inputs.values():
            one.preselect()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Offer the layers that there are now, and gray out what changes nothing."""
        for widget in self.top:
            if isinstance(widget, ComboBox):
                renew(widget)
        self.axes.follow(self.image.value)
        for name, widget in self.knobs.items():
            widget.enabled = self.has_use_for(name)
        if self.prior is not None:
            self.prior.update.enabled = self.prior.chosen is not None
            self.prior.keep.enabled = self.everyday["preset"].value != "paper" or self.prior.chosen is not None
        if "offset" in self.more:  # photons alone start at 0
            words = "0" if self.everyday["noise"].value == "poisson" else EMPTY["offset"]
            self.more["offset"].native.setPlaceholderText(words)
        if "z_step" in self.more:
            step = self._z_step()
            words = EMPTY["z_step"] if step is None else f"{step:.3g}, as layer or file say"
            self.more["z_step"].native.setPlaceholderText(words)
        self._say()

    def follow(self, layer: Any) -> None:
        """Choose a layer that is selected in the viewer, where it belongs; no result is restored again by that."""
        for box in self.boxes:
            if layer in box.choices and is_users_own(layer):
                box.value = layer
                return

    @property
    def boxes(self) -> list[ComboBox]:
        """The lists of layers that a task takes, that of the image first."""
        return [self.image, *(one.box for one in self.inputs.values() if isinstance(one, ImageInput | MaskInput))]

    def missing(self) -> str:
        """Say what has to be there before a run can start; empty if nothing is missing."""
        return self._missing_input() or self.axes.wrong() or self._fault()

    def plan(self) -> str:
        """Say what a run will restore; empty if that is not known."""
        if self.image.value is None or self.axes.wrong():
            return ""
        factor = self.inputs["factor"].read() if "factor" in self.inputs else 1
        return plan(self.axes.read(), read_data(self.image.value).shape, factor)

    def estimate(self) -> str:
        """Say what a run will take; empty if that is not known."""
        if not self.plan() or self._fault():
            return ""
        found = self._estimated()
        return f"The prior is applied in {found.words()}." if self._has_prior else f"Takes {found.words()}."

    def _estimated(self) -> Estimate:
        """Estimate what a run of the whole image will take."""
        data = read_data(self.image.value)
        return self._estimate(data.shape, lazy=not isinstance(data, np.ndarray))

    def _estimate(self, shape: Sequence[int], *, lazy: bool = False) -> Estimate:
        """Estimate what a run takes with all that is set, of an image of some shape."""
        factor = self.inputs["factor"].read() if "factor" in self.inputs else 1
        iterations, seconds = (read(self.more[name]) for name in ("max_iterations", "max_seconds"))
        prior = self.prior
        if prior is not None and self._has_prior:
            iterations = int(prior.update.value)
        plan = Plan(
            max_iterations=iterations,
            max_seconds=seconds,
            uncertainty=self.has_use_for("uncertainty") and bool(self.everyday["uncertainty"].value),
            on_crops=prior is not None and bool(prior.keep.value),
            has_prior=self._has_prior,
            circular="values" in self.more and self.more["values"].value == "circular",
        )
        itemsize, preset = np.dtype(read_data(self.image.value).dtype).itemsize, str(self.everyday["preset"].value)
        if self._has_prior and preset == "paper":
            preset = "fast"  # grayed out: the prior says how it was fitted
        return estimate(
            self.task.name,
            self.axes.read(),
            shape,
            itemsize,
            preset=preset,
            factor=factor,
            lazy=lazy,
            shown=True,
            plan=plan,
        )

    def _seconds_of(self, shape: Sequence[int]) -> float:
        """Estimate the seconds that a part of some shape takes."""
        return self._estimate(shape).seconds

    @property
    def _has_prior(self) -> bool:
        """Whether a run begins with a fitted prior."""
        return self.prior is not None and self.prior.chosen is not None

    @property
    def controls(self) -> list[Widget]:
        """All widgets whose values a run or what is said of it depends on."""
        tools = [box for one in self.masks for box in one.numbers]
        return [*self.top, *self.more.values(), *(self.prior.widgets if self.prior else []), *tools]

    @property
    def knobs(self) -> dict[str, Widget]:
        """The widgets of all knobs, by name."""
        return {**self.everyday, **self.more}

    def has_use_for(self, name: str) -> bool:
        """Whether a knob changes anything, with the others as they are."""
        if name in OF_PRIOR and self.prior is not None and self.prior.chosen:
            return False
        noise = self.everyday["noise"].value if "noise" in self.everyday and name != "noise" else None
        values = self.more["values"].value if "values" in self.more else None
        return self.task.uses(name, self.everyday["preset"].value, noise, self.axes.read() or None, values)

    def settings(self) -> dict[str, Any]:
        """Give every knob on the form that changes anything; optional ones only where they are set.

        Raises
        ------
        InputError
            If one holds what is no number, or a number that cannot be.
        """
        values = {name: read(widget) for name, widget in self.knobs.items() if self.has_use_for(name)}
        return {name: value for name, value in values.items() if value is not None}

    def remember(self) -> None:
        """Have the next form of this task begin as this one is, if the user prefers that."""
        readable = {name: widget for name, widget in self.knobs.items() if not fault(widget)}
        preferences().remember(self.task.name, {name: read(widget) for name, widget in readable.items()})

    def apply(self, record: Record) -> None:
        """Set every knob, and number that the task takes, as it was in a run."""
        for name, widget in self.knobs.items():
            if name in record["settings"]:
                write(widget, record["settings"][name])
        for name, value in record["inputs"].items():
            if name in self.own:
                self.own[name].value = value
        if self.prior is not None:
            self.prior.apply(record)
        self.refresh()

    @property
    def beside(self) -> tuple[int, int]:
        """Axis of the image and direction, 1 or -1, that lead from left to right in the viewer."""
        return from_left_to_right(self.viewer, self.image.value) or (self.axes.read().index("X"), 1)

    def job(self, *, in_view: bool = False, two: bool = False) -> tuple[Job, dict[str, Any]]:
        """Read the form: what to restore, and the place and look of the result.

        Parameters
        ----------
        in_view : bool
            Only a part that is restored in seconds: what is seen of the plane in view, or drawn in selected shapes.
        two : bool
            Whether that part is restored twice, and lies left of the second.

        Raises
        ------
        InputError
            If something is missing, or the whole needs more memory than is free.
        """
        if self.missing():
            raise InputError(self.missing())
        if not in_view:
            check_memory(self.task, self._estimated())
        source = self.image.value
        inputs = {name: one.read() for name, one in self.inputs.items()}
        settings = self.settings()
        if self.has_use_for("z_step") and (step := self._z_step()) is not None:
            settings.setdefault("z_step", step)
        job = Job(
            task=self.task.name,
            title=f"{source.name} {self.task.suffix.format(**inputs)}",
            image=read_data(source),
            axes=self.axes.read(),
            settings=settings,
            inputs=inputs,
            rgb=bool(source.rgb),
            picture_every=preferences().seconds_between_pictures,
            beginning=self._beginning(),
        )
        look = describe(source)
        if in_view:
            part = part_in_view(self.viewer, source, self.axes.read(), self._seconds_of, self.beside if two else None)
            job, look = only(part, job, look)
        if job.factor > 1 and job.axes:
            look = enlarge(look, job.axes, job.factor)
        return replace(job, metadata=entry_for_result(source, job.axes or "", job.factor, look["scale"])), look

    def _begin_with(self, prefer: Preferences) -> None:
        for name, value in {**prefer.settings, **prefer.last(self.task.name)}.items():
            if name in self.knobs:
                try:
                    write(self.knobs[name], value)
                except (TypeError, ValueError):  # of another version, or written by hand
                    log.warning("The preference %s = %r cannot be used.", name, value)

    def _beginning(self) -> Beginning:
        if self.prior is None or (self.everyday["preset"].value == "paper" and not self.prior.chosen):
            return Beginning()  # what the published network has learned of one image serves no other
        return self.prior.read()

    def _missing_input(self) -> str:
        if self.image.value is None:
            return "Open an image first (File > Open, or File > Open Sample)."
        return next((words for one in self.inputs.values() if (words := one.missing())), "")

    def _fault(self) -> str:
        """Say what is wrong with the first box that holds what cannot be; empty if nothing is."""
        return next((words for words in self._faults().values() if words), "")

    def _faults(self) -> dict[Widget, str]:
        """Give what is wrong with each box that somebody may type into; of those that change nothing, nothing is."""
        found = {widget: fault(widget) if self.has_use_for(name) else "" for name, widget in self.knobs.items()}
        if self.prior is None:
            return found
        update = fault(self.prior.update) if self._has_prior else ""
        return {**found, self.prior.file.line_edit: self.prior.fault(), self.prior.update: update}

    def _z_step(self) -> float | None:
        return None if self.image.value is None else read_z_step(self.image.value, self.axes.read())

    def _say(self) -> None:
        """Say what is missing, and below the axes what is wrong with them or what they come to."""
        words, wrong, plan = self._missing_input() or self._fault(), self.axes.wrong(), self.plan()
        tools = [box for one in self.masks for box in one.numbers]
        for widget, said in {**self._faults(), **{box: fault(box) for box in tools}}.items():
            mark(widget, said)
        mark(self.axes.box, wrong)
        plan = plan[:1].upper() + plan[1:]
        if plan and self.axes.guessed and outer_axes(self.axes.read()):
            plan += f".\n{GUESSED}"
        covers = [said for mask in self.masks if (said := mask.coverage())]
        plan = "\n".join(filter(None, (plan, *covers)))
        self.hint.setText(words)
        self.hint.setVisible(bool(words))
        self.plan_label.setText(wrong or plan)
        self.plan_label.setVisible(bool(wrong or plan))
        self.plan_label.setStyleSheet("font-weight: bold;" if wrong else "")
        takes = self.estimate()
        self.estimate_label.setText(takes)
        self.estimate_label.setVisible(bool(takes))

    def _arrange(self) -> QWidget:
        native = QWidget()
        self.words_label, self.hint = ShortLabel(2), QLabel()
        self.words_label.setText(self.task.words)
        self.plan_label, self.estimate_label = QLabel(), QLabel()
        self.estimate_label.setToolTip("Most runs end sooner, once there is nothing more to gain.")
        for label in (self.hint, self.plan_label, self.estimate_label):
            label.setWordWrap(True)
        self.hint.setStyleSheet("font-weight: bold;")
        self.collapsible = collapsible()
        self.collapsible.toggled.connect(self._name_more)
        self._name_more(False)
        self.collapsible.toggleButton().setToolTip("Limits, seed, device: the defaults suit most images.")
        self.collapsible.addWidget(lay_out([*self.more.values(), *(self.prior.widgets if self.prior else [])]))
        self.mask_tools = collapsible()
        self.mask_tools.toggled.connect(self._name_tools)
        self._name_tools(False)
        self.mask_tools.toggleButton().setToolTip("Find what may be wrong in the image, and let a mask grow or shrink.")
        self.mask_tools.addWidget(lay_out([tool for mask in self.masks for tool in mask.tools]))
        self.mask_tools.setVisible(bool(self.masks))
        layout = QVBoxLayout(native)
        layout.setContentsMargins(0, 0, 0, 0)
        top = [*self.top[:2], self.plan_label, *self.top[2:]]
        for widget in (self.words_label, self.hint, lay_out(top), self.mask_tools, self.collapsible):
            layout.addWidget(widget)
        return native

    def _name_tools(self, expanded: bool) -> None:
        self.mask_tools.setText(f"{'▼' if expanded else '▶'}  Mask: propose, grow, shrink")

    def _name_more(self, expanded: bool) -> None:
        # as text, since icons are painted before the theme is known
        self.collapsible.setText(f"{'▼' if expanded else '▶'}  More")
