"""What every forward model has to do; a new one joins by a line in the list."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dip.prior.physics import forward_model
from napari_dip.prior.physics.forward_model import Downsample, Identity, adjoint_by_autograd
from napari_dip.tasks import TASKS

# name, how it is made for an image of some (y, x), the (y, x) of a measurement, and how many times larger the image is
FORWARD_MODELS = [
    ("identity", lambda _: Identity(), (9, 7), 1),
    ("half, two lobes", lambda size: Downsample(2, size, 2), (9, 7), 2),
    ("half, three lobes", lambda size: Downsample(2, size, 3), (5, 8), 2),
    ("a third, two lobes", lambda size: Downsample(3, size, 2), (5, 3), 3),
    ("a third, three lobes", lambda size: Downsample(3, size, 3), (1, 5), 3),
    ("an eighth, two lobes", lambda size: Downsample(8, size, 2), (3, 2), 8),
    ("an eighth, three lobes", lambda size: Downsample(8, size, 3), (1, 3), 8),
]

every_model = pytest.mark.parametrize("case", FORWARD_MODELS, ids=lambda case: case[0])
every_depth = pytest.mark.parametrize("depth", [(), (3,)], ids=["2D", "3D"])
a_few = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 9999)


def made(case, depth=()):
    """A forward model, the size of a measurement, and that of the image."""
    _, make, small, factor = case
    large = tuple(n * factor for n in small)
    return make(large), (*depth, *small), (*depth, *large)


def random(seed: int, *shape: int, channels: int = 2) -> torch.Tensor:
    return torch.randn(1, channels, *shape, generator=torch.Generator().manual_seed(seed))


@every_model
@every_depth
def test_sizes_fit(case, depth):
    model, small, large = made(case, depth)
    assert tuple(model.image_size(small)) == large
    for channels in (1, 3):
        values = random(0, *small, channels=channels)
        assert model(random(0, *large, channels=channels)).shape == values.shape
        for image in (model.adjoint(values), model.to_image(values)):
            assert image.shape == (1, channels, *large)


@every_model
@every_depth
@a_few
@given(seed=seeds)
def test_the_adjoint_is_the_transpose(case, depth, seed):
    model, small, large = made(case, depth)
    x, y = random(seed, *large), random(seed + 1, *small)
    here, there = (model(x) * y).double().sum(), (x * model.adjoint(y)).double().sum()
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-4 * float(x.norm()))


@every_model
@every_depth
@a_few
@given(seed=seeds)
def test_the_adjoint_is_that_of_the_gradient(case, depth, seed):
    model, small, _ = made(case, depth)
    values = random(seed, *small)
    torch.testing.assert_close(model.adjoint(values), adjoint_by_autograd(model, values), rtol=1e-4, atol=1e-5)


@every_model
@every_depth
@a_few
@given(seed=seeds, a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_it_is_linear(case, depth, seed, a, b):
    model, small, large = made(case, depth)
    for apply, size in ((model, large), (model.adjoint, small), (model.to_image, small)):
        x, y = random(seed, *size), random(seed + 1, *size)
        torch.testing.assert_close(apply(a * x + b * y), a * apply(x) + b * apply(y), rtol=1e-4, atol=1e-4)


@every_model
@every_depth
def test_its_gradient_is_that_of_finite_differences(case, depth):
    model, small, large = made(case, depth)
    x = random(0, *large, channels=1).requires_grad_()
    wanted = random(1, *small, channels=1)
    (slope,) = torch.autograd.grad(((model(x) - wanted) ** 2).sum(), x)
    step = random(2, *large, channels=1)
    with torch.no_grad():
        up, down = (((model(x + h * step) - wanted) ** 2).double().sum() for h in (0.1, -0.1))
    # of a quadratic, central differences are exact
    torch.testing.assert_close((up - down) / 0.2, (slope * step).double().sum(), rtol=1e-3, atol=1e-2)


@every_model
@every_depth
@a_few
@given(value=st.floats(-2, 2))
def test_what_is_flat_stays_flat(case, depth, value):
    model, small, large = made(case, depth)
    flat = torch.full((1, 1, *large), value)
    torch.testing.assert_close(model(flat), torch.full((1, 1, *small), value))
    torch.testing.assert_close(model.to_image(model(flat)), flat)


@every_model
def test_it_makes_nothing_larger(case):
    """Its largest singular value is 1, or what renormalised borders add to that."""
    model, _, large = made(case)
    image = random(0, *large, channels=1)
    for _ in range(50):
        image = model.adjoint(model(image))
        norm, image = float(image.norm()), image / image.norm()
    assert norm**0.5 <= 1.05


@every_model
def test_values_laid_out_are_where_they_belong(case):
    """Measured again they are near to what they were, for a smooth image."""
    model, small, _ = made(case)
    y, x = torch.meshgrid(*(torch.linspace(0, 1, n) for n in small), indexing="ij")
    smooth = (y - 0.5 * x)[None, None]
    again = model(model.to_image(smooth))
    assert (again - smooth).abs().max() < 0.15


@every_model
@every_depth
def test_what_it_is_given_stays_as_it_is_in_type_and_place(case, depth):
    model, small, large = made(case, depth)
    for apply, size in ((model, large), (model.adjoint, small), (model.to_image, small)):
        values = random(0, *size)
        asked = values.clone()
        found = apply(values)
        assert torch.equal(values, asked)
        assert found.dtype == values.dtype and found.device == values.device


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@every_depth
def test_the_forward_model_of_every_task_can_be_made(task, depth):
    choices = (2, 5, 8) if any(one.name == "factor" for one in task.inputs) else (None,)
    arrays = {one.name: np.ones((3, 3)) for one in task.inputs if one.kind == "image"}
    for choice in choices:
        size, inputs = (*depth, 6, 4), arrays if choice is None else {**arrays, "factor": choice}
        model = forward_model.build(task.forward_model, size, inputs, lobes=3, device="cpu")
        large = model.image_size(size)
        assert large == tuple(n * (choice or 1) if i >= len(depth) else n for i, n in enumerate(size))
        assert model(random(0, *large)).shape == (1, 2, *size)


def test_one_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="no forward model 'fog'"):
        forward_model.build("fog", (8, 8), {}, lobes=3, device="cpu")
