"""What OME-Zarr says of an image (axes, units, scale, channels), and what is said in it of a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_dip.files.metadata import NAMES, Metadata, as_size
from napari_dip.image.axes import AXES

LENGTHS = {
    "angstrom": "Å",
    "centimeter": "cm",
    "decimeter": "dm",
    "foot": "ft",
    "inch": "inch",
    "kilometer": "km",
    "meter": "m",
    "micrometer": "µm",
    "mile": "mi",
    "millimeter": "mm",
    "nanometer": "nm",
    "picometer": "pm",
    "yard": "yd",
}
TIMES = {
    "day": "d",
    "hour": "h",
    "microsecond": "µs",
    "millisecond": "ms",
    "minute": "min",
    "nanosecond": "ns",
    "second": "s",
}
WORDS = {symbol: word for word, symbol in (LENGTHS | TIMES).items()} | {"in": "inch"}
ORDER = "TCZYX"
"""In which OME-Zarr wants its axes."""
KINDS = {"T": "time", "C": "channel"}
LETTERS = {"time": "T", "channel": "C"}
COLOURS = {1: ["FFFFFF"], 2: ["00FF00", "FF00FF"], 3: ["FF0000", "00FF00", "0000FF"]}
"""Of channels of which only the names are known."""
OWN = "napari-dip"
"""Key of what only this program says, beside that of OME."""


def read_metadata(multiscale: dict[str, Any], omero: Any, ndim: int, version: str, *, samples: bool) -> Metadata:
    """Read what is said of an image.

    Parameters
    ----------
    multiscale : dict
        A member of `multiscales`.
    omero : Any
        What is said of its channels.
    ndim : int
        Dimensions of the array.
    version : str
        Of OME-Zarr.
    samples : bool
        Whether its channels are the samples of RGB.

    Raises
    ------
    ValueError
        If the axes cannot be known.
    """
    said = _axes(multiscale.get("axes"), ndim)
    axes = _letters([one[0] for one in said], [one[1] for one in said])
    scale, origin = _transforms(multiscale, ndim)
    step, units, kept = {}, {}, _channels(omero)
    kept["zarr"] = {"version": version, "origin": dict(zip(axes, origin, strict=True))}
    for letter, (_, _, unit), size in zip(axes, said, scale, strict=True):
        if letter not in "TZYX" or as_size(size) is None:
            continue
        if letter == "T" and not unit:
            kept["zarr"]["frame"] = size  # elsewhere it would be taken for seconds
            continue
        step[letter] = float(size)
        if letter == "T":
            kept["TimeIncrementUnit"] = TIMES.get(unit or "", unit)
        elif unit:
            units[letter] = LENGTHS.get(unit, unit)
    if isinstance(multiscale.get("name"), str):
        kept["zarr"]["name"] = multiscale["name"]
    if samples and axes.count("C"):
        axes = axes.replace("C", "S")
    return Metadata(axes, step, units.get("X"), "ome", kept, units)


def multiscale(axes: str, factors: Sequence[int], source: Metadata, smaller: int) -> dict[str, Any]:
    """Say what a result is, as a member of `multiscales`, without its version.

    Parameters
    ----------
    axes : str
        Some of TCZYX, in that order.
    factors : sequence of int
        How much smaller each level is along Y and X.
    source : Metadata
        What holds for the first level.
    smaller : int
        How much smaller its pixels are than those whose origin is kept.
    """
    zarr = source.kept.get("zarr", {})
    described = [_axis(letter, source) for letter in axes]
    datasets = []
    for level, factor in enumerate(factors):
        scale, moved = [], []
        for letter in axes:
            size = source.step.get(letter, zarr.get("frame", 1.0) if letter == "T" else 1.0)
            grown = factor if letter in "YX" else 1
            # a pixel made of several lies in the midst of them; one made of a part of a pixel, in the midst of that
            shift = size * (factor - smaller) / 2 if letter in "YX" else 0.0
            scale.append(size * grown)
            moved.append(zarr.get("origin", {}).get(letter, 0.0) + shift)
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if any(moved):
            transforms.append({"type": "translation", "translation": moved})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    return {"axes": described, "datasets": datasets} | ({"name": zarr["name"]} if "name" in zarr else {})


def channels(source: Metadata, low: Sequence[float], high: Sequence[float]) -> dict[str, Any] | None:
    """Say what is known of the channels of a result, as `omero`; None if nothing is.

    Parameters
    ----------
    source : Metadata
    low, high : sequence of float
        Least and largest value of each channel.
    """
    known = source.kept.get("omero")
    if known is not None and len(known["channels"]) == len(low):
        return dict(known)
    names = source.kept.get("Channel", {}).get("Name", ())
    if len(names) != len(low):
        return None
    colours = COLOURS.get(len(names), [COLOURS[3][n % 3] for n in range(len(names))])
    found = []
    for label, colour, least, most in zip(names, colours, low, high, strict=True):
        window = {"min": least, "max": most, "start": least, "end": most}
        found.append({"label": label, "color": colour, "window": window, "active": True})
    return {"channels": found}


def _axis(letter: str, source: Metadata) -> dict[str, Any]:
    said: dict[str, Any] = {"name": letter.lower(), "type": KINDS.get(letter, "space")}
    if letter == "C" or letter not in source.step:
        return said
    symbol = source.kept.get("TimeIncrementUnit", "s") if letter == "T" else source.units.get(letter, source.unit)
    symbol = NAMES.get(symbol or "", symbol)
    return said | ({"unit": WORDS.get(symbol, symbol)} if symbol else {})


def _axes(found: Any, ndim: int) -> list[tuple[str, str | None, str | None]]:
    """Give name, kind and unit of each axis; before version 0.4 there were names only, and before 0.3 none."""
    if found is None and ndim == 5:
        found = list("tczyx")
    if not isinstance(found, list) or len(found) != ndim:
        raise ValueError(f"it has {ndim} dimensions, and says of its axes {str(found)[:80]!r}")
    said = []
    for one in found:
        one = one if isinstance(one, dict) else {"name": one}
        kind, unit = (one.get(key) if isinstance(one.get(key), str) else None for key in ("type", "unit"))
        said.append((str(one.get("name", "")), kind, unit))
    return said


def _letters(names: Sequence[str], kinds: Sequence[str | None]) -> str:
    """Give a letter for each axis: by its kind, then by its name, and else what is left.

    >>> _letters(["t", "c", "y", "x"], ["time", "channel", "space", "space"])
    'TCYX'
    >>> _letters(["angle", "v", "u"], [None, "space", "space"])
    'ZYX'
    """
    spaces = [n for n, kind in enumerate(kinds) if kind == "space"]
    by_name = [name.upper() if len(name) == 1 and name.upper() in ORDER else "" for name in names]
    if not {"Y", "X"} <= {by_name[n] for n in spaces} and len(spaces) >= 2:
        for letter, n in zip("XYZ", reversed(spaces), strict=False):
            by_name[n] = letter
    wanted = [LETTERS.get(kind or "", letter) for kind, letter in zip(kinds, by_name, strict=True)]
    found: list[str] = []
    for letter in wanted:
        if not letter or letter in found:
            free = [a for a in "ZTC" if a not in wanted and a not in found]
            if not free:
                raise ValueError(f"its axes {list(names)} cannot be told apart")
            letter = free[0]
        found.append(letter)
    if not {"Y", "X"} <= set(found) <= set(AXES):
        raise ValueError(f"its axes {list(names)} lack y or x")
    return "".join(found)


def _transforms(multiscale: dict[str, Any], ndim: int) -> tuple[list[Any], list[float]]:
    """Give scale and place of the first level; what is no list of numbers is left out."""
    scale, origin = [1.0] * ndim, [0.0] * ndim
    first = multiscale["datasets"][0]
    for said in (first.get("coordinateTransformations"), multiscale.get("coordinateTransformations")):
        for one in said if isinstance(said, list) else []:
            kind = one.get("type") if isinstance(one, dict) else None
            values = [as_number(value) for value in one[kind]] if _is_list(one, kind, ndim) else None
            if values is None:
                continue
            if kind == "scale":
                scale = [a * b for a, b in zip(scale, values, strict=True)]
                origin = [a * b for a, b in zip(origin, values, strict=True)]
            else:
                origin = [a + b for a, b in zip(origin, values, strict=True)]
    return scale, [place if abs(place) < 1e300 else 0.0 for place in origin]


def _is_list(one: Any, kind: Any, ndim: int) -> bool:
    return kind in ("scale", "translation") and isinstance(one.get(kind), list) and len(one[kind]) == ndim


def as_number(value: Any) -> float:
    """Give a number; 0 for what is none, which is no size.

    >>> as_number("0.5"), as_number("none"), as_number(float("nan"))
    (0.5, 0.0, 0.0)
    """
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return number if abs(number) < 1e300 else 0.0


def _channels(omero: Any) -> dict[str, Any]:
    """Give what is to be kept of the channels: their names as OME has them in TIFF, too, and all that is said."""
    found = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        return {}
    names = [one.get("label") for one in found]
    kept: dict[str, Any] = {"omero": omero}
    if all(isinstance(name, str) and name for name in names):
        kept["Channel"] = {"Name": names}
    return kept
