"""The networks, for two and three dimensions.

`Hourglass` is the encoder-decoder of the published method, `SlimPrior` a faster one: its trunk works at half of the
resolution, where a pass costs a quarter. Both take and give (1, channels, [z,] y, x) of any size.

References
----------
Ulyanov, Vedaldi, Lempitsky: Deep Image Prior. CVPR 2018; IJCV 128, 2020 (section "Technical details").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_conv = {2: F.conv2d, 3: F.conv3d}
_linear = {2: "bilinear", 3: "trilinear"}
Border = Literal["reflect", "zeros"]
SLOPE = 0.2
"""Of the leaky ReLU below zero, as published (Ulyanov et al., reference implementation)."""
FORGETTING = 0.05
"""Part of the remembered mean and variance that each iteration replaces."""
LEAST_SIZE = 2
"""Pixels along each axis at the deepest scale, at the least: one pixel would have no variance to be normalised by."""


class Convolution(nn.Module):
    """Convolution of unchanged size. Its kernel is kept as a matrix, the only shape the Muon optimiser takes.

    Beyond the border lies the mirrored image, as published, or zeros, which cost a tenth less of an iteration.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        *,
        dims: int,
        bias: bool = True,
        border: Border = "reflect",
    ):
        super().__init__()
        self.shape = (outputs, inputs, *(size,) * dims)
        self.kernel = nn.Parameter(torch.empty(outputs, inputs * size**dims))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None
        self.stride, self.margin, self.dims = stride, (size - 1) // 2, dims
        self.reflects = border == "reflect" and self.margin > 0

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the kernel and the bias as torch.nn.Conv2d does: uniformly, within 1 / sqrt(fan-in)."""
        bound = 1 / math.sqrt(self.kernel.shape[1])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (1, inputs, ...) to (1, outputs, ...)."""
        kernel = self.kernel.view(self.shape)
        if self.reflects:
            x = F.pad(x, (self.margin,) * 2 * self.dims, mode="reflect")
            return _conv[self.dims](x, kernel, self.bias, self.stride)
        return _conv[self.dims](x, kernel, self.bias, self.stride, self.margin)


class Block(nn.Module):
    """Convolution, batch normalisation (always in training mode), leaky ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int = 3,
        stride: int = 1,
        *,
        dims: int,
        border: Border = "reflect",
        remembers: bool = False,
    ):
        super().__init__()
        # batch normalisation takes the mean away, so a bias would do nothing
        self.convolution = Convolution(inputs, outputs, size, stride, dims=dims, bias=False, border=border)
        self.normalise = Normalise(outputs, remembers=remembers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, inputs, ...) to (1, outputs, ...)."""
        return F.leaky_relu(self.normalise(self.convolution(x)), SLOPE)


