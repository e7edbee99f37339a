"""Which measured pixels are held out to judge by what is filled in: such as lie like the missing ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.ndimage import find_objects, label

from napari_dip.prior.physics.fill import deepest_gap
from napari_dip.prior.physics.observation import Observation


@dataclass(frozen=True)
class Surroundings:
    """How the surroundings of pixels are compared.

    Attributes
    ----------
    reach : int
        Over how many pixels, to each side; over as many more as a gap is deeper than `near`.
    near : float
        A depth, in pixels.
    most : int
        Pixels that are looked at.
    unlike : float
        Above this, from 0 to 1, surroundings are not alike. Those of scattered pixels differ by 0.1, and by 0.3 where
        there are only forty; those of regular grids and of every other line by more than 0.8.
    """

    reach: int = 4
    near: float = 2.0
    most: int = 2000
    unlike: float = 0.5

    def alike(self, held: np.ndarray, without: np.ndarray, missing: np.ndarray, seen: np.ndarray, deep: float) -> bool:
        """Say whether held-out pixels lie among those that are seen without them as missing ones among all measured."""
        return self.difference(held, without, missing, seen, deep) <= self.unlike

    def difference(
        self, held: np.ndarray, without: np.ndarray, missing: np.ndarray, seen: np.ndarray, deep: float
    ) -> float:
        """Give the difference, 0 to 1, between what part of each has a measured pixel at a place beside it.

        Near places count most. All are bool arrays of an image; `deep` is the depth of these pixels.
        """
        steps = np.arange(-self.reach, self.reach + 1)
        offsets = np.stack(np.meshgrid(*[steps] * seen.ndim, indexing="ij"), -1).reshape(-1, seen.ndim)
        offsets = offsets[(offsets != 0).any(1)]
        weight = 1.0 / (offsets**2).sum(1)
        offsets = np.rint(offsets * max(deep / self.near, 1.0)).astype(int)
        ours, theirs = (self._around(*pair, offsets) for pair in ((held, without), (missing, seen)))
        rarer = min((weight * (ours + theirs)).sum(), (weight * (2 - ours - theirs)).sum())
        return float((weight * abs(ours - theirs)).sum() / max(rarer, 1.0))

    def _around(self, pixels: np.ndarray, seen: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Part of some pixels that have a measured one at each offset; none lies beyond the borders."""
        places = np.argwhere(pixels)
        places = places[:: max(1, -(-len(places) // self.most))]
        if not len(places):
            return np.zeros(len(offsets))
        at = places[:, None] + offsets
        inside = ((at >= 0) & (at < seen.shape)).all(-1)
        found = seen[tuple(np.moveaxis(np.where(inside[..., None], at, 0), -1, 0))] & inside
        part: np.ndarray = found.mean(0)
        return part


@dataclass(frozen=True)
class HoldOut:
    """Which measured pixels are held out to judge by.

    Attributes
    ----------
    part, part_in_copies : float
        Most of the measured pixels: what is held out is not learned from.
    wanted : int
        Pixels that are enough, in however large an image.
    clumps : int
        Copies of gaps that are wanted, too: what is in one of them is alike.
    free : float
        Part of a copy that has to lie on measured pixels: else it is no copy.
    side : int
        Of the window of a gap that is larger than a fifth of all that is held out.
    tries : int
        Copies that are tried. Where they find no place, squares as deep as the deepest gap are held out.
    surroundings : Surroundings
    """

    part: float = 0.05
    part_in_copies: float = 0.1
    wanted: int = 800
    clumps: int = 12
    free: float = 0.8
    side: int = 24
    tries: int = 3000
    surroundings: Surroundings = field(default_factory=Surroundings)

    def split(self, observation: Observation, generator: torch.Generator) -> Observation:
        """Hold out pixels that lie like the missing ones; nothing is said of any where nothing is missing.

        Single pixels, if these do; else copies of the gaps, as far as these find a place. They are drawn from the seed
        of the generator, which itself stays as it is: the network learns the same, whatever is held out.
        """
        generator = torch.Generator().manual_seed(generator.initial_seed())
        seen = observation.observed[0, 0].cpu().numpy() > 0
        if seen.all():
            return observation
        wanted = min(self.wanted, int(self.part * seen.sum()))
        held = self._squares(seen, 1, wanted, generator)
        if held.any() and not self.surroundings.alike(held, seen & ~held, ~seen, seen, 1.0):
            held = self._copies(seen, int(self.part_in_copies * seen.sum()), generator)
            if held.sum() < wanted / 2:
                held = self._squares(seen, max(2 * int(deepest_gap(seen)) - 1, 1), wanted, generator)
        return replace(observation, held_out=torch.from_numpy(held[None, None]).to(observation.observed))

    def _copies(self, seen: np.ndarray, most: int, generator: torch.Generator) -> np.ndarray:
        """Move gaps to where all was measured, mirrored or not."""
        gaps, missing, held = label(~seen)[0], np.argwhere(~seen), np.zeros_like(seen)
        boxes, sizes = find_objects(gaps), np.bincount(gaps.ravel())
        copies = pixels = 0
        for draw in torch.rand(self.tries, 1 + 2 * seen.ndim, generator=generator).tolist():
            middle = missing[int(draw[0] * len(missing))]
            mirrors, places = draw[1 : 1 + seen.ndim], draw[1 + seen.ndim :]
            number = gaps[tuple(middle)]
            if 5 * sizes[number] <= max(most, self.side**2):
                copy = gaps[boxes[number - 1]] == number
            else:
                copy = ~seen[tuple(slice(max(at - self.side // 2, 0), at + self.side // 2) for at in middle)]
            copy = np.flip(copy, tuple(axis for axis, coin in enumerate(mirrors) if coin < 0.5))
            ends = [n - side + 1 for n, side in zip(seen.shape, copy.shape, strict=True)]
            corner = [int(part * end) for part, end in zip(places, ends, strict=True)]
            place = tuple(slice(at, at + side) for at, side in zip(corner, copy.shape, strict=True))
            free = copy & seen[place] & ~held[place]
            more = int(free.sum())
            if more >= self.free * copy.sum() and pixels + more <= most:
                held[place] |= free
                copies, pixels = copies + 1, pixels + more
            if pixels >= min(self.wanted, most) and copies >= self.clumps:
                break
        return held

    def _squares(self, seen: np.ndarray, side: int, wanted: int, generator: torch.Generator) -> np.ndarray:
        """Hold out all that was measured in squares with a measured pixel in their middle, no more than of copies."""
        places, held, pixels = np.argwhere(seen), np.zeros_like(seen), 0
        most = max(wanted, self.part_in_copies * seen.sum())
        for number in torch.randperm(len(places), generator=generator).tolist():
            square = tuple(slice(max(at - side // 2, 0), at + side // 2 + 1) for at in places[number])
            more = int((seen[square] & ~held[square]).sum())
            if pixels >= wanted:
                break
            if pixels + more <= most:
                held[square] |= seen[square]
                pixels += more
        return held
