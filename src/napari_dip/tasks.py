"""What can be done to an image, a row for each task. Checks, commands, forms, record and benchmarks read this table."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, Literal

from napari_dip.errors import InputError
from napari_dip.settings import AS_THEY_ARE, NOISE_KINDS, STACK, STRENGTH, Settings

GIVEN_KINDS = tuple(kind.name for kind in NOISE_KINDS if kind.may_be_given)


@dataclass(frozen=True)
class Input:
    """Something that a task takes beside the image.

    Attributes
    ----------
    name : str
        Of the argument, and of the option.
    kind : str
        "mask": an array with Y, X and any other axes of the image, not zero where it is to be filled in. "image": any
        array.
        "number": one of `choices`.
    title, help : str
        What forms and commands say of it.
    choices : range
        Of a number.
    default : int, optional
        Of a number.
    unit : str
        What a form puts behind a number.
    """

    name: str
    kind: Literal["mask", "image", "number"]
    title: str
    help: str
    choices: range = range(0)
    default: int | None = None
    unit: str = ""

    def check(self, value: Any) -> None:
        """Refuse a number that is no choice.

        Raises
        ------
        InputError
        """
        whole = isinstance(value, Integral)
        if self.kind == "number" and not (whole and int(value) in self.choices):
            span = f"{self.choices[0]} to {self.choices[-1]}"
            raise InputError(f"The {self.name} {value!r} is not allowed; take a whole number from {span}.")


@dataclass(frozen=True)
class Offer:
    """What a preset has a use for in a task.

    Attributes
    ----------
    noise : tuple of str
        Kinds of noise that it may be told.
    strength : bool
        Whether it uses how strong the noise is.
    uncertainty : bool
        Whether it knows the uncertainty of its result.
    stack : bool
        Whether it looks at other planes and channels than the one it restores.
    """

    noise: tuple[str, ...] = ("auto",)
    strength: bool = False
    uncertainty: bool = False
    stack: bool = False


@dataclass(frozen=True)
class Task:
    """A row of the table.

    Attributes
    ----------
    name : str
        Of the public function; `command` is that of the command line.
    title, summary, words : str
        The widget's name, a line of help, and what the form says.
    suffix : str
        What the name of a result ends in; may hold the inputs by name.
    doing : str
        What doing it is called.
    forward_model : str
        What the instrument makes of the true image: a name that `prior.forward_model.build` knows.
    writes : str
        "everything", or "gaps": what was measured stays exactly as it is.
    bounded : bool
        Whether results are kept within the range of what was measured.
    presets : dict
        What each preset has a use for.
    inputs : tuple of Input
        What is needed beside the image.
    keeps : bool
        Whether what was fitted can be kept, as a prior for other images.
    suspects : tuple of str
        What is looked for that the instrument did not measure; see `Source`.
    maps_values : bool
        Whether logarithms of the values, or sine and cosine of angles, may be fitted.
    """

    name: str
    title: str
    summary: str
    words: str
    suffix: str
    doing: str
    forward_model: str
    writes: Literal["everything", "gaps"]
    bounded: bool
    presets: dict[str, Offer]
    inputs: tuple[Input, ...] = field(default=())
    keeps: bool = False
    suspects: tuple[str, ...] = ()
    maps_values: bool = False

    @property
    def command(self) -> str:
        """The name on the command line."""
        return self.name.replace("_", "-")

    @property
    def defaults(self) -> dict[str, Any]:
        """What each input is where it is left out."""
        return {one.name: one.default for one in self.inputs}

    def uses(
        self,
        setting: str,
        preset: str | None = None,
        noise: str | None = None,
        axes: str | None = None,
        values: str | None = None,
    ) -> bool:
        """Whether a setting changes anything: with a preset, a kind of noise, axes and values, or any where left out.

        >>> TASKS[0].uses("sigma"), TASKS[0].uses("sigma", preset="paper"), TASKS[1].uses("sigma")
        (True, False, False)
        """
        offers = [offer for name, offer in self.presets.items() if preset in (None, name)]
        if setting == "uncertainty":
            return any(offer.uncertainty for offer in offers)
        if setting in STACK:
            there = axes is None or bool(set(STACK[setting]) & set(axes))
            return there and any(offer.stack for offer in offers)
        if setting in ("values", "period"):
            return self.maps_values and (setting == "values" or values in (None, "circular"))
        if setting in ("noise", *STRENGTH) and setting != "reach" and values not in (None, *AS_THEY_ARE):
            return False
        if setting == "noise":
            return any(len(offer.noise) > 1 for offer in offers)
        if setting == "waves":
            return "waves" in self.suspects and preset != "paper"
        if setting in STRENGTH:
            kinds = (kind for kind in NOISE_KINDS if noise in (None, kind.name))
            return any(offer.strength for offer in offers) and any(setting in kind.strength for kind in kinds)
        return True

    def check(self, settings: Settings, inputs: dict[str, Any]) -> None:
        """Refuse inputs that are missing or superfluous, and settings that would do nothing.

        Raises
        ------
        InputError
        """
        wanted = {one.name: one for one in self.inputs}
        for name, value in inputs.items():
            if value is not None and name not in wanted:
                raise InputError(f"The task {self.name} takes no {name}; leave it out.")
        for name, one in wanted.items():
            if inputs.get(name) is None:
                raise InputError(f"The task {self.name} needs a {name}; give one.")
            one.check(inputs[name])
        self._check_settings(settings)
        self._check_stack(settings)
        self._check_values(settings)

    def check_keeps(self, preset: str) -> None:
        """See that what is fitted can be kept.

        Raises
        ------
        InputError
        """
        if not self.keeps:
            kept = " and ".join(task.doing for task in TASKS if task.keeps)
            raise InputError(f"A prior for other images is fitted for {kept} only, not for {self.doing}.")
        if preset == "paper":
            raise InputError(
                "The preset paper fits to one image alone and leaves no prior for others; take fast or best."
            )

    def _check_settings(self, settings: Settings) -> None:
        preset, kind = settings.preset, settings.noise
        offer = self.presets[preset]
        given = [name for name in STRENGTH if getattr(settings, name) is not None]
        if not self.uses("noise") and (given or kind != "auto"):
            tasks = " and ".join(task.doing for task in TASKS if task.uses("noise"))
            one = (given or ["noise"])[0]
            raise InputError(f"What the noise is like is asked for in {tasks} only; leave {one} out.")
        if kind not in offer.noise:
            kinds = ", ".join(offer.noise)
            raise InputError(
                f"The preset {preset} knows no noise of the kind {kind}; take one of {kinds}, or another preset."
            )
        for name in given:
            if not offer.strength:
                raise InputError(f"The preset {preset} does not use {name}; leave it out or take another preset.")
            if not self.uses(name, preset, kind):
                raise InputError(f"Noise of the kind {kind} has no {name}; leave it out or take another kind.")
        if settings.waves != "remove" and not self.uses("waves", preset):
            raise InputError(
                f"Waves are not removed in {self.doing} with the preset {preset} anyway; leave the setting waves out."
            )
        if settings.uncertainty and not offer.uncertainty:
            known = [name for name, one in self.presets.items() if one.uncertainty]
            else_ = f"take the preset {' or '.join(known)}" if known else "leave it out"
            raise InputError(f"The uncertainty is not known for {self.doing} with the preset {preset}; {else_}.")

    def _check_stack(self, settings: Settings) -> None:
        given = [name for name in STACK if getattr(settings, name) != Settings.model_fields[name].default]
        if given and not self.presets[settings.preset].stack:
            known = [name for name, one in self.presets.items() if one.stack]
            else_ = f", or take the preset {' or '.join(known)}" if known else ""
            raise InputError(
                f"The setting {given[0]} changes nothing in {self.doing} with the preset {settings.preset}; "
                f"leave it out{else_}."
            )

    def _check_values(self, settings: Settings) -> None:
        values = settings.values
        if not self.maps_values and (values != "auto" or settings.period is not None):
            tasks = " and ".join(task.doing for task in TASKS if task.maps_values)
            name = "period" if values == "auto" else "values"
            raise InputError(f"Other than linear values are known in {tasks} only; leave {name} out.")
        if settings.period is not None and values != "circular":
            raise InputError('Only circular values have a period; leave it out, or set values to "circular".')
        if values in AS_THEY_ARE:
            return
        names = ("noise", *STRENGTH)
        given = [name for name in names if getattr(settings, name) != Settings.model_fields[name].default]
        for name in given:
            if not self.uses(name, values=values):
                raise InputError(f"With {values} values the noise is estimated from the image; leave {name} out.")


_told = Offer(noise=GIVEN_KINDS, strength=True, uncertainty=True, stack=True)
# the published loss is the squared error, so any other kind of noise would change nothing but the network of JPEG
_published = Offer(noise=("auto", "gaussian", "compression"))
MASK_HELP = "Image that is not zero where pixels are to be filled in; it may lack any axes but Y and X."

TASKS = (
    Task(
        name="denoise",
        title="Denoise",
        summary="Remove noise from an image, knowing nothing but that image.",
        words="Removes noise. The network learns from this one image alone: no training data, no model to download.",
        suffix="denoised",
        doing="denoising",
        forward_model="identity",
        writes="everything",
        bounded=True,
        presets={"fast": _told, "best": _told, "paper": _published},
        keeps=True,
        suspects=("areas", "outliers", "lines", "waves"),
        maps_values=True,
    ),
    Task(
        name="inpaint",
        title="Inpaint",
        summary="Fill in the masked pixels of an image; all others stay exactly as they are.",
        words="Fills in what you mark: scratches, dust, dead pixels. All other pixels stay exactly as they are.",
        suffix="inpainted",
        doing="inpainting",
        forward_model="identity",
        writes="gaps",
        bounded=True,
        presets={"fast": Offer(uncertainty=True), "best": Offer(uncertainty=True), "paper": Offer()},
        inputs=(Input("mask", "mask", "Mask", MASK_HELP),),
        maps_values=True,
    ),
    Task(
        name="super_resolve",
        title="Super-resolve",
        summary="Enlarge an image so that, shrunk again, it gives the one there is.",
        words="Enlarges an image with more detail than interpolation. The result covers the same area.",
        suffix="x{factor}",
        doing="super-resolution",
        forward_model="downsample",
        writes="everything",
        bounded=False,
        suspects=("outliers",),
        presets={"fast": Offer(uncertainty=True), "best": Offer(uncertainty=True), "paper": Offer()},
        inputs=(Input("factor", "number", "Enlarge", "How many times larger along Y and X.", range(2, 9), 4, "times"),),
    ),
)


def task_named(name: str) -> Task:
    """Give the row of a task.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise InputError(f"There is no task named {name!r}; the tasks are {', '.join(task.name for task in TASKS)}.")
