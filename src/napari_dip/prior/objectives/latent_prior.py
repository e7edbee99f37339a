"""The published way to fit a network to a single image: from fixed noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_dip.prior.networks.network import Prior, VarianceHead
from napari_dip.prior.objectives.objective import Prediction
from napari_dip.prior.physics.observation import Observation

LATENT_RANGE = 0.1
"""The latent is uniform in [0, 0.1] (Ulyanov et al., IJCV 2020, section "Technical details")."""


class LatentPrior:
    """The deep image prior: minimise |forward_model(network(z)) - values|^2 over the weights, for a fixed random z.

    Each iteration adds fresh noise to z, which regularises.

    Parameters
    ----------
    network : Prior
        Takes `latent_channels` (and those of a guide), gives the channels of the image, and one more with a
        `variance_head`.
    observation : Observation
    generator : torch.Generator
    latent_channels : int
        Channels of z.
    latent_noise : float
        Standard deviation of the noise added to z.
    latent_step : int
        The latent and its noise are drawn for every so many pixels, and interpolated linearly between them. With a
        short way from latent to image, the grain of a finer latent would show in the image.
    variance_head : VarianceHead, optional
        Lets the network tell the variance of its error in a last channel.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky: Deep Image Prior. CVPR 2018, eq. 2.
    """

    def __init__(
        self,
        network: Prior,
        observation: Observation,
        generator: torch.Generator,
        *,
        latent_channels: int,
        latent_noise: float,
        latent_step: int = 1,
        variance_head: VarianceHead | None = None,
    ):
        self.network, self.observation, self.generator = network, observation, generator
        self.latent_noise, self.variance_head = latent_noise, variance_head
        self.size = observation.image_size
        coarse = (math.ceil(n / latent_step) for n in self.size)
        self.latent = torch.empty(1, latent_channels, *coarse).uniform_(0, LATENT_RANGE, generator=generator)

    def predict(self) -> Prediction:
        """Make the image from the latent; every pixel is a target."""
        latent = self.latent
        if self.latent_noise:
            latent = latent + self.latent_noise * torch.empty(latent.shape).normal_(generator=self.generator)
        latent = latent.to(self.observation.values.device)
        if latent.shape[2:] != self.size:
            latent = F.interpolate(latent, size=self.size, mode="bilinear" if len(self.size) == 2 else "trilinear")
        output = self.network(_with_guide(latent, self.observation)).float()
        if self.variance_head is None:
            return Prediction(output)
        contrast = self.observation.forward_model.to_image(self.observation.local[1])
        return Prediction(output[:, :-1], self.variance_head(output[:, -1:], contrast))


def _with_guide(shown: Tensor, observation: Observation) -> Tensor:
    return shown if observation.guide is None else torch.cat([shown, observation.guide], 1)
