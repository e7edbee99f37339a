"""The scan of a plane: its range, its noise floor, and pixels that were not measured; a large one strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from napari_dip.image.cancellation import check_cancelled
from napari_dip.image.lines import line_offsets
from napari_dip.image.offsets import Offsets
from napari_dip.image.particles import particle_hits
from napari_dip.image.planes import Region
from napari_dip.image.unmeasured import blank_areas, noise_floor, outliers, partial_areas
from napari_dip.image.waves import find_waves

WHOLE = 2**23
"""Pixels of a plane that is scanned at once: some 100 bytes each are at work."""
STRIP = 2**22
"""Pixels of a strip of a larger one, and of the bands in which line offsets are found."""
HALO = 64
"""Rows around a strip that are looked at, too; a multiple of the 8 of JPEG's blocks."""


ENDS = np.minimum, np.maximum

MASKED = "areas", "outliers"
"""What may be found in a plane whose pixels tell nothing of the image."""


class Look(NamedTuple):
    """A region of a plane: its colours (samples, y, x), the pixels that are known (y, x), and those that are masked."""

    colours: np.ndarray
    known: np.ndarray
    masked: np.ndarray


@dataclass
class PlaneScan:
    """What a scan of a plane finds.

    Attributes
    ----------
    extremes : (samples, 2) array or None
        Least and largest value of each sample; None if nothing was measured.
    floors : list of float
        A standard deviation that the noise has nearly everywhere, of each strip in which anything was measured.
    alike : (samples,) bool array
        Which samples are the same as the first.
    measured : int
        Pixels that are known and not suspected.
    has_gaps : bool
        Whether some pixels are not known.
    masked : int
        Pixels.
    suspected : dict
        From "areas" and "outliers" to where they are, (y, x) packed along x; without entry where there are none.
    counts : dict
        How many they are.
    offsets : Offsets or None
        None where there are none.
    """

    alike: np.ndarray
    extremes: np.ndarray | None = None
    floors: list[float] = field(default_factory=list)
    measured: int = 0
    has_gaps: bool = False
    masked: int = 0
    suspected: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    offsets: Offsets | None = None

    @property
    def floor(self) -> float:
        """A standard deviation that the noise of the plane has nearly everywhere; 0 where that is not known."""
        return float(np.median(self.floors)) if self.floors else 0.0

    @property
    def is_varied(self) -> bool:
        """Whether there is something to learn from."""
        return self.measured > 64 and self.extremes is not None and bool((np.ptp(self.extremes, axis=1) > 0).any())

    def measure(self, colours: np.ndarray, known: np.ndarray, *, with_floor: bool) -> None:
        """Take down the range and the noise floor of the known pixels of a strip."""
        seen = colours[:, known]
        if not seen.size:
            return
        ends = np.stack([seen.min(1), seen.max(1)], 1).astype(np.float64)
        if self.extremes is not None:
            low, high = (which(one, other) for which, one, other in zip(ENDS, self.extremes.T, ends.T, strict=True))
            ends = np.stack([low, high], 1)
        self.extremes = ends
        self.measured += seen.shape[1]
        if with_floor:
            self.floors.append(noise_floor(colours, known))


def scan_plane(look: Callable[[Region], Look], size: tuple[int, int], suspects: Sequence[str]) -> PlaneScan:
    """Scan a plane.

    Parameters
    ----------
    look : callable
        Gives a region of it: first the strips from top to bottom, each with its halo, then others if these are needed.
    size : (y, x)
    suspects : sequence of str
        What is looked for: "areas", "outliers", "lines", "waves".
    """
    strips, columns = strips_of(size), slice(0, size[1])
    find_areas = blank_areas if len(strips) == 1 else partial_areas
    found: PlaneScan | None = None
    for strip in strips:
        wide = slice(max(strip.start - HALO, 0), min(strip.stop + HALO, size[0])) if len(strips) > 1 else strip
        inner = slice(strip.start - wide.start, strip.stop - wide.start)
        seen = look((wide, columns))
        found = found or PlaneScan(np.ones(len(seen.colours), bool))
        found.masked += int(seen.masked[inner].sum())
        found.has_gaps |= not seen.known[inner].all()
        colours, known = _known_only(seen) if suspects else seen.colours, seen.known
        for name in (one for one in suspects if one in MASKED):
            check_cancelled()
            pixels = _suspected(name, colours, known, find_areas)
            _note(found, name, pixels[inner], strip, size)
            known = known & ~pixels
        colours, known = colours[:, inner], known[inner]
        found.measure(colours, known, with_floor=bool(suspects))
        if known.any():
            found.alike &= _alike(colours)
    assert found is not None
    if len(strips) > 1 and "areas" in found.counts and not found.is_varied:
        return scan_plane(look, size, [name for name in suspects if name != "areas"])
    if {"lines", "waves"} & set(suspects):
        again = _again(look, found, size) if len(strips) > 1 else _parts_of(colours, known)
        _level(found, again, size, strips, suspects)
    return found


