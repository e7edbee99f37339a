"""Every knob once: title, help, unit, bounds and default. Feeds the forms, the command line and the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from napari_dip.errors import InputError, printable

MOST_ITERATIONS = 100_000
"""Of a fit."""
MOST_NEIGHBOURS, MOST_THREADS = 4, 4096
STRENGTH = ("sigma", "gain", "offset", "reach")
"""The settings that tell what the noise is like: how strong it is, and how far it reaches."""
OF_PRIOR = ("preset", "values", "period", "neighbours", "channels", "max_iterations")
"""Those of the fit, where a prior is given."""
AS_THEY_ARE = ("auto", "linear")
"""Choices of `values` that leave the noise to be told in units of the image."""
STACK = {"z_step": "Z", "neighbours": "TZ", "channels": "C"}
"""The settings that tell what a plane has to do with the others, and the axes of which an image needs one for that."""


@dataclass(frozen=True)
class NoiseKind:
    """A kind of noise.

    Attributes
    ----------
    name : str
        In settings and record.
    title : str
        On a form.
    words : str
        In a sentence about what was found; empty for what is no finding.
    strength : tuple of str
        Settings that tell what it is like.
    may_be_given : bool
        Whether it is a choice of the setting `noise`, or only found.
    """

    name: str
    title: str
    words: str = ""
    strength: tuple[str, ...] = ()
    may_be_given: bool = True


NOISE_KINDS = (
    NoiseKind("auto", "find out from the image", strength=STRENGTH),
    NoiseKind("gaussian", "same everywhere (Gaussian)", "Gaussian noise", ("sigma", "reach")),
    NoiseKind("poisson", "photons (Poisson)", "photon noise (Poisson)", ("gain", "offset", "reach")),
    NoiseKind("poisson-gaussian", "photons and read noise", "photon and read noise (Poisson-Gaussian)", STRENGTH),
    NoiseKind("compression", "compression (JPEG blocks)", "compression artefacts (blocks and ringing)"),
    NoiseKind("multiplicative", "", "noise in proportion to the brightness", may_be_given=False),
)


class Settings(BaseModel):
    """How a restoration is run. The same fields stand on the forms, the command line and in the record."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Literal["fast", "best", "paper"] = Field(
        "fast",
        title="Preset",
        description="fast: suits most images. best: slower, higher quality. paper: the published method, for hours.",
    )
    noise: Literal["auto", "gaussian", "poisson", "poisson-gaussian", "compression"] = Field(
        "auto",
        title="Noise",
        description="auto: found from the image. gaussian: as strong everywhere. poisson: photon counts. "
        "poisson-gaussian: photons and read noise. compression: blocks and ringing.",
    )
    sigma: float | None = Field(
        None,
        gt=0,
        title="Noise sigma",
        description="Standard deviation of the noise that is the same everywhere (read noise), in units of the image; "
        "left out, estimated.",
    )
    gain: float | None = Field(
        None,
        gt=0,
        title="Photon gain",
        description="What one photon adds to the value of a pixel, in units of the image; left out, estimated.",
    )
    offset: float | None = Field(
        None,
        title="Offset",
        description="The value of a pixel without light, in units of the image; left out, 0 for photons alone, and not "
        "needed otherwise.",
    )
    reach: int | None = Field(
        None,
        ge=0,
        le=3,
        title="Noise reach",
        description="How many pixels the noise of one pixel reaches into its neighbours, as after a blur, a rotation "
        "or an enlargement; 0: not at all. Left out, estimated; noise that may be fine structure is then left.",
        json_schema_extra={"unit": "px"},
    )
    values: Literal["auto", "linear", "logarithmic", "circular"] = Field(
        "auto",
        title="Values",
        description="linear: fitted as they are. logarithmic: over several decades, with noise in proportion. "
        "circular: angles, phases, hues, which wrap around. auto: linear, unless the noise proves logarithmic.",
    )
    period: float | None = Field(
        None,
        gt=0,
        title="Period",
        description="How much circular values turn until they are the same again, in units of the image: 180 for "
        "orientations in degrees; left out, from type and range of the image.",
    )
    seed: int = Field(
        0, ge=0, le=2**31 - 1, title="Seed", description="The same seed on the same machine gives the same result."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", title="Device", description="Where the network runs; auto takes a GPU where there is one."
    )
    max_iterations: int | None = Field(
        None,
        ge=1,
        le=MOST_ITERATIONS,
        title="Max. iterations",
        description="Iterations planned for each plane, or for all that are learned from together; left empty, as many "
        "as the preset says.",
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        le=1e7,
        title="Max. seconds",
        description="Time limit for the whole image, shared by its planes; left empty, no limit. Restoring the planes "
        "of a stack, once learned from, comes on top.",
        json_schema_extra={"unit": "s"},
    )
    uncertainty: bool = Field(
        False,
        title="Uncertainty",
        description="Also give the standard deviation of the error of each pixel, as a second image.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=MOST_THREADS,
        title="CPU threads",
        description="CPU threads to use; left empty, as many as suit the size of the image.",
    )
    nonfinite: Literal["refuse", "inpaint"] = Field(
        "refuse",
        title="NaN and inf",
        description="What to do with pixels that are not finite numbers: refuse the image, or fill them in.",
    )
    waves: Literal["remove", "keep"] = Field(
        "remove",
        title="Waves",
        description="What to do with oblique waves that run through the whole image, as of the mains: remove them, or "
        "keep them.",
    )
    z_step: float | None = Field(
        None,
        gt=0,
        title="Z step",
        description="Distance between planes along Z, over the size of a pixel; left out, what the file or layer says.",
    )
    neighbours: int | None = Field(
        None,
        ge=0,
        le=MOST_NEIGHBOURS,
        title="Neighbours",
        description="Planes that are looked at on each side of a plane of a volume or a time series; left out, as many "
        "as suit it. 0: none.",
    )
    channels: Literal["separate", "together"] = Field(
        "separate",
        title="Channels",
        description="Whether the channels of axis C are restored one by one, or each with a look at the others.",
    )


def field(name: str) -> FieldInfo:
    """Title, help, bounds and default of one knob."""
    return Settings.model_fields[name]


def read_settings(given: dict[str, Any]) -> Settings:
    """Check settings given by name.

    Raises
    ------
    InputError
        For an unknown name or a value out of bounds, saying what is allowed.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        if first["type"] == "extra_forbidden":
            known = ", ".join(Settings.model_fields)
            raise InputError(
                f"There is no setting named {printable(name, most=80)!r}; the settings are {known}."
            ) from None
        value = printable(repr(first["input"]), most=80)
        why = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
        raise InputError(f"The setting {name}={value} is not allowed: {why}.") from None