class Normalise(nn.Module):
    """Batch normalisation over the image there is, then a learned scale and shift for each channel.

    Parameters
    ----------
    channels : int
    remembers : bool
        Keep the mean and variance of what was seen while it was fitted, and normalise by these once it is applied: a
        tile must not be normalised by its own content, or seams show.
    """

    def __init__(self, channels: int, *, remembers: bool = False):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.remembers, self.forgetting = remembers, FORGETTING
        self.mean: Tensor
        self.variance: Tensor
        if remembers:
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel."""
        if self.remembers:
            training, momentum = self.training, self.forgetting
            return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, training, momentum)
        if x[0, 0].numel() == 1:  # no variance to speak of at the bottom of a tiny image
            return x * self.weight.view(1, -1, *(1,) * (x.ndim - 2)) + self.bias.view(1, -1, *(1,) * (x.ndim - 2))
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)


class ChannelDropout(nn.Module):
    """Switch whole channels off at random, by a generator of its own, so that a run repeats exactly."""

    def __init__(self, rate: float, generator: torch.Generator):
        super().__init__()
        self.rate, self.generator = rate, generator

    def forward(self, x: Tensor) -> Tensor:
        """Zero each channel with probability `rate`, and scale up the others."""
        if not self.rate or not self.training:
            return x
        shape = (1, x.shape[1], *(1,) * (x.ndim - 2))
        kept = torch.rand(shape, generator=self.generator) >= self.rate
        return x * (kept.to(x.device, x.dtype) / (1 - self.rate))


class Prior(nn.Module):
    """What all networks share: any size of image, and weights drawn from a seeded generator."""

    levels: int  # number of times the image is halved
    dims: int
    aligned: bool = False  # whether it is padded at the far end alone, so that a tile is halved where its image is

    @cached_property
    def deepest(self) -> int:
        """Pixels along each axis at the deepest scale, at the least: a mirrored border of n takes n + 1 of them."""
        convolutions = (module for module in self.modules() if isinstance(module, Convolution))
        return max([LEAST_SIZE, *(one.margin + 1 for one in convolutions if one.reflects)])

    def initialise(self, generator: torch.Generator) -> None:
        """Draw all weights."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.initialise(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, inputs, ...) to (1, outputs, ...), padding to a multiple of 2 ** levels inside."""
        size, step = x.shape[2:], 2**self.levels
        missing = [max(self.deepest * step, math.ceil(n / step) * step) - n for n in size]
        if any(missing):
            x = F.pad(x, [side for m in reversed(missing) for side in (self._near(m), m - self._near(m))], "replicate")
        layout = torch.channels_last if self.dims == 2 else torch.channels_last_3d  # faster on CPU and GPU
        x = self.body(x.contiguous(memory_format=layout))
        inside = tuple(slice(self._near(m), self._near(m) + n) for m, n in zip(missing, size, strict=True))
        return x[(slice(None), slice(None), *inside)]

    def _near(self, missing: int) -> int:
        """Give how much of a padding comes before the image."""
        return 0 if self.aligned else missing // 2

    def body(self, x: Tensor) -> Tensor:
        """Do the work on an image of a fitting size."""
        raise NotImplementedError


@dataclass(frozen=True)
class VarianceHead:
    """How a raw output of a network is read as the variance of its error.

    Attributes
    ----------
    scale, shift : float
        The variance is `scale * contrast ** 2 * softplus(raw - shift)`: it begins near 5 % of the local contrast
        squared, above that of noise as one meets it, and is never negative. Measured: benchmarks/constants.py.
    """

    scale: float = 3.0
    shift: float = 4.0

    def __call__(self, raw: Tensor, contrast: Tensor) -> Tensor:
        """Give the variance, (1, 1, [z,] y, x), for an output and a local contrast of that shape."""
        return self.scale * contrast**2 * F.softplus(raw - self.shift)


def matrices(network: nn.Module) -> Iterator[nn.Parameter]:
    """Give the convolution kernels of one network or of several, as matrices."""
    return (module.kernel for module in network.modules() if isinstance(module, Convolution))


