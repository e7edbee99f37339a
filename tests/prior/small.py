"""Images, networks and problems small enough for tests."""

import torch
from torch import Tensor

from napari_dip.prior.estimators.posterior import Refined
from napari_dip.prior.fitting.averages import Averaging
from napari_dip.prior.fitting.fit import Problem
from napari_dip.prior.networks.network import Prior, SlimPrior
from napari_dip.prior.networks.optimisation import Optimisation
from napari_dip.prior.objectives.masked_prediction import MaskedPrediction
from napari_dip.prior.objectives.objective import Objective
from napari_dip.prior.physics.likelihood import Gaussian, NoiseVariance
from napari_dip.prior.physics.noise_model import NoiseModel
from napari_dip.prior.physics.observation import Observation


class Spy(Prior):
    """Remembers what it was shown, and gives as many of its first channels back as an image has, and zero after them.

    A masked prediction takes its last output for the variance, so that of a gray image gets one more.
    """

    levels, dims = 0, 2

    def __init__(self, channels: int = 1, more: int = 1):
        super().__init__()
        self.channels, self.more = channels, more

    def forward(self, x: Tensor) -> Tensor:
        self.shown = x
        rest = torch.zeros(1, self.more, *x.shape[2:])
        return torch.cat([x[:, : self.channels], rest], 1)


def small_network(
    inputs: int,
    outputs: int,
    dims: int = 2,
    seed: int = 0,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
) -> SlimPrior:
    generator = generator or seeded(seed)
    network = SlimPrior(inputs, outputs, generator, channels=8, depth=2, skip=4, thin=4, dims=dims, dropout=dropout)
    network.initialise(generator)
    return network


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(1, *shape, generator=seeded(seed))


def noisy_wave(size: int = 48, channels: int = 1, sigma: float = 0.1) -> tuple[Tensor, Tensor]:
    """A smooth image, and the same with noise."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    truth = (0.5 + 0.3 * torch.sin(y / 4) * torch.cos(x / 5)).expand(1, channels, size, size)
    return truth, truth + sigma * torch.randn(truth.shape, generator=seeded())


def everywhere(image: Tensor) -> Tensor:
    return torch.ones_like(image[:, :1])


def gaussian(variance: float = 0.01, radius: int = 0, **options: float) -> NoiseModel:
    return NoiseModel(Gaussian(NoiseVariance(variance), **options), radius, "gaussian")


def observation_of(values: Tensor, mask: Tensor | None = None, noise: NoiseModel | None = None, **more) -> Observation:
    """What is known of an image: everything, or where a mask is 1."""
    return Observation(values, everywhere(values) if mask is None else mask, noise=noise or gaussian(), **more)


def masked(observation: Observation, network: Prior, seed: int = 1, **options) -> MaskedPrediction:
    return MaskedPrediction(network, observation, seeded(seed), **{"hidden": 0.3, **options})


def problem(*objectives: Objective, optimiser: str = "adam", **options) -> Problem:
    """Objectives as the presets for noisy images fit them; the first one's generator is that of all."""
    options = {"averaging": Averaging(0.985, 9), "last_step": Refined(), **options}
    options.setdefault("optimisation", Optimisation(optimiser))
    return Problem(objectives, generator=objectives[0].generator, **options)
