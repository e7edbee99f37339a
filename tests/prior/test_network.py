import pytest
import torch

from napari_dip.prior.networks.network import Hourglass, SlimPrior, matrices


def slim(dims: int = 2, seed: int = 0) -> SlimPrior:
    generator = torch.Generator().manual_seed(seed)
    network = SlimPrior(3, 2, generator, channels=8, depth=2, skip=4, thin=4, dropout=0.1, dims=dims)
    network.initialise(generator)
    return network


def hourglass(dims: int = 2, **options: object) -> Hourglass:
    network = Hourglass(3, 2, (8, 8, 8), (4, 0, 4), dims=dims, **options)  # type: ignore[arg-type]
    network.initialise(torch.Generator().manual_seed(0))
    return network


@pytest.mark.parametrize("size", [(8, 8), (17, 301), (33, 32), (1, 40)])
@pytest.mark.parametrize("build", [slim, hourglass])
def test_any_size_in_two_dimensions(build, size):
    assert build()(torch.rand(1, 3, *size)).shape == (1, 2, *size)


@pytest.mark.parametrize("build", [slim, hourglass])
def test_any_size_in_three_dimensions(build):
    assert build(dims=3)(torch.rand(1, 3, 5, 19, 26)).shape == (1, 2, 5, 19, 26)


@pytest.mark.parametrize("options", [{"upsample": "nearest"}, {"mix": False}, {"down_size": 5}])
def test_variants_of_the_published_network(options):
    image = hourglass(**options)(torch.rand(1, 3, 40, 48))
    assert image.shape == (1, 2, 40, 48)
    assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (16, 17), (23, 100)])
def test_a_wide_kernel_takes_small_images(size):
    """At the deepest scale a mirrored border of two pixels takes three; an image of 16 has two there."""
    network = hourglass(down_size=5, mix=False)
    image = network(torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)))
    assert image.shape == (1, 2, *size) and torch.isfinite(image).all()


def test_no_network_pads_more_than_it_has_to():
    assert slim().deepest == hourglass().deepest == 2
    assert hourglass(down_size=5).deepest == 3


@pytest.mark.parametrize("build", [slim, hourglass])
def test_every_weight_takes_part(build):
    network = build()
    network(torch.rand(1, 3, 32, 32)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_kernels_are_matrices():
    assert all(matrix.ndim == 2 for matrix in matrices(slim(dims=3)))


def test_the_seed_decides_weights_and_dropout():
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    first, again, other = slim(seed=0)(x), slim(seed=0)(x), slim(seed=1)(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_published_network_has_the_published_number_of_weights():
    """The reference implementation counts 2,217,831 for a colour image from a latent of 32 channels."""
    network = Hourglass(32, 3, (128,) * 5, (4,) * 5)
    biases = sum(m.shape[0] for m in network.modules() if hasattr(m, "kernel") and m.bias is None)
    assert sum(p.numel() for p in network.parameters()) + biases == 2_217_831
