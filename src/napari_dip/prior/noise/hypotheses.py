"""Hypotheses of what the noise of an image is, and the judge that chooses among them.

Each hypothesis looks at the evidence and gives a noise model, or nothing where the image does not prove it. White noise
needs no proof: it is what is left. To take structure for noise destroys it, to take noise for structure leaves some
noise, so a hypothesis that would destroy more has to be proven by more. A new kind of noise is a new hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from napari_dip.prior.noise.evidence import Blocks, Evidence
from napari_dip.prior.noise.flat_blocks import block_means
from napari_dip.prior.noise.saturation import clipped_error
from napari_dip.prior.noise.variance_curve import fit_variance_curve, name_of
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel


class Hypothesis(Protocol):
    """What the noise of an image may be."""

    @property
    def weight(self) -> int:
        """How much it explains: of those that are proven, the one that explains most is taken."""
        ...

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give the noise as it would be, or None where the image does not prove it."""
        ...


@dataclass(frozen=True)
class CompressionError:
    """The error of JPEG and its kin, whose blocks stand out along both axes."""

    weight: int = 5

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give white noise that stands for the error, which is alike in neighbouring pixels."""
        error, certain = evidence.compression
        kind = evidence.known.kind
        # noise that was there before is left by it, smeared and stronger than its error
        if kind != "compression" and (kind != "auto" or not certain or _is_proven(evidence)):
            return None
        variance = (evidence.config.compression.white_factor * error) ** 2
        return NoiseModel(Gaussian(NoiseVariance(variance)), 0, "compression")


@dataclass(frozen=True)
class SinglePhotons:
    """Most pixels have no photon and the others a few: hardly a block varies, so the flattest ones say nothing."""

    weight: int = 4

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give Poisson noise with the gain by which all values are multiples of a photon."""
        config, values = evidence.config, evidence.planes[evidence.observed]
        steps = np.unique(values)
        if evidence.known.kind != "auto" or not 2 <= len(steps) <= config.few_counts:
            return None
        photon, mean = float(steps[1]), float(values.mean())
        variance = evidence.blocks(1)[1]
        off = np.abs(steps / photon - np.rint(steps / photon)).max()
        if np.count_nonzero(values == 0) < 0.5 * values.size or off > 1e-3 or not variance.size:
            return None
        if not 1 / config.counting < variance.mean() / (photon * mean) < config.counting:
            return None
        return NoiseModel(Gaussian(NoiseVariance(0.0, gain=photon)), 0, "poisson")


@dataclass(frozen=True)
class EnlargedNoise:
    """Noise that was enlarged with its image, so that next to nothing of it is left from pixel to pixel."""

    weight: int = 3

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give noise that reaches as far along each axis as differences grow."""
        along = evidence.along
        if along is None or not all(along) or not evidence.is_enlarged:
            return None
        if max(along) > evidence.config.smear.most_of_period * evidence.shared_period:
            return None
        axis = 0 if along[0] <= along[1] else 1
        return _model(evidence, evidence.blocks_along(axis, along[axis] + 1), max(along), along)


@dataclass(frozen=True)
class LineNoise:
    """Noise that is smeared along one axis and white along the other, where an image is flat."""

    weight: int = 3

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give noise that reaches as far as differences grow."""
        along = evidence.along
        if along is None or all(along) or not evidence.is_stationary:
            return None
        smear, found = evidence.config.smear, evidence.line_noise
        if found is not None and found[0].index(0) == along.index(0):
            if max(along) > max(found[0]) + smear.further:  # structure grows on beyond the reach of noise
                along = found[0]
            if found[1] < smear.rich_part:
                return _over_structure(evidence, *found)
        return _model(evidence, evidence.blocks_along(along.index(0), 1), max(along), along)


@dataclass(frozen=True)
class CorrelatedNoise:
    """Noise that reaches into neighbouring pixels, the same along both axes."""

    weight: int = 2

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give noise with the reach beyond which differences grow no more."""
        known = evidence.known.reach
        if known is not None:
            return _model(evidence, evidence.blocks(known + 1), known) if known else None
        if not _is_proven(evidence):
            return None
        radius = max(evidence.reach, 1)
        if radius == 1 and evidence.is_near:
            (brightness, variance), part = evidence.blocks(2), evidence.near_part
            noise = _model(evidence, (brightness, variance * part), 1)
            return replace(noise, free_of_structure=part < evidence.config.correlated.surely)
        return _model(evidence, evidence.blocks(radius + 1), radius)


@dataclass(frozen=True)
class LineNoiseOverStructure:
    """Noise that is smeared along one axis, in an image that is flat nowhere."""

    weight: int = 1

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give the noise by what both axes do not have in common."""
        found = evidence.line_noise
        if found is None or not evidence.is_stationary:
            return None
        return _over_structure(evidence, *found) if found[1] > evidence.config.smear.least_part else None


