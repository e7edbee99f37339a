"""Masked prediction: the network sees the image itself with some pixels hidden, and predicts those.

It needs far fewer iterations than a network that makes the image from noise, and overfits late: what was predicted of
a pixel while it was hidden cannot have copied its noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_dip.prior.networks.network import Prior, VarianceHead
from napari_dip.prior.objectives.objective import Prediction
from napari_dip.prior.physics.fill import RELAXATION, Relaxation, fill, relax
from napari_dip.prior.physics.observation import Observation


class MaskedPrediction:
    """Hide random pixels of the image from the network and let it predict them, with the variance of its error.

    What was predicted while a pixel was hidden cannot have copied its noise, so the average of those predictions hardly
    overfits. The measured value is worth something, too: `posterior` combines both.

    The network sees and predicts local contrast, the difference to a blurred image over the local standard deviation,
    so that a dim cell is as clear to it as a bright one, and one hot pixel does not push all others into a corner.

    Parameters
    ----------
    network : Prior
        Takes channels + 1 (the image with hidden pixels filled in, and the mask of what is not seen) and those of a
        guide; gives channels + 1 (the mean and the variance of the prediction, both before scaling).
    observation : Observation
        Pixels that the noise of a target reaches are hidden with it.
    generator : torch.Generator
    hidden : float
        Part of the pixels that is hidden in each iteration.
    like_missing : bool
        Whether a moved copy of the mask of missing pixels is hidden, too, so that the network learns to fill in gaps
        of that shape.
    correct_fill : float, optional
        Hidden pixels are first filled in smoothly, and the network predicts what is wrong with that, in this part of
        the local contrast. It starts from where classical inpainting ends, but passes noise on: for clean images.
    hide_held_out : bool
        Whether held-out pixels are hidden in each iteration. Of few pixels a network that saw them would learn by heart
        what their neighbours have beside them, and give away their noise by that.
    together : bool
        Whether held-out pixels are hidden all together, as a gap is missing, or not at all. It is done where one of the
        first two was to be hidden: with a fifth of all pixels, in a third of the iterations. Their average has a third
        of the predictions that the average of a gap has.
    variance_head : VarianceHead
    relaxation : Relaxation
        Of the smooth fill.

    References
    ----------
    Krull, Buchholz, Jug: Noise2Void. CVPR 2019. Batson, Royer: Noise2Self. ICML 2019 (why hidden pixels suffice).
    Quan et al.: Self2Self with dropout. CVPR 2020 (many random masks of one image, averaged).
    """

    def __init__(
        self,
        network: Prior,
        observation: Observation,
        generator: torch.Generator,
        *,
        hidden: float,
        like_missing: bool = False,
        correct_fill: float | None = None,
        hide_held_out: bool = False,
        together: bool = False,
        variance_head: VarianceHead | None = None,
        relaxation: Relaxation = RELAXATION,
    ):
        self.network, self.observation, self.generator = network, observation, generator
        self.hidden, self.like_missing, self.correct_fill = hidden, like_missing, correct_fill
        self.hide_held_out = hide_held_out
        self.together = together and observation.held_out is not None
        self.variance_head, self.relaxation = variance_head or VarianceHead(), relaxation
        to_image = observation.forward_model.to_image
        self.base, self.contrast = (to_image(x) for x in observation.local)

    def predict(self) -> Prediction:
        """Predict the hidden pixels, and all others beside them."""
        target, hidden = self.draw()
        to_image = self.observation.forward_model.to_image
        seen = to_image(self.observation.observed * (1 - hidden))
        filled, start, fineness = fill(to_image(self.observation.values), seen), self.base, 1.0
        if self.correct_fill is not None:
            filled = start = relax(filled, seen, self.relaxation)
            fineness = self.correct_fill
        shown = [(filled - self.base) / self.contrast, 1 - seen]
        if self.observation.guide is not None:
            shown.append(self.observation.guide)
        raw = self.network(torch.cat(shown, 1)).float()
        mean = start + fineness * self.contrast * raw[:, :-1]
        if self.together:
            # what was seen is not predicted, and must not pass for it before it was hidden for the first time
            mean = torch.where((self._held_out > 0) & (hidden == 0), self.base, mean)
        return Prediction(mean, self.variance_head(raw[:, -1:], self.contrast), target)

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw the target, and all pixels that are hidden for it: these, and as far as their noise reaches.

        Of correlated noise, to hide all held-out pixels would hide too much.
        """
        target, held_out = self.observation.targets(self.hidden, self.generator), self.observation.held_out
        if self.hide_held_out and held_out is not None and not self.observation.noise.correlation_radius:
            target = torch.maximum(target, held_out)
        hide = False
        if self.together:
            held = self._held_out
            hide = bool(target[held > 0][:2].any())
            if hide:  # in place of others: what is beside them would be hard to predict with more hidden than usually
                part = float(held.sum() / (self.hidden * self.observation.observed.sum()).clamp_min(1))
                target = target * self.observation.random(1 - min(part, 1.0), self.generator)
        if self.like_missing:
            target = torch.maximum(target, self._moved_mask())
        if self.together:
            target = torch.where(self._held_out > 0, float(hide), target)
        return target, self.observation.widened(target)

    @property
    def _held_out(self) -> Tensor:
        assert self.observation.held_out is not None
        return self.observation.held_out

    def _moved_mask(self) -> Tensor:
        """Shift and mirror the mask of what is missing."""
        observed, dims = self.observation.observed, self.observation.dims
        axes = tuple(range(2, 2 + dims))
        draw = torch.rand(2, dims, generator=self.generator)
        shifts = [int(part * n) for part, n in zip(draw[0].tolist(), observed.shape[2:], strict=True)]
        mirrored = [axis for axis, coin in zip(axes, draw[1].tolist(), strict=True) if coin < 0.5]
        return torch.roll(1 - observed, shifts, axes).flip(mirrored)
