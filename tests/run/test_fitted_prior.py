"""A prior that is fitted once: applied to other images, brought up to date, kept in a file."""

import pickle
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import napari_dip as dip
from napari_dip.run.fitted_prior import FittedPrior

QUICK = {"threads": 1, "device": "cpu"}
SHORT = QUICK | {"max_iterations": 2}


def picture(seed, size=24, noise=8):
    y, x = np.mgrid[:size, :size]
    rng = np.random.default_rng(seed)
    return (100 + 60 * np.sin(y / 5) * np.cos(x / 4) + rng.normal(0, noise, (size, size))).astype("float32")


def stack(seed=0, planes=3):
    return np.stack([picture(seed + plane) for plane in range(planes)])


@contextmanager
def in_double():
    """Let torch make numbers of double precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def prior():
    """Fitted to two single planes."""
    return dip.fit("denoise", [picture(0), picture(1, 20)], **SHORT)


@pytest.fixture(scope="module")
def stacked():
    """Fitted to a stack, with neighbours."""
    return dip.fit("denoise", stack(), axes="ZYX", **SHORT)


def test_it_restores_another_image_and_stays_as_it_is(prior):
    before = prior.weights.digest
    found = prior.restore(picture(2), **QUICK)
    assert found.image.shape == (24, 24) and np.isfinite(found.image).all()
    record = found.record
    assert record["iterations"] == 0 and record["stopped_by"] == "iterations"
    assert record["prior"] == {"sha256": before, "iterations": 0}
    assert record["planes_restored"] == 1 and record["unreached"] == []
    warm = prior.restore(picture(2), iterations=60, **QUICK)  # with few, a simple filter knows more
    assert warm.record["iterations"] == 60 and (warm.image != found.image).any()
    assert "2 iterations" in repr(prior) and before[:15] in repr(prior) and "\n" not in repr(prior)
    fresh = FittedPrior(prior.task, prior.settings, prior.weights.__class__(prior.weights.channels, 1), prior.record)
    assert fresh.weights.digest == before


def test_what_it_makes_of_its_own_image_is_what_a_run_makes(stacked):
    assert (
        stacked.restore(stack(), axes="ZYX", **QUICK).image == dip.denoise(stack(), axes="ZYX", **SHORT).image
    ).all()


def test_a_run_with_a_prior_shows_its_progress_stops_and_goes_on(prior, stacked):
    steps = list(stacked.restore_steps(stack(5), axes="ZYX", iterations=1, **QUICK))
    assert [step.stage for step in steps][:2] == ["fit", "apply"] and steps[-1].done == 1
    run = prior.restore_steps(picture(2), iterations=5, uncertainty=True, **QUICK)
    next(run)
    run.stop()
    assert run.result.record["iterations"] == 1 and (run.result.uncertainty > 0).all()


def test_what_was_applied_as_it_is_can_still_be_brought_up_to_date(prior):
    run = prior.restore_steps(picture(2), **QUICK)
    first = run.result
    run.extend(2)
    second = run.result
    assert [found.record["iterations"] for found in (first, second)] == [0, 2]
    assert (second.image == prior.restore(picture(2), iterations=2, **QUICK).image).all()
    assert dip.replay(second.record, picture(2), prior=prior).image.tobytes() == second.image.tobytes()


@pytest.mark.parametrize(
    "around",
    [torch.inference_mode, lambda: torch.device("meta"), in_double],
    ids=["inference_mode", "device", "double"],
)
def test_what_torch_is_set_to_around_it_does_not_matter(prior, stacked, around, tmp_path):
    expected = prior.restore(picture(2), **QUICK), stacked.restore(stack(4), axes="ZYX", iterations=1, **QUICK)
    prior.save(tmp_path / "cells.prior")
    with around():
        loaded = dip.load_prior(tmp_path / "cells.prior")
        stacked.save(tmp_path / "stack.prior")
        run = dip.load_prior(tmp_path / "stack.prior").restore_steps(stack(4), axes="ZYX", iterations=1, **QUICK)
        run.save(tmp_path / "begun.run")
        next(run)
        run.save(tmp_path / "half.run")
        found = loaded.restore(picture(2), **QUICK), run.result
        again = [
            dip.replay(expected[0].record, picture(2), prior=loaded),
            dip.load_run(tmp_path / "begun.run", stack(4), prior=stacked).result,
            dip.load_run(tmp_path / "half.run", stack(4), prior=stacked).result,
            dip.replay(expected[0].record, picture(3), other_image=True, prior=loaded),
        ]
        fresh = dip.fit("denoise", [picture(0), picture(1, 20)], **SHORT)
    assert loaded.weights.digest == prior.weights.digest == fresh.weights.digest
    for one, other in zip(expected + expected + expected[1:], (*found, *again[:3]), strict=True):
        assert one.image.tobytes() == other.image.tobytes()
    assert np.isfinite(again[3].image).all()


def test_an_image_is_refused_for_its_noise_whatever_torch_is_set_to():
    prior = dip.fit("denoise", picture(0, 64, 2), **SHORT)
    loud, said = picture(1, 64, 60), []
    for around in (torch.no_grad, lambda: torch.device("meta"), in_double):
        with around(), pytest.raises(dip.InputError) as refused:
            prior.restore(loud, **QUICK)
        said.append(str(refused.value))
    assert len(set(said)) == 1


def test_it_is_brought_up_to_date_as_a_new_one(prior):
    other = prior.updated(picture(2), 2, **QUICK)
    assert other.weights.digest != prior.weights.digest and other.record["prior"]["sha256"] == prior.weights.digest
    assert (other.restore(picture(2), **QUICK).image == prior.restore(picture(2), iterations=2, **QUICK).image).all()
    with pytest.raises(dip.InputError, match="1 or more"):
        prior.updated(picture(2), 0)


def test_another_process_restores_to_the_same_bytes(prior, tmp_path):
    file, image = tmp_path / "cells.prior", tmp_path / "image.npy"
    prior.save(file)
    np.save(image, picture(2))
    code = (
        "import sys, numpy as np, napari_dip as dip\n"
        "found = dip.load_prior(sys.argv[1]).restore(np.load(sys.argv[2]), threads=1, device='cpu')\n"
        "np.save(sys.argv[3], found.image)\n"
    )
    subprocess.run([sys.executable, "-c", code, file, image, tmp_path / "out.npy"], check=True, timeout=300)
    found = prior.restore(picture(2), **QUICK)
    assert np.load(tmp_path / "out.npy").tobytes() == found.image.tobytes()
    again = dip.load_prior(file)
    assert again.weights.digest == prior.weights.digest and again.record == prior.record and repr(again) == repr(prior)


@pytest.mark.parametrize("iterations", [0, 2])
def test_a_record_is_repeated_with_its_prior_alone(prior, iterations):
    found = prior.restore(picture(2), iterations=iterations, **QUICK)
    assert dip.replay(found.record, picture(2), prior=prior).image.tobytes() == found.image.tobytes()
    with pytest.raises(dip.InputError, match="began with a fitted prior"):
        dip.replay(found.record, picture(2))
    with pytest.raises(dip.InputError, match="not the one of the record"):
        dip.replay(found.record, picture(2), prior=prior.updated(picture(3), 1, **QUICK))
    with pytest.raises(dip.InputError, match="without a prior"):
        dip.replay(dip.denoise(picture(2), **SHORT).record, picture(2), prior=prior)


def test_a_run_with_a_prior_is_saved_and_taken_up(prior, tmp_path):
    whole = prior.restore(picture(2), iterations=3, **QUICK)
    run = prior.restore_steps(picture(2), iterations=3, **QUICK)
    next(run)
    run.save(tmp_path / "cells.run")
    with pytest.raises(dip.InputError, match="began with a fitted prior"):
        dip.load_run(tmp_path / "cells.run", picture(2))
    again = dip.load_run(tmp_path / "cells.run", picture(2), prior=prior)
    assert again.result.image.tobytes() == whole.image.tobytes()


def test_each_channel_has_weights_of_its_own():
    image = np.stack([picture(0), picture(1) ** 2, np.full((24, 24), 7, "float32")])
    prior = dip.fit("denoise", image, axes="CYX", preset="best", **SHORT)
    first, second, empty = prior.weights.channels
    assert len(first.networks) == len(second.networks) == 2 and empty is None  # each iteration is of one network
    assert np.isfinite(prior.restore(image, axes="CYX", **QUICK).image).all()
    with pytest.raises(dip.InputError, match=r"1 channels .* fitted to 3"):
        prior.restore(picture(0), **QUICK)
    with pytest.raises(dip.InputError, match="nothing of channel 2"):
        prior.restore(np.stack([picture(0)] * 3), axes="CYX", **QUICK)


def test_an_image_that_it_does_not_suit_is_refused(prior, stacked):
    with pytest.raises(dip.InputError, match=r"3 samples .* fitted to 1"):
        prior.restore(np.stack([picture(2), picture(3), picture(4)], -1), axes="YXS", **QUICK)
    with pytest.raises(dip.InputError, match="needs a stack"):
        stacked.restore(picture(2), **QUICK)
    assert np.isfinite(stacked.restore(stack(5, 2), axes="ZYX", **QUICK).image).all()
    with pytest.raises(dip.InputError, match="samples"):
        dip.fit("denoise", [picture(0), np.stack([picture(2), picture(3), picture(4)], -1)], axes=None, **SHORT)


def test_noise_of_another_strength_is_refused_unless_it_is_brought_up_to_date():
    prior = dip.fit("denoise", picture(0, 64, 2), **SHORT)
    loud = picture(1, 64, 60)
    with pytest.raises(dip.InputError, match=r"noise of the image is .* fit anew, or bring it up to date"):
        prior.restore(loud, **QUICK)
    assert np.isfinite(prior.restore(loud, iterations=1, **QUICK).image).all()


@pytest.mark.parametrize(
    ("task", "images", "settings", "words"),
    [
        ("inpaint", [picture(0)], {}, "for denoising only, not for inpainting"),
        ("sharpen", [picture(0)], {}, "no task named"),
        ("denoise", [picture(0)], {"preset": "paper"}, "paper fits to one image"),
        ("denoise", [], {}, "no image to fit to"),
        ("denoise", [picture(0)], {"mask": picture(0)}, "takes no mask"),
        ("denoise", [np.zeros((8, 8))], {}, "constant"),
    ],
)
def test_what_cannot_be_fitted_is_said(task, images, settings, words):
    with pytest.raises(dip.InputError, match=words):
        dip.fit(task, images, **QUICK | settings)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preset": "best"}, "no preset"),
        ({"max_iterations": 3}, "no max_iterations"),
        ({"iterations": -1}, "0 or more"),
    ],
)
def test_what_a_prior_leaves_no_choice_of_is_said(prior, given, words):
    with pytest.raises(dip.InputError, match=words):
        prior.restore(picture(2), **given)


def test_a_file_that_holds_no_prior_is_refused(prior, tmp_path):
    file = tmp_path / "cells.prior"
    with pytest.raises(dip.InputError, match="no file"):
        dip.load_prior(file)
    file.write_bytes(b"no prior")
    with pytest.raises(dip.InputError, match="holds no prior"):
        dip.load_prior(file)
    prior.save(file)
    whole = torch.load(file, weights_only=True)
    for change, words in (
        ({"version": 9}, "version 9"),
        ({"samples": 3}, "damaged"),
        ({"channels": [{}]}, "damaged"),
        ({"task": "sharpen"}, "damaged"),
    ):
        torch.save(whole | change, file)
        with pytest.raises(dip.InputError, match=words):
            dip.load_prior(file)
    with pytest.raises(dip.InputError, match="cannot be written"):
        prior.save(tmp_path / "there" / "cells.prior")


def test_time_is_shared_by_the_channels():
    image = np.stack([picture(0), picture(1)])
    prior = dip.fit("denoise", image, axes="CYX", max_seconds=1e-3, **QUICK)
    assert [note["stopped_by"] for note in prior.record["channels"]] == ["seconds", "seconds"]


class Trap:
    """A pickle that leaves a mark if it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return type(self.mark).touch, (self.mark,)


def test_a_file_with_anything_but_tensors_is_refused_and_not_run(prior, tmp_path):
    file, mark = tmp_path / "cells.prior", tmp_path / "mark"
    prior.save(file)
    whole = torch.load(file, weights_only=True)
    for content in (Trap(mark), whole | {"record": Trap(mark)}, whole | {"channels": [Trap(mark)]}):
        torch.save(content, file)
        with pytest.raises(dip.InputError, match="holds no prior"):
            dip.load_prior(file)
        file.write_bytes(pickle.dumps(content))
        with pytest.raises(dip.InputError, match="holds no prior"):
            dip.load_prior(file)
        assert not mark.exists()
    torch.save(Trap(mark), file)
    torch.load(file, weights_only=False)
    assert mark.exists(), "the trap does not work"


def test_a_part_that_was_cut_to_fit_is_not_weighed_again(prior, monkeypatch):
    monkeypatch.setattr("napari_dip.run.estimate.free_memory", lambda: 10)
    image = picture(5)
    with pytest.raises(dip.InputError, match="of memory"):
        prior.restore(image, axes="YX")
    assert prior.unchecked(image, "YX", {}).source.axes == "YX"
