"""The noise model is verified by what a fit has left: a pixel that was never seen cannot be told better than its noise.

What is measured of a held-out pixel is its true value and its noise. So the mean square of what a prediction leaves
there is the variance of the noise and the error of the prediction together, and never less than that of the noise.
Where it is, the noise was thought to be stronger than it is: fine structure in all blocks, as of a checkerboard, looks
like noise to differences of neighbours, but it can be predicted.

References
----------
Batson, Royer: Noise2Self. ICML 2019, proposition 1 (what a prediction of unseen pixels leaves).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from napari_dip.prior.noise_estimation import NoiseModel


@dataclass(frozen=True)
class Verification:
    """When noise is doubted.

    Attributes
    ----------
    sure : float
        Standard errors by which less has to be left than noise would leave.
    clear : float
        Part of the variance that was thought of, above which it is believed all the same: estimates of it are no better
        than that.
    least : int
        Held-out values below which nothing is said.
    """

    sure: float = 2.5
    clear: float = 0.85
    least: int = 50

    def most_noise(self, noise: NoiseModel, prediction: Tensor, values: Tensor, held_out: Tensor | None) -> float:
        """Find what part of its variance the noise can have at the most.

        Parameters
        ----------
        noise : NoiseModel
            As it was thought to be.
        prediction, values : (1, channels, [z,] y, x) Tensor
        held_out : (1, 1, [z,] y, x) Tensor or None
            1 for pixels that the prediction was made without.

        Returns
        -------
        float
            1 where there is no reason to doubt it: noise that is correlated is told by neighbours, and noise that was
            given is believed.
        """
        if noise.told or noise.correlation_radius or held_out is None:
            return 1.0
        at = held_out.expand_as(values) > 0
        if int(at.sum()) < self.least:
            return 1.0
        variance = noise.likelihood.noise_variance(prediction)
        value, spread = noise.likelihood.unclipped(prediction, variance, values)
        left = (((value - prediction) ** 2 + spread) / variance)[at].double()
        most = float(left.mean() + self.sure * left.std() / left.numel() ** 0.5)
        return most if most < self.clear else 1.0


VERIFICATION = Verification()