class Hourglass(Prior):
    """The published encoder-decoder with skip connections.

    Parameters
    ----------
    inputs, outputs : int
        Channels of the latent and of the image.
    channels, skip : sequence of int
        Width of each scale, and of the skip connection that leaves it (0: none), from fine to coarse.
    dims : int
        2 or 3 spatial dimensions.
    down_size : int
        Kernel size of the encoder.
    upsample : str
        "linear" or "nearest".
    mix : bool
        Whether each scale of the decoder ends in a 1x1 convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        channels: Sequence[int],
        skip: Sequence[int],
        *,
        dims: int = 2,
        down_size: int = 3,
        upsample: str = "linear",
        mix: bool = True,
    ):
        super().__init__()
        self.levels, self.dims = len(channels), dims
        self.upsample = _linear[dims] if upsample == "linear" else upsample
        finer, coarser = [inputs, *channels[:-1]], [*channels[1:], channels[-1]]
        self.skip, self.down, self.join, self.up = (nn.ModuleList() for _ in range(4))
        for source, width, side, below in zip(finer, channels, skip, coarser, strict=True):
            self.skip.append(Block(source, side, 1, dims=dims) if side else nn.Identity())
            encoder = Block(source, width, down_size, 2, dims=dims), Block(width, width, down_size, dims=dims)
            self.down.append(nn.Sequential(*encoder))
            self.join.append(Normalise(side + below))
            decoder = [Block(side + below, width, dims=dims)] + ([Block(width, width, 1, dims=dims)] if mix else [])
            self.up.append(nn.Sequential(*decoder))
        self.has_skip = [side > 0 for side in skip]
        self.out = Convolution(channels[0], outputs, 1, dims=dims)

    def body(self, x: Tensor) -> Tensor:
        """Down through the scales, and up again past the skip connections."""
        sides = []
        for skip, has_skip, down in zip(self.skip, self.has_skip, self.down, strict=True):
            sides.append([skip(x)] if has_skip else [])
            x = down(x)
        for join, up in zip(reversed(self.join), reversed(self.up), strict=True):
            x = F.interpolate(x, scale_factor=2, mode=self.upsample)
            x = up(join(torch.cat([*sides.pop(), x], 1)))
        return torch.sigmoid(self.out(x))


class SlimPrior(Prior):
    """A trunk of `levels` scales that starts at half of the resolution, between a thin stem and a thin head.

    In the published network more than half of the work is done at full resolution; here almost none is. The widths and
    the depth are a trade of quality for time, measured: benchmarks/constants.py.
    Dropout of channels in the decoder keeps the fit from copying noise (Quan et al., Self2Self, CVPR 2020).

    Parameters
    ----------
    inputs, outputs : int
        Channels of the input and of the output; the output is linear.
    generator : torch.Generator
        Draws the dropout.
    channels, skip, thin : int
        Width of the trunk, of its skip connections, and of stem and head.
    depth : int
        Number of scales of the trunk.
    dropout : float
        Part of the channels that is switched off.
    upsample : str
        "linear" or "nearest", in the trunk; the step to full resolution is always linear.
    border : str
        What lies beyond the border of each convolution: "reflect" or "zeros".
    remembers : bool
        See `Normalise`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        generator: torch.Generator,
        *,
        channels: int = 64,
        depth: int = 4,
        skip: int = 8,
        thin: int = 16,
        dropout: float = 0.0,
        upsample: str = "nearest",
        border: Border = "zeros",
        dims: int = 2,
        remembers: bool = False,
    ):
        super().__init__()
        self.levels, self.dims, self.aligned = depth + 1, dims, remembers
        block = partial(Block, dims=dims, border=border, remembers=remembers)
        self.upsample = "nearest" if upsample == "nearest" else _linear[dims]
        self.stem = block(inputs, thin)
        self.shrink = Convolution(thin, thin, 2, 2, dims=dims, bias=False)
        finer = [thin] + [channels] * (depth - 1)
        self.skip = nn.ModuleList(block(width, skip, 1) for width in finer)
        self.down = nn.ModuleList(
            nn.Sequential(block(width, channels, 3, 2), block(channels, channels)) for width in finer
        )
        self.join = nn.ModuleList(Normalise(skip + channels, remembers=remembers) for _ in finer)
        self.up = nn.ModuleList(
            nn.Sequential(
                block(skip + channels, channels), ChannelDropout(dropout, generator), block(channels, channels, 1)
            )
            for _ in finer
        )
        self.narrow = block(channels, thin, 1)
        self.head = nn.Sequential(block(2 * thin, thin), block(thin, thin, 1))
        self.out = Convolution(thin, outputs, 1, dims=dims)

    def body(self, x: Tensor) -> Tensor:
        """Stem, trunk at half of the resolution, head."""
        full = self.stem(x)
        x, sides = self.shrink(full), []
        for skip, down in zip(self.skip, self.down, strict=True):
            sides.append(skip(x))
            x = down(x)
        for join, up in zip(self.join, self.up, strict=True):
            x = F.interpolate(x, scale_factor=2, mode=self.upsample)
            x = up(join(torch.cat([sides.pop(), x], 1)))
        x = F.interpolate(self.narrow(x), scale_factor=2, mode=_linear[self.dims])
        x = self.head(torch.cat([full, x], 1))
        with torch.autocast(x.device.type, enabled=False):  # the last step in full precision
            image = F.linear(x.float().movedim(1, -1), self.out.kernel, self.out.bias)
            return image.movedim(-1, 1)
