"""How sure enlarged detail is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch.nn import functional as F

from napari_dip.prior.estimators.enlarged_detail import ENLARGED_DETAIL


def shrunk(image, factor):
    return F.interpolate(image, scale_factor=1 / factor, mode="bicubic", antialias=True)


def enlarged(values, factor):
    return F.interpolate(values, scale_factor=factor, mode="bicubic")


def tensor(image):
    return torch.from_numpy(image.astype(np.float32) / 255)[None, None]


PLACES = {"camera": (0, 100), "brick": (40, 40), "moon": (100, 100), "page": (0, 10)}


def said_and_off(name, factor):
    """What is said of an interpolated image, and its squared error."""
    top, left = PLACES[name]
    truth = tensor(getattr(data, name)()[top : top + 160, left : left + 256])
    values = shrunk(truth, factor)
    said = ENLARGED_DETAIL.variance(values, torch.ones_like(values), factor)
    assert said.shape == truth.shape and said.min() > 0
    return said, (enlarged(values, factor) - truth) ** 2


def test_interpolation_is_about_as_far_off_as_is_said():
    cases = [said_and_off(name, factor) for name in PLACES for factor in (2, 4)]
    within = [float((off < 1.645**2 * said).float().mean()) for said, off in cases]
    assert 0.85 <= np.median(within) <= 0.97 and min(within) > 0.6, within
    for said, off in cases:
        assert 0.4 <= float((said.mean() / off.mean()).sqrt()) <= 2.2
        # where it is said to be less sure it is further off
        least, *_, most = torch.tensor_split(off.flatten()[said.flatten().argsort()], 5)
        assert most.mean() > 3 * least.mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 99), st.floats(0.1, 10), st.floats(-2, 2))
def test_it_goes_with_the_scale_of_the_values(seed, scale, offset):
    values = torch.rand(1, 2, 24, 20, generator=torch.Generator().manual_seed(seed))
    seen = torch.ones_like(values[:, :1])
    one = ENLARGED_DETAIL.variance(values, seen, 2)
    other = values * scale + offset * scale
    two = ENLARGED_DETAIL.variance(other, seen, 2)
    assert one.shape == (1, 1, 48, 40)
    clear = one > 1e-6
    torch.testing.assert_close(two[clear] / scale**2, one[clear], rtol=2e-2, atol=1e-5)


def test_what_was_not_measured_teaches_nothing():
    values = shrunk(tensor(data.camera()[:128, 100:228]), 2)
    seen = torch.ones_like(values)
    seen[..., 10:14, 20:30] = 0
    spoilt = torch.where(seen > 0, values, 50.0)
    one, two = (ENLARGED_DETAIL.variance(one, seen, 2) for one in (values, spoilt))
    assert float((one / two).log().abs().max()) < 1.0


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (15, 15), (17, 33)])
def test_small_images_have_one_too(size):
    values = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    found = ENLARGED_DETAIL.variance(values, torch.ones_like(values), 3)
    assert found.shape[2:] == (3 * size[0], 3 * size[1]) and torch.isfinite(found).all() and (found > 0).all()
