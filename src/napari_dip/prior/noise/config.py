"""The numbers by which noise is estimated, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_dip.prior.noise.compression import JPEG, BlockSteps
from napari_dip.prior.noise.flat_blocks import DIFFERENCES, RESIDUALS, FlatBlocks
from napari_dip.prior.noise.linear_prediction import LINEAR, LinearPredictor
from napari_dip.prior.noise.saturation import PILE_UP, UNCLIPPING, PileUp, Unclipping


@dataclass(frozen=True)
class VarianceCurve:
    """How a curve of variance over brightness is fitted to the flattest blocks.

    Attributes
    ----------
    most_points : int
        Points of the curve at the most; three terms are fitted, so five for each. Measured: benchmarks/constants.py.
    blocks_per_point : int
        Blocks that a point takes; the flattest fifth of fewer is a block or two. With fewer in all there is one point.
        Measured: benchmarks/constants.py.
    unseen : float
        Variance of an image of which nothing is seen, in squared units of [0, 1]: it is taken to be good, with noise of
        1 % of its range.
    least_weight : float
        Errors are relative to the variance of a point, but to no less than this part of their median: blocks without
        any noise must not count for all. Measured: benchmarks/constants.py.
    accuracy : float
        Relative error of a point below which no better fit is sought.
    """

    most_points: int = 16
    blocks_per_point: int = 16
    unseen: float = 1e-4
    least_weight: float = 0.02
    accuracy: float = 0.05


@dataclass(frozen=True)
class Naming:
    """Which part of the variance, at the mean brightness, gives noise its name; nothing else depends on it.

    Attributes
    ----------
    multiplicative : float
        More than this part in proportion to the squared signal: most of it.
    few, most : float
        Less than `few` that grows with brightness is "gaussian", more than `most` is "poisson", both a tenth from the
        end: less could not be told from an error of the fit.
    """

    multiplicative: float = 0.5
    few: float = 0.1
    most: float = 0.9


@dataclass(frozen=True)
class Place:
    """How noise that depends on place is found.

    Attributes
    ----------
    side : int
        Of a block, in pixels.
    around : int
        Blocks to each side that are looked at with it.
    flattest, bias : float
        The quantile of their mean squares that counts, and where that lies for white noise of variance 1.
    usual : float
        The quantile of all places that is the usual one: that of the flattest blocks, which all noise is found by.
    counted : float
        Pairs of neighbours for a pixel, of two, that a block has to have at the least.
    least, most : float
        Less than so many times as much is not told from chance, nor from structure, and only the square of that is
        believed in full; more than `most` is not believed.
    few : float
        Part of the places at either end that is left out where it is asked how far the noise of most is apart.
    texture, uneven : float
        Factor between the noise of these up to which it may be texture, and from which on noise surely differs
        everywhere: 2 of fur and 4 of coins, 5 to 9 of noise that grows to the borders.
    quietest : float
        Then the quantile of all places that is the usual one.
    """

    side: int = 16
    around: int = 1
    flattest: float = 0.5
    bias: float = 1.0
    usual: float = 0.3
    counted: float = 0.5
    least: float = 1.5
    most: float = 100.0
    few: float = 0.1
    texture: float = 3.3
    uneven: float = 5.0
    quietest: float = 0.15


@dataclass(frozen=True)
class Smear:
    """How noise that is correlated along one axis is told.

    Attributes
    ----------
    most : int
        Farthest reach in pixels that is looked for.
    white : float
        Along the other axis differences over one step have at least this part of the variance of those over three.
    apart : float
        Along it they have no more than this part of the variance that they have along the other.
    least_part : float
        Where there is structure, too: part of the differences along the white axis that noise has to be, or structure
        that does not have both axes quite alike would be taken for more of it.
    rich_part : float
        With less than this part, structure is reckoned with in flat places, too.
    rises, gone : float
        How much of the difference between both axes, over one pixel, that over more pixels is at the most, and what is
        taken for nothing: up to 1.02, and up to 0.2 from chance.
    further : int
        Pixels by which differences may grow further than what both axes do not have in common.
    most_of_period : float
        Noise of an enlarged image reaches so many of its periods at the most: 1.0 to 1.4.
    enlarged : float
        Differences over one step have less than this part of the variance of those beyond the reach, along both axes,
        where an image was enlarged.
    grows : float
        Factor between one step and the next below which differences grow no more.
    """

    most: int = 8
    white: float = 0.7
    apart: float = 0.5
    least_part: float = 0.7
    rich_part: float = 0.8
    further: int = 2
    most_of_period: float = 1.5
    rises: float = 1.12
    gone: float = 0.2
    enlarged: float = 0.03
    grows: float = 1.12


@dataclass(frozen=True)
class CorrelatedNoise:
    """What is taken for noise that reaches into neighbouring pixels, and not for fine structure.

    Attributes
    ----------
    white_part : float
        Largest part of the variance at the finest scale.
    tail, tail_within : float
        Largest kurtosis beyond the reach, and within.
    spread : float
        Largest excess of the scatter of the flattest blocks beyond the reach, as a difference of logarithms, beside
        its standard error.
    spread_within : float
        The same within the reach.
    residual_spread : float
        The same of what a prediction leaves behind.
    small, structure : float
        Where the white part is more than `small`, excess kurtosis and excess scatter of differences over two pixels
        together are at the most `structure`: -0.3 to 0.2 of noise, mostly below 0.1, and 0.1 to 0.5 of felts.
    next_to_nothing : float
        With a smaller white part, edges are all that is left at the finest scale, so its shape says nothing.
    most_period, most_period_of_both : float
        Longest period in pixels that interpolation leaves, along one axis and where both have the same.
    line_tail, line_spread : float
        Largest kurtosis, and excess of the scatter, of differences over one pixel, of noise smeared along one axis.
    low : float
        Quantile of the blocks that the scatter is measured at.
    grows, level, level_if_compressed : float
        Largest factor between the variances of differences beyond the reach and twice as far, or between those of one
        pixel less and beyond. A compressed image has to be at a level twice as far, or nearly so from one pixel less.
    grows_if_interpolated : float
        The same where interpolated noise is followed a pixel further: 1.0 to 1.3 of noise.
    white_part_between, level_between : float
        The same of differences between planes, of which some are smeared more than others.
    isotropic : float
        Factor between the variances of differences along y and along x from which on noise reaches along one of them:
        at the most 1.1 of noise that reaches as far along both.
    white_part_if_near : float
        With at least this white part, noise reaches little beyond the next pixel, and differences over one tell its
        strength. With less it reaches on.
    surely : float
        There is structure where these tell less than this part of it.
    white_part_if_sharp, dull, sharp, sharp_tail, sharp_spread : float
        Where differences over one pixel have at most the part `dull`, and those over two at least the part `sharp`, of
        the variance of those over three, little kurtosis and little excess of their scatter, the white part may be so
        large: 0.68 to 0.71 of reconstructed noise. Photographs and felts with white noise have 0.75 over two pixels at
        the most, or 0.3 over one at the least.
    white_level, little, level_spread, level_tail : float
        Of differences that end at a level (see `Evidence.is_level`): the largest variance over one pixel, as a part of
        that level, and what of it is next to nothing; the largest excess of their scatter, and the largest kurtosis.
    rounded : float
        Values are rounded if there are fewer different ones than this part of the pixels.
    peak : float
        Least power of a period, over the median of all.
    may_be_white : float
        Largest white part of what may be correlated noise, though that is not proven: 0.03 to 0.65 of correlated noise,
        0.68 to 1 of most white noise under fine structure.
    matters : float
        How many times the variance of the white noise that of the correlated noise has, at the least, to be worth a
        word.
    """

    white_part: float = 0.62
    tail: float = 3.5
    tail_within: float = 4.0
    spread: float = 0.14
    spread_within: float = 0.19
    residual_spread: float = 0.15
    small: float = 0.3
    structure: float = 0.1
    next_to_nothing: float = 0.1
    most_period: float = 4.5
    most_period_of_both: float = 7.3
    line_tail: float = 4.5
    line_spread: float = 0.29
    low: float = 0.05
    grows: float = 2.0
    grows_if_interpolated: float = 1.4
    isotropic: float = 1.5
    white_part_if_near: float = 0.3
    surely: float = 0.95
    white_part_if_sharp: float = 0.72
    dull: float = 0.2
    sharp: float = 0.77
    sharp_tail: float = 3.25
    sharp_spread: float = 0.06
    level: float = 1.15
    level_if_compressed: float = 1.25
    white_part_between: float = 0.7
    level_between: float = 1.3
    white_level: float = 0.5
    little: float = 0.15
    level_spread: float = 0.08
    level_tail: float = 3.5
    rounded: float = 0.25
    peak: float = 30.0
    may_be_white: float = 0.68
    matters: float = 2.0


@dataclass(frozen=True)
class FineStructure:
    """How much structure is reckoned with at the finest scale.

    Attributes
    ----------
    gaussian : float
        Kurtosis of fourth differences of Gaussian noise in blocks, each by its own deviation.
    excess : float
        Excess kurtosis that structure is taken to have: 1 to 2 of grass and gravel, 5 and more of edges and threads. A
        smaller number takes more for structure.
    same : float
        Differences over two pixels with up to so many times the variance of those over one are alike: even a twelfth of
        the noise that is left by mistake is the most of what is wrong with a smooth image.
    growth : float
        Structure has at least so much more variance, as a part of its own, in differences over two pixels than over
        one: 0.75 in clean photographs, several times its own in most.
    most : float
        Part that is taken for structure at the most.
    """

    gaussian: float = 2.82
    excess: float = 2.0
    same: float = 1.2
    growth: float = 0.75
    most: float = 0.75


CURVE, NAMING, SMEAR, PLACE, CORRELATED = VarianceCurve(), Naming(), Smear(), Place(), CorrelatedNoise()
STRUCTURE = FineStructure()
FINEST_BIAS = {4: 0.66, 8: 0.558}
"""`FlatBlocks.bias` for differences of high orders, whose pixels are more alike: simulated with white noise."""


@dataclass(frozen=True)
class Estimation:
    """How noise is estimated.

    Attributes
    ----------
    differences, residuals : FlatBlocks
        Where it is seen, before anything is known and once there is a prediction.
    curve : VarianceCurve
    pile_up : PileUp
    unclipping : Unclipping
    compression : BlockSteps
    naming : Naming
    place : Place
    linear : LinearPredictor
    smear : Smear
    most_radius : int
        Largest correlation radius that is looked for. Beyond, the smooth image itself shows in the differences.
    usual : float
        Part of the blocks that are flatter than the usual ones.
    fewest_planes : int
        Planes of a volume or a film from which on those beside each other are compared.
    few_blocks : int
        With fewer, differences of a high order scatter too much.
    few_counts : int
        Most values that an image of single photons has.
    counting : float
        Within this factor the variance of photon counts is their mean; that of structure comes to it.
    gaussian : float
        Kurtosis of differences beyond which they may be a pattern that a linear prediction knows.
    white_ratio, white_ratio_beyond : float
        Noise counts as white if the variance of its differences over one step is at least this part of that over the
        next; the two are alike for white noise. Beyond a pixel, what little it has in common with others does less harm
        than their loss. Measured: benchmarks/constants.py.
    unlit : float
        Values that pile up at the low edge are cut off, rather than photon counts of zero, where the read variance
        without light is more than this part of the usual one, or than that of a photon. Measured:
        benchmarks/constants.py.
    between : float
        Values between no photon and a half, as a part of those up to 2.5 photons, from which on they are no counts: a
        quarter if all values are as frequent. A gain is known within a factor of two.
    most_correction : float
        How many times the estimated variance a correction by residuals may reach; texture that the prediction lacks
        shows in them, too. Measured: benchmarks/constants.py.
    least_left, least_left_if_correlated : float
        Part of the estimated variance that a linear prediction has to leave, or it is no noise: 0.9 to 1.4 of white
        noise, 1.2 of correlated noise (which it may know something of, if it reaches further than was seen), 0.001 to
        0.35 of checkerboards and lattices.
    """

    differences: FlatBlocks = DIFFERENCES
    residuals: FlatBlocks = RESIDUALS
    curve: VarianceCurve = CURVE
    pile_up: PileUp = PILE_UP
    unclipping: Unclipping = UNCLIPPING
    compression: BlockSteps = JPEG
    naming: Naming = NAMING
    place: Place = PLACE
    linear: LinearPredictor = LINEAR
    smear: Smear = SMEAR
    structure: FineStructure = STRUCTURE
    correlated: CorrelatedNoise = CORRELATED
    finest_bias: Mapping[int, float] = field(default_factory=lambda: FINEST_BIAS)
    most_radius: int = 2
    usual: float = 0.5
    fewest_planes: int = 4
    few_blocks: int = 128
    few_counts: int = 64
    counting: float = 1.5
    gaussian: float = 3.35
    white_ratio: float = 0.5
    white_ratio_beyond: float = 0.5
    unlit: float = 0.1
    between: float = 0.1
    most_correction: float = 2.5
    least_left: float = 0.6
    least_left_if_correlated: float = 0.25


ESTIMATION = Estimation()
