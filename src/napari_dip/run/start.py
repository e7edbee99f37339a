"""Whether fitted weights can be applied to an image: found out before any work."""

from __future__ import annotations

from napari_dip.errors import InputError
from napari_dip.image.source import Source
from napari_dip.image.work import Group
from napari_dip.prior.fitting.weights import ChannelWeights, Start
from napari_dip.prior.surroundings import most_threads, surroundings
from napari_dip.run.fits import groups_at_work
from napari_dip.run.request import Request
from napari_dip.run.stack_pool import Pool, shortest

MOST_APART = 3.0
"""How many times the noise beside the contrast of an image may be that of the fit, or the other way round. What a
network may trust of the pixels around depends on it; the noise itself is found anew. Noise 1.8 times as strong costs
0.1 dB, 2.8 times 0.8 dB. Measured: benchmarks/warm.py."""


def check_start(request: Request, start: Start) -> None:
    """Refuse an image that the weights do not suit.

    Noise of another strength is refused if the weights are applied as they are.

    Raises
    ------
    InputError
        Says what to do.
    """
    check_shape(request.source, start)
    for channel, group in groups_at_work(request.source, request.task).items():
        fitted = start.weights.channels[channel]
        if fitted is None:
            raise InputError(
                f"The prior knows nothing of channel {channel}, which was constant where it was fitted; fit anew."
            )
        _check_neighbours(request.source, group, fitted)
        if not start.iterations:
            _check_noise(request, group, fitted)


def check_shape(source: Source, start: Start) -> None:
    """Refuse other samples and channels than those of the fit.

    Raises
    ------
    InputError
    """
    samples, channels = start.weights.samples, len(start.weights.channels)
    for name, here, there in (("samples", source.samples, samples), ("channels", source.sizes.get("C", 1), channels)):
        if here != there:
            raise InputError(
                f"The image has {here} {name} (axes {source.axes}) and the prior was fitted to {there}; give an image "
                "like those, say which axes it has, or fit anew."
            )


def _check_neighbours(source: Source, group: Group, fitted: ChannelWeights) -> None:
    if fitted.reach and shortest([(source, group)]) == 1:
        raise InputError(
            f"The prior was fitted with {fitted.reach} neighbours on each side of a plane, so it needs a stack of 2 or "
            "more planes with something in them; give one, or fit to single planes."
        )


def _check_noise(request: Request, group: Group, fitted: ChannelWeights) -> None:
    with surroundings(most_threads(), request.device):
        here = Pool.of([(request.source, group)], request.settings, request.device).relative_noise
    if max(here / fitted.noise, fitted.noise / here) > MOST_APART:
        raise InputError(
            f"The noise of the image is {here:.2g} of its contrast, and {fitted.noise:.2g} where the prior was fitted; "
            "fit anew, or bring it up to date with some 50 iterations (in Python iterations=50, in the shell --update "
            "50)."
        )
