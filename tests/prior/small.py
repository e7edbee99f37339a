"""A network small enough for tests."""

import torch

from napari_dip.prior.network import SlimPrior


def small_network(inputs: int, outputs: int, dims: int = 2, seed: int = 0) -> SlimPrior:
    generator = torch.Generator().manual_seed(seed)
    network = SlimPrior(inputs, outputs, generator, channels=8, depth=2, skip=4, thin=4, dims=dims)
    network.initialise(generator)
    return network