def strips_of(size: tuple[int, int]) -> list[slice]:
    """Cut a plane into rows that are scanned together."""
    rows = size[0] if size[0] * size[1] <= WHOLE else max(STRIP // size[1] // 8 * 8, HALO)
    return [slice(start, min(start + rows, size[0])) for start in range(0, size[0], rows)]


def unpacked(packed: np.ndarray, region: Region, width: int) -> np.ndarray:
    """Give a region of what is packed along x, (y, x) bool."""
    return np.asarray(np.unpackbits(packed[region[0]], axis=1, count=width)[:, region[1]].astype(bool))


def _known_only(seen: Look) -> np.ndarray:
    """Give zeros for what is not known, which may be no number."""
    return np.where(seen.known, seen.colours, seen.colours.dtype.type(0))


def _suspected(
    name: str, colours: np.ndarray, known: np.ndarray, find_areas: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Find the pixels that were not measured, of one kind."""
    if name == "areas":
        return find_areas(colours, known)
    return np.asarray(np.logical_or.reduce([_outliers(sample, known) for sample in colours]))


def _outliers(plane: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Find hits of particles, and single pixels far off beside them."""
    hit = particle_hits(plane, known)
    return np.asarray(hit | outliers(plane, known & ~hit))


def _note(found: PlaneScan, name: str, pixels: np.ndarray, strip: slice, size: tuple[int, int]) -> None:
    """Take down suspected pixels of a strip."""
    if not pixels.any():
        return
    packed = found.suspected.setdefault(name, np.zeros((size[0], -(-size[1] // 8)), np.uint8))
    packed[strip] = np.packbits(pixels, axis=1)
    found.counts[name] = found.counts.get(name, 0) + int(np.count_nonzero(pixels))


def _alike(colours: np.ndarray) -> np.ndarray:
    """Say which samples are the same as the first."""
    nan = colours.dtype.kind == "f"
    return np.array([np.array_equal(sample, colours[0], equal_nan=nan) for sample in colours])


Parts = Callable[[Region], tuple[np.ndarray, np.ndarray]]
"""From a region of a plane to its colours, and the pixels that are known and not suspected."""


def _parts_of(colours: np.ndarray, known: np.ndarray) -> Parts:
    """Cut regions out of a whole plane."""
    return lambda region: (colours[(slice(None), *region)], known[region])


def _again(look: Callable[[Region], Look], found: PlaneScan, size: tuple[int, int]) -> Parts:
    """Look at regions of a plane once more."""

    def part(region: Region) -> tuple[np.ndarray, np.ndarray]:
        check_cancelled()
        seen = look(region)
        known = seen.known
        for packed in found.suspected.values():
            known = known & ~unpacked(packed, region, size[1])
        return _known_only(seen), known

    return part


def _level(
    found: PlaneScan, part: Parts, size: tuple[int, int], strips: Sequence[slice], suspects: Sequence[str]
) -> None:
    """Look for what the instrument has added, lines in bands of a large plane; measure it without that."""
    check_cancelled()
    whole = slice(0, size[0]), slice(0, size[1])
    samples = len(found.alike)
    offsets = Offsets(np.zeros((samples, size[0])), np.zeros((samples, size[1])), ((),) * samples)
    if "waves" in suspects and len(strips) == 1:
        colours, known = part(whole)
        offsets = replace(offsets, waves=tuple(tuple(find_waves(sample, known)) for sample in colours))
        check_cancelled()
    if "lines" in suspects:
        columns, rows = (
            slice(0, n) if len(strips) == 1 else _middle(n, STRIP // other) for n, other in (size[::-1], size)
        )
        colours, known = _less(part, offsets, (whole[0], columns))
        of_rows = np.stack([line_offsets(sample, known) for sample in colours])
        check_cancelled()
        colours, known = _less(part, offsets, (rows, whole[1]))
        of_columns = np.stack([line_offsets(sample.T, known.T) for sample in colours])
        offsets = replace(offsets, rows=of_rows, columns=of_columns)
    if not offsets:
        return
    found.offsets, found.extremes, found.floors, found.measured = offsets, None, [], 0
    for strip in strips:
        colours, known = _less(part, offsets, (strip, whole[1]))
        found.measure(colours, known, with_floor=True)


def _less(part: Parts, offsets: Offsets, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """Give a region without what was found to be added."""
    colours, known = part(region)
    return (colours - offsets.at(region) if offsets else colours), known


def _middle(length: int, part: int) -> slice:
    start = max(length - part, 0) // 2
    return slice(start, start + min(part, length))
