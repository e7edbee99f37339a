"""Weights that were read are checked whole, before anything is computed with them."""

from __future__ import annotations

import torch

from napari_dip.prior.fitting.state_check import MOST_WEIGHT, check_named
from napari_dip.prior.fitting.weights import Weights
from napari_dip.prior.networks.network import Prior
from napari_dip.prior.presets import STACK

SIDE = 16
"""Pixels of an image that networks are tried with."""


def check_weights(weights: Weights, preset: str, *, together: bool) -> None:
    """See that weights are those of the networks of a preset, and that these give numbers.

    Parameters
    ----------
    weights : Weights
    preset : str
        A key of `STACK`.
    together : bool
        Whether each channel is restored with a look at the others.

    Raises
    ------
    ValueError
    """
    if preset not in STACK:
        raise ValueError(f"the preset {preset} leaves no weights")
    row, samples = STACK[preset], weights.samples
    networks: dict[int, tuple[int, Prior]] = {}
    context = samples * (len(weights.channels) - 1) if together else 0
    for channel in weights.channels:
        if channel is None:
            continue
        if not 1 <= len(channel.networks) <= row.members:
            raise ValueError(f"it has {len(channel.networks)} networks, and the preset {preset} has {row.members}")
        if channel.reach not in networks:
            inputs = row.view(channel.reach, context).inputs(samples)
            networks[channel.reach] = inputs, row.network.build(inputs, samples + 1, 2, torch.Generator())
        inputs, network = networks[channel.reach]
        for one in channel.networks:
            check_named(one, network.state_dict())
            network.load_state_dict(one)
            network.eval()
            with torch.no_grad():
                found = network(torch.rand((1, inputs, SIDE, SIDE), generator=torch.Generator().manual_seed(0)))
            if not (found.abs() <= MOST_WEIGHT).all():
                raise ValueError("its networks give no numbers that could be those of an image")
