"""What a run will do, what it found and why it ended, in sentences made from axes or from its record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
from statistics import median
from typing import Literal, Protocol

from napari_dip.run.record import FoundNoise, Record
from napari_dip.settings import NOISE_KINDS
from napari_dip.tasks import task_named

WHY = {
    "held-out": "It stopped by itself: more iterations would hardly improve the image.",
    "seconds": "It reached its time limit.",
    "diverged": "The computation became unstable; this is the best image before that.",
}
"""Why a run ended, for what is not clear without words; the weightiest comes last."""
MANY = {"T": "frames", "C": "channels"}
"""What there is of an image whose axis has several steps."""
COLOURS = {3: "RGB", 4: "RGB with alpha left as it is"}
"""What several samples are."""
MOST_CORRELATION, MOST_LEFT, LEAST_LEFT = 0.15, 1.4, 0.3
"""What is left of noise is white, and 0.6 to 0.9 of its variance; a felt of threads has 0.15, as it stays as it is."""
HARDLY = 0.15
"""A smaller part of something is not worth a word."""
NO_DETAIL = "with this noise it predicts no detail finer than the smoothing keeps"
NOISES = {kind.name: kind.words for kind in NOISE_KINDS if kind.words}


def plan(axes: str, shape: Sequence[int], factor: int = 1) -> str:
    """Say what an image is made of and so what will be restored, in half a sentence that may be gone on with.

    Axes of a single step are not worth a word.

    >>> plan("TCZYX", (12, 2, 40, 512, 512))
    '12 frames x 2 channels, each a volume of 40 x 512 x 512'
    >>> plan("TYX", (24, 128, 128)), plan("YXC", (512, 512, 3))
    ('24 frames of 128 x 128', '3 channels of 512 x 512')
    >>> plan("YXS", (512, 512, 3), factor=2)
    'one plane of 512 x 512, RGB, enlarged to 1024 x 1024'
    """
    size = dict(zip(axes, map(int, shape), strict=True))
    many = [f"{size[axis]} {words}" for axis, words in MANY.items() if size.get(axis, 1) > 1]
    depth = [size["Z"]] if size.get("Z", 1) > 1 else []
    small, large = (" x ".join(str(n) for n in (*depth, k * size["Y"], k * size["X"])) for k in (1, factor))
    if depth:
        each = ("each " if many else "") + f"a volume of {small}"
        words = ", ".join([" x ".join(many), each] if many else [each])
    else:
        words = f"{' x '.join(many) or 'one plane'} of {small}"
    colours = COLOURS.get(size.get("S", 1), "")
    return ", ".join(filter(None, (words, colours, f"enlarged to {large}" if factor > 1 else "")))


class Standing(Protocol):
    """Where a run stands: a `Progress`, or what was taken from one."""

    @property
    def plane(self) -> int: ...  # noqa: D102
    @property
    def planes(self) -> int: ...  # noqa: D102
    @property
    def iteration(self) -> int: ...  # noqa: D102
    @property
    def iterations(self) -> int: ...  # noqa: D102
    @property
    def stage(self) -> Literal["fit", "apply"]: ...  # noqa: D102
    @property
    def fit(self) -> int: ...  # noqa: D102
    @property
    def fits(self) -> int: ...  # noqa: D102
    @property
    def together(self) -> int: ...  # noqa: D102
    @property
    def restored(self) -> int: ...  # noqa: D102


def where_it_stands(now: Standing) -> str:
    """Say what a run does; most end long before their plan, so that is said to be the most there will be.

    >>> from types import SimpleNamespace
    >>> stack = {"plane": 7, "planes": 48, "iteration": 120, "iterations": 400, "together": 24, "restored": 6}
    >>> where_it_stands(SimpleNamespace(**stack, stage="fit", fit=0, fits=1))
    'Learning from 24 planes: iteration 120 of at most 400'
    >>> where_it_stands(SimpleNamespace(**stack, stage="apply", fit=1, fits=2))
    'Channel 2 of 2, restoring planes: 6 of 24 done'
    """
    iteration = f"iteration {now.iteration} of at most {now.iterations}"
    plane = f"plane {now.plane + 1} of {now.planes}"
    if now.together == 1:
        alone = iteration if now.planes == 1 else f"{plane}, {iteration}"
        words = alone if now.stage == "fit" else f"restoring {'the image' if now.planes == 1 else plane}"
    elif now.stage == "fit":
        words = f"learning from {now.together} planes: {iteration}"
    else:
        words = f"restoring planes: {now.restored} of {now.together} done"
    if now.together > 1 and now.fits > 1:
        words = f"channel {now.fit + 1} of {now.fits}, {words}"
    return words[0].upper() + words[1:]


def why_it_ended(record: Record) -> str:
    """Say what ended a run; empty if it came to the end of its plan, or was stopped by hand.

    >>> why_it_ended({"stopped_by": "seconds", "planes": [{"stopped_by": "held-out"}, {"stopped_by": "seconds"}]})
    'It reached its time limit.'
    """
    if record["stopped_by"] == "asked":
        return ""
    reasons = {plane["stopped_by"] for plane in record["planes"]}
    return next((words for reason, words in reversed(WHY.items()) if reason in reasons), "")


def what_is_missing(record: Record) -> str:
    """Say how many planes of a result are empty; nothing if all is there.

    >>> what_is_missing({"planes_in_image": 5, "unreached": [2, 3, 4]})
    '2 of 5 planes are restored; the others are empty.'
    """
    planes, empty = record["planes_in_image"], len(record["unreached"])
    there = planes - empty  # what had nothing to restore is there, too
    if not empty:
        return ""
    if not there:
        return "Nothing is restored; the image is empty."
    others = "the other is" if empty == 1 else "the others are"
    return f"{there} of {planes} planes {'is' if there == 1 else 'are'} restored; {others} empty."


def in_python(setting: str, value: object) -> str:
    """Name a value of a setting as Python does.

    >>> in_python("reach", 2)
    'reach=2'
    """
    return f"{setting}={value!r}"


NameSetting = Callable[[str, int], str]
"""Names a value of a setting in the words of a face: of Python, of the command line, or of a form."""


def findings(record: Record, name_setting: NameSetting = in_python) -> list[str]:
    """Say all that was found, a few sentences of each kind; those that there is nothing to say of are left out."""
    kinds = (reading_rejected, simple_filter, gaps_filled, not_measured, doubts)
    sentences = (
        values_fitted(record),
        noise_found(record),
        noise_or_grain(record, name_setting),
        *(of(record) for of in kinds),
    )
    return [sentence for sentence in sentences if sentence]


def judgement(record: Record, name_setting: NameSetting = in_python) -> list[str]:
    """Say how far a result can be trusted: doubts first, then all else that was found."""
    residual = [residual_words(record)]
    others = [
        noise_or_grain(record, name_setting),
        *(of(record) for of in (reading_rejected, simple_filter, gaps_filled, not_measured)),
    ]
    sentences = [*residual, *others] if doubts(record) else [*others, *residual]
    return [sentence for sentence in (*sentences, noise_found(record), values_fitted(record)) if sentence]


def noise_found(record: Record) -> str:
    """Say what noise an image had; empty where none was looked for.

    >>> strength = {"sigma": 20.09, "gain": 0.0, "multiplicative": 0.0, "offset": 0.0}
    >>> plane = {"noise": "gaussian", "noise_variance": strength, "correlation_radius": 0}
    >>> noise_found({"task": "denoise", "settings": {"noise": "auto"}, "planes": [plane]})
    'Found Gaussian noise: standard deviation 20.1.'
    """
    known = [plane for plane in record["planes"] if plane.get("noise") in NOISES]
    if record["task"] == "inpaint" or not known:
        return ""
    kinds = Counter(plane["noise"] for plane in known)
    kind = kinds.most_common(1)[0][0]
    alike = [plane for plane in known if plane["noise"] == kind]
    verb = "Found" if record["settings"]["noise"] == "auto" else "Treated as"
    where = " in most planes" if len(kinds) > 1 else ""
    strength = _how_strong(kind, [plane["noise_variance"] for plane in alike if "noise_variance" in plane])
    sentences = [f"{verb} {NOISES[kind]}{where}{f': {strength}' if strength else ''}."]
    if record["task"] == "super_resolve":
        sentences.append("The noise was removed before the image was enlarged.")
    if any(plane.get("correlation_radius") for plane in alike):
        sentences.append("The noise of neighbouring pixels is correlated.")
    if sides := [plane["together"] for plane in alike if "together" in plane]:
        why = "there are so few photons" if kind == "poisson" else "the noise is so strong"
        sentences.append(f"Pixels were binned {sides[0]} x {sides[0]}, since {why}.")
    return " ".join(sentences)


def noise_or_grain(record: Record, name_setting: NameSetting = in_python) -> str:
    """Say that correlated noise and grain of the image could not be told apart; empty where they could.

    >>> plane = {"noise": "gaussian", "correlation_radius": 0, "undecided_radius": 2}
    >>> settings = {"preset": "fast", "noise": "auto"}
    >>> noise_or_grain({"task": "denoise", "settings": settings, "planes": [plane]})
    'Noise that reaches 2 pixels and grain of that size cannot be told apart here; both were left. If it is noise, \
choose reach=2.'
    """
    settings, planes = record["settings"], [plane for plane in record["planes"] if "noise" in plane]
    radii = [radius for plane in planes if (radius := plane.get("undecided_radius"))]
    if not radii or not task_named(record["task"]).uses("reach", settings["preset"], settings["noise"]):
        return ""
    radius = Counter(radii).most_common(1)[0][0]
    pixels = f"{radius} pixel{'s' * (radius > 1)}"
    where = "here" if len(radii) == len(planes) else f"in {len(radii)} of {len(planes)} planes"
    both = f"Noise that reaches {pixels} and grain of that size cannot be told apart {where}; both were left."
    return f"{both} If it is noise, choose {name_setting('reach', radius)}."


def reading_rejected(record: Record) -> str:
    """Say where noise was taken to be correlated, and what was removed was structure; nothing where it was not.

    >>> reading_rejected({"planes": [{"rejected_radius": 2, "stopped_by": "held-out"}, {"stopped_by": "held-out"}]})
    'In 1 of 2 planes structure was first taken for noise that reaches 2 pixels; it was left in the result.'
    """
    planes = record["planes"]
    radii = [radius for plane in planes if (radius := plane.get("rejected_radius"))]
    if not radii:
        return ""
    where = "S" if len(planes) == 1 else f"In {len(radii)} of {len(planes)} planes s"
    reach = f"{max(radii)} pixel{'s' * (max(radii) > 1)}"
    return f"{where}tructure was first taken for noise that reaches {reach}; it was left in the result."


def values_fitted(record: Record) -> str:
    """Say on which scale values were restored; nothing where it is their own.

    >>> values_fitted({"values": {"kind": "circular", "period": 360.0, "low": 0.0}})
    'Restored as angles with a period of 360, from 0 to 360.'
    >>> values_fitted({"values": {"kind": "logarithmic", "scale": 0.0}, "settings": {"values": "auto"}})
    'Restored on a logarithmic scale, since the noise grows in proportion to the value over decades.'
    """
    found = record.get("values")
    if not found:
        return ""
    if found["kind"] == "circular":
        low, period = found["low"], found["period"]
        return f"Restored as angles with a period of {period:.6g}, from {low:.6g} to {low + period:.6g}."
    proven = record["settings"].get("values") == "auto"
    why = ", since the noise grows in proportion to the value over decades" if proven else ""
    return f"Restored on a logarithmic scale{why}."


def simple_filter(record: Record) -> str:
    """Say how much of a simple filter is in the result; nothing where the network is better.

    >>> simple_filter({"planes": [{"filtered": 0.6, "stopped_by": "held-out"}, {"stopped_by": "held-out"}]})
    'Gaussian smoothing predicts held-out pixels better than the network here; the result is 30 % of it.'
    """
    parts = [plane.get("filtered", 0.0) for plane in record["planes"]]
    part = sum(parts) / max(len(parts), 1)
    if part < HARDLY:
        return ""
    better = "Gaussian smoothing predicts held-out pixels better than the network here"
    words = f"{better}; the result is {100 * part:.0f} % of it."
    if part > 1 - HARDLY:
        early = any(plane["stopped_by"] in ("asked", "seconds") for plane in record["planes"])
        words += f" The network could not help: {'it had too few iterations' if early else NO_DETAIL}."
    return words


def gaps_filled(record: Record) -> str:
    """Say where gaps were filled in smoothly; nothing where the network has filled them.

    >>> gaps_filled({"planes": [{"smooth": 0.98}]})
    'The gaps are filled with a smooth surface: the network predicted held-out pixels no better.'
    >>> gaps_filled({"planes": [{"smooth": 0.5}, {"smooth": 0.1}]})
    'The gaps are filled with 30 % of a smooth surface and 70 % of the network: this predicts held-out pixels best.'
    """
    parts = [plane["smooth"] for plane in record["planes"] if "smooth" in plane]
    part = sum(parts) / max(len(parts), 1)
    if part < HARDLY:
        return ""
    if part > 1 - HARDLY:
        return "The gaps are filled with a smooth surface: the network predicted held-out pixels no better."
    mixture = f"{100 * part:.0f} % of a smooth surface and {100 - 100 * part:.0f} % of the network"
    return f"The gaps are filled with {mixture}: this predicts held-out pixels best."


def not_measured(record: Record) -> str:
    """Say what was found that the instrument did not measure; nothing if all was measured.

    >>> found = {"areas": 3120, "outliers": 14, "left": [], "alike": False, "rows": 0.0, "columns": 0.0}
    >>> not_measured({"axes": "YX", "shape": [100, 240], "unmeasured": found})
    '13 % of the image has one constant value and no noise; it was left unchanged. 14 outlier pixels were replaced.'
    """
    found = record.get("unmeasured")
    if not found:
        return ""
    size = dict(zip(record["axes"], record["shape"], strict=True))
    pixels = prod(n for axis, n in size.items() if axis != "S")
    sentences = []
    if found["areas"]:
        share = f"{100 * found['areas'] / pixels:.2g} %"
        sentences.append(f"{share} of the image has one constant value and no noise; it was left unchanged.")
    if found["outliers"]:
        count = found["outliers"]
        sentences.append(f"{count} outlier {'pixel was' if count == 1 else 'pixels were'} replaced.")
    for lines in ("rows", "columns"):
        if found[lines]:
            sentences.append(f"Single {lines} had an offset, which was removed.")
    if waves := found.get("waves"):
        strongest = f"a period of {waves[0]['period']:.3g} pixels and an amplitude of {waves[0]['amplitude']:.3g}"
        what = "A wave with" if len(waves) == 1 else f"{len(waves)} waves, the strongest with"
        sentences.append(
            f"{what} {strongest}, {waves[0]['direction']:.0f} degrees from X to Y, ran through the whole image; "
            f"{'it was' if len(waves) == 1 else 'they were'} removed. If the sample is periodic, set Waves to keep."
        )
    if found["left"]:
        names = [("red", "green", "blue")[sample] for sample in found["left"]]
        sentences.append(f"The {' and '.join(names)} {'channel is' if len(names) == 1 else 'channels are'} empty.")
    if found["alike"]:
        sentences.append("Red, green and blue are identical, so one was restored for all.")
    return " ".join(sentences)


def doubts(record: Record) -> str:
    """Say where the residual does not look like noise; nothing where it does.

    >>> left = {"variance": 0.9, "by_brightness": [0.9, 0.9, 0.9], "correlation": 0.3}
    >>> doubts({"planes": [{"residual": left}]})
    'The residual contains structure: compare the result with the image.'
    """
    found = _usual_residual(record)
    if found is None:
        return ""
    variance, correlation = found
    if correlation > MOST_CORRELATION:
        return "The residual contains structure: compare the result with the image."
    if variance > MOST_LEFT:
        return "The residual is larger than the noise that was found: compare the result with the image."
    if variance < LEAST_LEFT:
        return "The image has structure as fine as its noise, so most of both was left in the image."
    return ""


def residual_words(record: Record) -> str:
    """Say how the residual compares with the noise that was found; empty where nothing is known of it.

    >>> left = {"variance": 0.9, "by_brightness": [0.9, 0.9, 0.9], "correlation": -0.01}
    >>> residual_words({"planes": [{"residual": left}]})
    'The residual looks like noise: 90 % of the noise variance, neighbours correlated by 1 %.'
    """
    found = _usual_residual(record)
    if found is None:
        return ""
    variance, correlation = found
    figures = f"{100 * variance:.0f} % of the noise variance, neighbours correlated by {100 * abs(correlation):.0f} %"
    doubt = doubts(record)
    return f"{doubt} (Residual: {figures}.)" if doubt else f"The residual looks like noise: {figures}."


def _usual_residual(record: Record) -> tuple[float, float] | None:
    """Return variance and correlation of the residual, the medians of all planes; None where nothing is known."""
    found = [plane["residual"] for plane in record["planes"] if "residual" in plane]
    if not found:
        return None
    return median(one["variance"] for one in found), median(one["correlation"] for one in found)


def _how_strong(kind: str, found: list[FoundNoise]) -> str:
    """Say how strong noise is, in units of the image; of several planes, the median."""
    if not found or kind not in ("gaussian", "poisson", "poisson-gaussian", "multiplicative"):
        return ""
    sigma, gain, multiplicative = (median(one[name] for one in found) for name in ("sigma", "gain", "multiplicative"))
    if kind == "gaussian":
        return f"standard deviation {sigma:.3g}"
    if kind == "multiplicative":
        return f"{100 * multiplicative**0.5:.2g} %"
    # a part of the variance may also grow with the square of the brightness; without photons, nothing is said of them
    photon = f"a photon adds {gain:.3g}" if gain > 0 else ""
    dark = f"standard deviation {sigma:.3g} in the dark" if kind == "poisson-gaussian" and sigma > 0 else ""
    return ", ".join(part for part in (photon, dark) if part)