def _is_proven(evidence: Evidence) -> bool:
    """Whether noise that reaches into neighbours is proven, in each plane or between planes."""
    most, radius = evidence.config.most_radius, evidence.reach
    if not most:
        return False
    if evidence.is_level:
        return True
    if not radius:
        return False
    # interpolated noise reaches further, if only a little, than its differences grow by much
    beyond = most + (2 if evidence.is_interpolated and radius == most else 1)
    if evidence.is_smeared and evidence.is_everywhere(beyond) and evidence.is_isotropic:
        return True
    between = evidence.between_planes
    return between is not None and between.is_smeared_alike


def _over_structure(evidence: Evidence, along: tuple[int, int], part: float) -> NoiseModel:
    """Make a model of noise that is a part of the differences along the axis on which it is white."""
    brightness, variance = evidence.blocks_along(along.index(0), 1)
    return replace(_model(evidence, (brightness, part * variance), max(along), along), free_of_structure=True)


@dataclass(frozen=True)
class WhiteNoise:
    """Noise that is independent from pixel to pixel, and no stronger than what is seen at a fine scale."""

    weight: int = 0

    def read(self, evidence: Evidence) -> NoiseModel | None:
        """Give the noise of which structure shows least."""
        kind = evidence.known.kind
        # where there is fine structure, what grows with brightness may as well be that
        kind = "gaussian" if evidence.reach and kind == "auto" and not evidence.is_compressed else kind
        noise = _model(evidence, evidence.white_blocks, 0, kind=kind)
        return replace(noise, undecided_radius=_undecided_radius(noise, evidence))


HYPOTHESES: tuple[Hypothesis, ...] = (
    CompressionError(),
    SinglePhotons(),
    EnlargedNoise(),
    LineNoise(),
    CorrelatedNoise(),
    LineNoiseOverStructure(),
    WhiteNoise(),
)


def judge(evidence: Evidence) -> NoiseModel:
    """Choose the hypothesis that explains most of those that the image proves."""
    for hypothesis in sorted(HYPOTHESES, key=lambda one: -one.weight):
        if (noise := hypothesis.read(evidence)) is not None:
            return noise if noise.told else _bounded(noise, evidence)
    raise AssertionError("white noise needs no proof")


def _undecided_radius(noise: NoiseModel, evidence: Evidence) -> int:
    """Give the radius of correlated noise that is possible and clearly stronger than the white noise, else 0."""
    radius = evidence.reach
    if not radius or evidence.known.reach is not None or noise.told or not evidence.may_be_correlated:
        return 0
    white = float(noise.likelihood.noise_variance(torch.tensor(evidence.brightness)))
    correlated = evidence.level(radius + 1) / evidence.config.differences.bias
    return radius if correlated > evidence.config.correlated.matters * white else 0


def _bounded(noise: NoiseModel, evidence: Evidence) -> NoiseModel:
    """Replace noise that is stronger than what a linear prediction leaves: it was a pattern, which can be predicted."""
    config, planes, observed = evidence.config, evidence.planes, evidence.observed
    predicted = config.linear.residuals(planes, observed, noise.radii)
    if predicted is None:
        return noise
    left, where = predicted
    mean = (planes - left)[where]
    variance = noise.likelihood.noise_variance(torch.from_numpy(mean)).double().numpy()
    thought = clipped_error(mean, variance, *noise.edges).mean()
    bound = config.least_left_if_correlated if noise.correlation_radius else config.least_left
    if (left[where] ** 2).mean() > bound * thought or not evidence.is_pattern:
        return noise
    kind = evidence.known.kind if evidence.known.kind not in ("auto", "compression") else "gaussian"
    blocks = block_means(zip(planes, left**2, where, strict=True), config.residuals)
    curve = fit_variance_curve(*blocks, config.residuals, config, known=replace(evidence.known, kind=kind))
    return NoiseModel(Gaussian(curve), 0, kind)


def _model(
    evidence: Evidence, blocks: Blocks, radius: int, along: tuple[int, int] | None = None, kind: str | None = None
) -> NoiseModel:
    """Make a model of the blocks that show the noise, of a kind if that is given."""
    known, config = replace(evidence.known, kind=kind or evidence.known.kind), evidence.config
    low, high = evidence.edges
    if np.isfinite(low):
        # photon counts pile up at zero by themselves; only read noise as strong as a photon is cut off there
        free = fit_variance_curve(*blocks, config.differences, config, -np.inf, high)
        unlit = free.read - free.gain * free.offset
        usual = float(free.at(torch.tensor(evidence.brightness)))
        is_cut = unlit > max(free.gain**2, config.unlit * usual) or not evidence.has_counts(free.gain)
        low = low if is_cut else -np.inf
    curve = fit_variance_curve(*blocks, config.differences, config, low, high, known)
    kind = known.kind if known.kind != "auto" else name_of(curve, evidence.brightness, config.naming)
    told = known.sigma is not None or known.gain is not None
    return NoiseModel(Gaussian(curve, low, high), radius, kind, along, told)
