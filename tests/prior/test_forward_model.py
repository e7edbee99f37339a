import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_dip.prior.physics.forward_model import Downsample, Identity


@pytest.mark.parametrize("factor", range(2, 9))
def test_three_lobes_shrink_as_pillow_does(factor):
    fine = np.random.default_rng(0).random((5 * factor, 7 * factor), np.float32)
    coarse = Downsample(factor, fine.shape, lobes=3)(torch.from_numpy(fine)[None, None])[0, 0].numpy()
    pillow = np.asarray(Image.fromarray(fine).resize((7, 5), Image.Resampling.LANCZOS))
    np.testing.assert_allclose(coarse, pillow, atol=1e-4)


@settings(deadline=None, max_examples=30)
@given(factor=st.integers(2, 8), lobes=st.integers(2, 3), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_a_constant_stays_constant(factor, lobes, rows, columns):
    shrink = Downsample(factor, (rows * factor, columns * factor), lobes)
    coarse = shrink(torch.full((1, 2, rows * factor, columns * factor), 0.7))
    assert coarse.shape == (1, 2, rows, columns)
    torch.testing.assert_close(coarse, torch.full_like(coarse, 0.7))


def test_the_centre_stays_in_place():
    """A ramp keeps its value at each coarse pixel's centre: nothing is shifted."""
    factor, size = 4, 128
    ramp = torch.arange(size, dtype=torch.float32).expand(1, 1, size, size)
    coarse = Downsample(factor, (size, size), lobes=2)(ramp)[0, 0, 0]
    centres = (torch.arange(size // factor) + 0.5) * factor - 0.5
    torch.testing.assert_close(coarse[3:-3], centres[3:-3], rtol=1e-4, atol=1e-3)


def test_identity():
    image = torch.rand(1, 1, 4, 4)
    assert Identity()(image) is image
