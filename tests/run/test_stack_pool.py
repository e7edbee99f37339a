"""What a network is fitted to, where that is a part of all there is: it is spread, and holds something."""

import numpy as np
import pytest
import torch

import napari_dip as dip
from napari_dip.image.source import Source
from napari_dip.image.work import plan_groups
from napari_dip.prior.objectives.stack import Stack
from napari_dip.run import stack_pool
from napari_dip.run.stack_pool import Pool, sample
from napari_dip.settings import Settings

QUICK = {"max_iterations": 1, "threads": 1, "device": "cpu"}


def volume(planes=4, shared=False, seed=0):
    """A smooth volume with noise, which planes have in common if it was interpolated."""
    noise = np.random.default_rng(seed).normal(0, 20, (planes + 1, 48, 48))
    z, y, x = np.mgrid[:planes, :48, :48]
    clean = 100 + 60 * np.sin(y / 5 + z / 6) * np.cos(x / 4)
    return clean + ((noise[1:] + noise[:-1]) / 2 if shared else noise[1:])


def pool_of(image, **settings):
    source = Source(image, "YX", allow_nonfinite=True)
    return Pool.of([(source, plan_groups("", source.items)[0])], Settings(**settings), "cpu")


def stack_of(height, width, planes=1):
    values = torch.rand(planes, 1, height, width, generator=torch.Generator().manual_seed(0))
    return Stack.of(values, torch.ones(planes, 1, height, width))


@pytest.fixture
def small_parts(monkeypatch):
    """Let a pool hold 16 parts of 8 x 8 pixels."""
    monkeypatch.setattr(stack_pool, "SAMPLED", (8, 8))
    monkeypatch.setattr(stack_pool, "POOL", 16 * 8 * 8)


def test_a_volume_in_which_next_to_nothing_was_measured_decides_nothing():
    image = np.stack([volume(shared=True), volume(shared=True, seed=1)])
    image[0, :, 6:] = np.nan
    found = dip.denoise(image, axes="TZYX", nonfinite="inpaint", **QUICK)
    assert found.record["planes"][0]["neighbours"] == 0


@pytest.mark.parametrize("order", [1, -1])
def test_one_image_whose_planes_share_their_noise_is_enough(order):
    images = [volume(), volume(shared=True, seed=1)][::order]
    assert dip.fit("denoise", images, axes="ZYX", **QUICK).weights.channels[0].reach == 0
    assert dip.fit("denoise", [volume(), volume(seed=1)], axes="ZYX", **QUICK).weights.channels[0].reach == 2


def test_a_sample_is_of_the_middle_if_all_is_measured_there():
    stack = stack_of(64, 48)
    ((part, rows),) = sample([stack], 4 * 16 * 16)
    assert rows == [0] and torch.equal(part.values, stack.values[:, :, 24:40, 16:32])


def test_a_sample_is_of_what_was_measured():
    """A beam stop covers the middle of an image."""
    stack = stack_of(64, 64)
    stack.observed[:, :, 16:48, 16:48] = 0
    ((part, _),) = sample([stack], 4 * 16 * 16)
    assert part.size == (16, 16) and part.observed.min() == 1


def test_a_sample_is_of_the_largest_images():
    wide, high = stack_of(20, 64), stack_of(24, 8)
    assert [part.size for part, _ in sample([high, wide], 10**6)] == [(20, 64)]


def test_parts_of_a_square_image_are_not_all_of_the_same_columns(small_parts):
    y, x = np.mgrid[:128, :128]
    pool = pool_of(x + y / 1000)
    columns = {round(float(stack.values[0, 0, 0, 0]) * 127.127) for stack in pool.stacks}
    assert len(pool.stacks) == 16 and len(columns) > 8


def test_parts_in_which_nothing_was_measured_are_left_out(small_parts):
    image = np.full((128, 128), np.nan)
    image[80:112, 8:40] = volume()[0, :32, :32]
    pool = pool_of(image)
    assert pool.stacks and all(stack.observed.any() for stack in pool.stacks)
    assert np.isfinite(pool.noise.likelihood.noise.read) and np.isfinite(pool.relative_noise)
