import json
from threading import Thread

import dask.array as da
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage import data

import napari_dip as dip
from napari_dip.run.preparation import choose_device
from napari_dip.run.record import read as read_record
from napari_dip.run.record import write as write_record
from napari_dip.run.summary import noise_or_grain

QUICK = {"max_iterations": 3, "threads": 1, "device": "cpu"}


def picture(shape=(24, 20), seed=0):
    """A smooth image with noise, of values 0 to 200."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return (100 + 60 * np.sin(y / 5) * np.cos(x / 4) + rng.normal(0, 8, shape)).clip(0, 200)


def stack(planes=3, shape=(16, 18)):
    return np.stack([picture(shape, seed) for seed in range(planes)])


def hole(shape=(24, 20)):
    mask = np.zeros(shape, bool)
    mask[5:9, 6:12] = True
    return mask


def walk(run, stop_after=None):
    """Walk to the end, stopping by hand after some steps; give the restoration and the steps."""
    seen = []
    for progress in run:
        seen.append(progress)
        if len(seen) == stop_after:
            progress.stop()
    return run.result, seen


TASKS = {
    "denoise": lambda image, **given: dip.denoise(image, **given),
    "inpaint": lambda image, **given: dip.inpaint(image, hole(image.shape[:2]), **given),
    "super_resolve": lambda image, **given: dip.super_resolve(image, 2, **given),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("preset", ["fast", "best", "paper"])
@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_every_task_with_every_preset_gives_float32_in_the_units_of_the_image(task, preset, axes):
    image = np.stack([picture(seed=s) for s in range(3)], -1) if "S" in axes else picture()
    image = image.astype(np.uint8)
    iterations = 2 if preset == "paper" else 12
    result = TASKS[task](image, axes=axes, preset=preset, **QUICK | {"max_iterations": iterations})
    factor = 2 if task == "super_resolve" else 1
    assert result.image.dtype == np.float32 and result.axes == axes
    assert result.image.shape == (24 * factor, 20 * factor, *image.shape[2:])
    assert np.isfinite(result.image).all()
    assert 0 < result.image.mean() < 255
    assert result.record["iterations"] == iterations and result.record["settings"]["preset"] == preset


def test_denoising_denoises():
    clean = np.add.outer(np.sin(np.arange(48) / 8), np.cos(np.arange(48) / 8))
    noisy = clean + np.random.default_rng(0).normal(0, 0.3, clean.shape)
    result = dip.denoise(noisy, max_iterations=80, threads=1).image
    assert np.mean((result - clean) ** 2) < 0.5 * np.mean((noisy - clean) ** 2)


@pytest.mark.parametrize("task", TASKS)
def test_another_unit_gives_the_same_picture(task):
    image = picture().round()
    result, other = (TASKS[task](i, **QUICK).image for i in (image, 4 * image - 300))
    np.testing.assert_allclose(other, 4 * result - 300, rtol=1e-3, atol=0.5)


@pytest.mark.parametrize("shape", [(17, 301), (33, 31), (8, 8), (45, 9)])
@pytest.mark.parametrize("task", TASKS)
def test_any_size_will_do(task, shape):
    image = picture(shape)
    mask = np.zeros(shape, bool)
    mask[3, 4] = True
    run = {"denoise": lambda: dip.denoise(image, **QUICK), "inpaint": lambda: dip.inpaint(image, mask, **QUICK)}
    result = run.get(task, lambda: dip.super_resolve(image, 3, **QUICK))().image
    assert result.shape == tuple(n * (3 if task == "super_resolve" else 1) for n in shape)
    assert np.isfinite(result).all()


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_the_published_method_takes_any_size(preset):
    for shape in [(8, 8), (17, 45)]:
        assert dip.denoise(picture(shape), preset=preset, **QUICK | {"max_iterations": 1}).image.shape == shape


@pytest.mark.parametrize("task", TASKS)
def test_the_input_stays_as_it_is(task):
    image, mask = picture(), hole()
    before = image.tobytes(), mask.tobytes()
    for array in (image, mask):
        array.setflags(write=False)
    if task == "inpaint":
        dip.inpaint(image, mask, **QUICK)
    else:
        TASKS[task](image, **QUICK)
    assert (image.tobytes(), mask.tobytes()) == before


def test_a_lazy_stack_gives_what_a_loaded_one_does():
    image = stack(2)
    lazy = da.from_array(image, chunks=(1, 7, 9))
    np.testing.assert_array_equal(dip.denoise(lazy, **QUICK).image, dip.denoise(image, **QUICK).image)


def test_the_seed_decides():
    image = picture()
    one, same, other = (dip.denoise(image, seed=seed, **QUICK).image for seed in (1, 1, 2))
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_random_numbers_and_threads_of_others_are_left_alone():
    threads, np_state, torch_state = torch.get_num_threads(), np.random.get_state()[1].copy(), torch.get_rng_state()
    for task in TASKS.values():
        task(picture(), **QUICK)
    dip.denoise(picture(), preset="paper", **QUICK | {"max_iterations": 1})
    dip.denoise(picture((8, 8)), max_iterations=1, threads=2 if threads == 1 else 1)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == np_state).all()
    assert torch.get_num_threads() == threads


def test_what_others_draw_does_not_change_a_run():
    torch.manual_seed(1)
    np.random.seed(1)
    one = dip.super_resolve(picture(), 2, **QUICK).image
    torch.rand(5), np.random.rand(5)
    assert one.tobytes() == dip.super_resolve(picture(), 2, **QUICK).image.tobytes()


def repeats(task, image, restoration, **given):
    """Whether a record, gone through JSON, gives the same bits again."""
    assert restoration.record["task"] == task
    record = json.dumps(restoration.record, allow_nan=False)
    again = dip.replay(record, image, **given)
    same = {"settings", "planes_restored", "unreached", "stopped_by"}
    return again.image.tobytes() == restoration.image.tobytes() and all(
        again.record[name] == restoration.record[name] for name in same
    )


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_a_record_repeats_its_run(preset):
    image = picture()
    settings = QUICK | {"preset": preset, "seed": 5, "max_iterations": 2}
    assert repeats("denoise", image, dip.denoise(image, **settings))
    assert repeats("inpaint", image, dip.inpaint(image, hole(), **settings), mask=hole())
    assert repeats("super_resolve", image, dip.super_resolve(image, 3, **settings))


def test_a_record_says_what_was_done():
    record = dip.super_resolve(picture().astype("uint16"), 3, axes="YX", seed=4, **QUICK).record
    assert (record["task"], record["inputs"], record["seed"], record["axes"]) == (
        "super_resolve",
        {"factor": 3},
        4,
        "YX",
    )
    assert (record["device"], record["iterations"], record["stopped_by"]) == ("cpu", 3, "iterations")
    assert (record["dtype"], record["shape"], record["axes_guessed"]) == ("uint16", [24, 20], False)
    assert record["versions"]["napari-dip"] == dip.__version__ and record["versions"]["torch"] == torch.__version__
    assert record["seconds"] > 0 and len(record["losses"]) == 3
    assert dip.denoise(picture(), **QUICK).record["axes_guessed"]


def test_a_run_stopped_by_hand_keeps_its_result_and_repeats():
    image = picture()
    stopped, seen = walk(dip.restore_steps("denoise", image, **QUICK | {"max_iterations": 50}), stop_after=4)
    assert len(seen) == 4 and stopped.record["iterations"] == 4 and stopped.record["stopped_by"] == "asked"
    assert stopped.image.std() > 0
    assert repeats("denoise", image, stopped)
    # the plan counts: the learning rate falls towards its end
    short = dip.denoise(image, **QUICK | {"max_iterations": 4}).record
    assert short["planes"][0]["losses"] != stopped.record["planes"][0]["losses"]


@pytest.mark.parametrize("stop_after", [1, 3, 4, 5, 6])
def test_channels_stopped_by_hand_keep_what_is_done_and_repeat(stop_after):
    image = stack()
    whole = dip.denoise(image, axes="CYX", **QUICK).image
    stopped, _ = walk(dip.restore_steps("denoise", image, axes="CYX", **QUICK), stop_after)
    done, begun = stop_after // 3, -(-stop_after // 3)
    np.testing.assert_array_equal(stopped.image[:done], whole[:done])
    assert np.isnan(stopped.image[begun:]).all() and stopped.record["unreached"] == list(range(begun, 3))
    assert np.isfinite(stopped.image[:begun]).all()
    assert (stopped.image[:begun] != image[:begun].astype(np.float32)).any((1, 2)).all()
    assert stopped.record["stopped_by"] == "asked" and stopped.record["planes_restored"] == begun
    assert repeats("denoise", image, stopped)


def test_a_run_stopped_by_the_clock_repeats():
    image = stack(2)
    result = dip.denoise(image, axes="CYX", max_seconds=1e-6, **QUICK | {"max_iterations": 50})
    assert result.record["stopped_by"] == "seconds"
    assert result.record["iterations"] == 2  # one for each plane
    assert repeats("denoise", image, result)


def test_a_limit_in_seconds_that_was_not_reached_cannot_disturb_the_repetition():
    result = dip.denoise(picture(), max_seconds=1e6, **QUICK)
    assert result.record["stopped_by"] == "iterations"
    assert result.record["settings"]["max_seconds"] is None


def test_the_channels_of_an_image_are_restored_one_by_one():
    image = stack()
    result = dip.denoise(image, axes="CYX", **QUICK)
    assert result.record["planes_in_image"] == result.record["planes_restored"] == 3
    alone = dip.denoise(image[1], **QUICK).image
    np.testing.assert_array_equal(result.image[1], alone)


@pytest.mark.parametrize("axes", ["XYZ", "CYX", "SYX", "YXS", "ZSYX", "TCYX", "XY"])
def test_the_order_of_axes_is_kept(axes):
    size = {"Y": 16, "X": 12, "Z": 2, "C": 2, "T": 1, "S": 3}
    plain = "".join(a for a in "TZCYXS" if a in axes)
    image = np.random.default_rng(0).random(tuple(size[a] for a in plain))
    moved = image.transpose([plain.index(a) for a in axes])
    result = dip.denoise(moved, axes=axes, **QUICK)
    assert result.axes == axes and result.image.shape == moved.shape
    expected = dip.denoise(image, axes=plain, **QUICK).image
    np.testing.assert_array_equal(result.image.transpose([axes.index(a) for a in plain]), expected)


@pytest.mark.parametrize("axes", ["ZYX", "XYZ", "YXS"])
def test_super_resolution_enlarges_y_and_x_alone(axes):
    image = np.random.default_rng(0).random([{"Y": 9, "X": 10, "Z": 2, "S": 3}[a] for a in axes])
    result = dip.super_resolve(image, factor=4, axes=axes, **QUICK).image
    assert result.shape == tuple({"Y": 36, "X": 40, "Z": 2, "S": 3}[a] for a in axes)


def test_constant_planes_stay_as_they_are():
    image = stack()
    image[1] = 7
    result = dip.denoise(image, **QUICK)
    assert (result.image[1] == 7).all() and result.record["planes_restored"] == 2
    assert dip.super_resolve(image, 2, **QUICK).image[1].tolist() == np.full((32, 36), 7.0).tolist()


def test_a_hole_in_a_constant_plane_takes_its_value():
    image, mask = stack(2), np.zeros((2, 16, 18), bool)
    image[1] = 7
    image[1, 4, 5], mask[:, 4, 5] = 1000, True
    assert (dip.inpaint(image, mask, **QUICK).image[1] == 7).all()
    image[1, 4, 5] = np.nan
    assert (dip.denoise(image, nonfinite="inpaint", **QUICK).image[1] == 7).all()
    assert (dip.super_resolve(image, 2, nonfinite="inpaint", **QUICK).image[1] == 7).all()


def test_inpainting_leaves_known_pixels_exactly_and_fills_the_others():
    image, mask = picture().astype(np.float32), hole()
    image[mask] = -1e4
    result = dip.inpaint(image, mask, **QUICK | {"max_iterations": 20}).image
    assert result[~mask].tobytes() == image[~mask].tobytes()
    assert (result[mask] > -1e3).all()


def test_planes_without_a_masked_pixel_are_not_touched():
    image, mask = stack(), np.zeros((3, 16, 18), bool)
    mask[1, 4:6, 4:6] = True
    result = dip.inpaint(image, mask, **QUICK)
    assert result.record["planes_restored"] == 1
    np.testing.assert_array_equal(result.image[[0, 2]], image[[0, 2]].astype(np.float32))


@pytest.mark.parametrize("task", TASKS)
def test_alpha_is_not_touched(task):
    image = np.stack([picture(seed=s) for s in range(4)], -1).astype(np.uint8)
    result = TASKS[task](image, axes="YXS", **QUICK).image
    alpha = image[..., 3]
    if task == "super_resolve":
        alpha = alpha.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(result[..., 3], alpha)


@pytest.mark.parametrize("task", TASKS)
def test_nan_is_refused_or_filled_in(task):
    image = picture()
    image[12, 13] = np.nan
    with pytest.raises(dip.InputError, match="NaN"):
        TASKS[task](image, **QUICK)
    assert np.isfinite(TASKS[task](image, nonfinite="inpaint", **QUICK).image).all()


@pytest.mark.parametrize("task", TASKS)
def test_progress_counts_and_shows(task):
    image = stack(2)
    given = {"inpaint": {"mask": hole((16, 18))}, "super_resolve": {"factor": 2}}.get(task, {})
    steps = dip.restore_steps(task, image, axes="CYX", **given, **QUICK)
    seen = []
    for now in steps:
        seen.append((now.plane, now.planes, now.iteration, now.iterations, now.done))
        preview = now.preview()
        assert preview.dtype == np.float32 and np.isfinite(preview).all()
        assert preview.shape == ((32, 36) if task == "super_resolve" else (16, 18)) and now.index == (now.plane,)
        assert np.isfinite(now.loss) and now.error >= 0 and now.seconds > 0
    assert [s[:4] for s in seen] == [(p, 2, i, 3) for p in range(2) for i in (1, 2, 3)]
    assert [s[4] for s in seen] == pytest.approx([k / 6 for k in range(1, 7)])


@pytest.mark.parametrize("task", ["inpaint", "super_resolve"])
def test_the_last_preview_is_the_result_where_nothing_follows(task):
    given = {"inpaint": {"mask": hole()}, "super_resolve": {"factor": 2}}[task]
    previews, result = previewed(dip.restore_steps(task, picture(), **given, **QUICK))
    np.testing.assert_array_equal(previews[-1], result)
    # after so few iterations gaps are smooth, from the first on
    assert (previews[0] != previews[-1]).any() == (task != "inpaint")


def test_the_last_preview_is_near_to_the_result_and_earlier_ones_stay():
    """A preview takes less effort than the end of a run."""
    image = picture((40, 40))
    previews, result = previewed(dip.restore_steps("denoise", image, **QUICK | {"max_iterations": 25}))
    assert np.mean((previews[-1] - result) ** 2) < 0.1 * np.mean((image - result) ** 2)
    assert (previews[0] != previews[-1]).any()


def previewed(steps):
    """Look at every step; give the previews and the image at the end."""
    previews = [progress.preview() for progress in steps]
    return previews, steps.result.image


def test_looking_does_not_change_a_run():
    image = picture()
    looked = previewed(dip.restore_steps("denoise", image, **QUICK))[1]
    assert looked.tobytes() == dip.denoise(image, **QUICK).image.tobytes()


def test_a_run_can_be_left():
    steps = dip.restore_steps("denoise", picture(), **QUICK | {"max_iterations": 1000})
    threads = torch.get_num_threads()
    next(steps)
    steps.close()
    assert torch.get_num_threads() == threads


def test_a_run_in_a_thread_gives_the_same_bits():
    results = []
    thread = Thread(target=lambda: results.append(dip.denoise(picture(), **QUICK).image))
    thread.start()
    thread.join()
    assert results[0].tobytes() == dip.denoise(picture(), **QUICK).image.tobytes()


WRONG = {
    "unknown task": (lambda: dip.restore_steps("sharpen", picture()), "denoise, inpaint, super_resolve"),
    "unknown setting": (lambda: dip.denoise(picture(), iterations=3), "no setting named 'iterations'"),
    "bad setting": (lambda: dip.denoise(picture(), preset="good"), "preset='good'"),
    "no mask": (lambda: dip.inpaint(picture(), None), "needs a mask"),
    "mask not asked for": (lambda: dip.restore_steps("denoise", picture(), mask=hole()), "no mask"),
    "no factor": (lambda: dip.restore_steps("super_resolve", picture()), "needs a factor"),
    "factor not asked for": (lambda: dip.restore_steps("denoise", picture(), factor=2), "no factor"),
    "factor 1": (lambda: dip.super_resolve(picture(), 1), "from 2 to 8"),
    "factor 9": (lambda: dip.super_resolve(picture(), 9), "from 2 to 8"),
    "factor 2.5": (lambda: dip.super_resolve(picture(), 2.5), "from 2 to 8"),
    "constant": (lambda: dip.denoise(np.ones((20, 20))), "constant"),
    "axes": (lambda: dip.denoise(picture(), axes="AB"), "'A'"),
    "sigma of photons": (lambda: dip.denoise(picture(), noise="poisson", sigma=3.0), "poisson.*sigma"),
    "gain without photons": (lambda: dip.denoise(picture(), noise="gaussian", gain=3.0), "gaussian.*gain"),
    "sigma of the published method": (lambda: dip.denoise(picture(), preset="paper", sigma=3.0), "paper.*sigma"),
    "noise of a gap": (lambda: dip.inpaint(picture(), hole(), sigma=3.0), "denoising.*sigma"),
    "uncertainty of published detail": (
        lambda: dip.super_resolve(picture(), 2, preset="paper", uncertainty=True),
        "uncertainty",
    ),
    "uncertainty of the published method": (
        lambda: dip.denoise(picture(), preset="paper", uncertainty=True),
        "uncertainty",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_refused_before_any_work(case):
    call, words = WRONG[case]
    with pytest.raises(dip.InputError, match=words) as refusal:
        call()
    assert str(refusal.value).endswith(".")
    assert isinstance(refusal.value, ValueError)


def test_a_device_that_is_not_there_is_refused():
    assert choose_device("cpu") == "cpu" and choose_device("auto") in ("cpu", "cuda", "mps")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    for device in [name for name, is_here in present.items() if not is_here]:
        with pytest.raises(dip.InputError, match=f"no device '{device}'.*cpu"):
            dip.denoise(picture(), device=device)


LONG = QUICK | {"max_iterations": 150}  # a small image needs far fewer


def test_a_run_that_stops_by_itself_repeats():
    image = picture()
    result = dip.denoise(image, seed=3, **LONG)
    assert result.record["stopped_by"] == "held-out" and result.record["iterations"] < 150
    assert f"after {result.record['iterations']} iterations" in result.record["planes"][0]["why"]
    assert repeats("denoise", image, result)


def test_channels_that_stop_by_themselves_and_then_by_hand_repeat():
    image = stack(3)
    run, first = dip.restore_steps("denoise", image, axes="CYX", **LONG), []
    for now in run:
        first += [now.iteration] * (now.plane == 0)
        if now.plane == 1 and now.iteration == 3:
            now.stop()
    stopped = run.result
    planes = stopped.record["planes"]
    assert [plane["stopped_by"] for plane in planes] == ["held-out", "asked"]
    assert [plane["iterations"] for plane in planes] == [len(first), 3]
    assert repeats("denoise", image, stopped)


@pytest.mark.parametrize("preset", ["fast", "best"])
@pytest.mark.parametrize("axes", ["YX", "YXS", "ZYX"])
def test_the_uncertainty_has_the_shape_of_the_image_and_repeats(axes, preset):
    image = {"YX": picture(), "ZYX": stack(2), "YXS": np.stack([picture(seed=s) for s in range(3)], -1)}[axes]
    settings = QUICK | {"axes": axes, "preset": preset, "max_iterations": 5}
    plain, one, same = (dip.denoise(image, uncertainty=u, **settings) for u in (False, True, True))
    assert plain.uncertainty is None
    assert one.uncertainty.shape == image.shape and one.uncertainty.dtype == np.float32
    assert np.isfinite(one.uncertainty).all() and (one.uncertainty > 0).all()
    assert one.uncertainty.tobytes() == same.uncertainty.tobytes() and one.image.tobytes() == same.image.tobytes()
    np.testing.assert_allclose(one.image, plain.image, rtol=1e-4)


def test_the_uncertainty_tells_how_large_the_error_is():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    clean = 100 + 60 * np.sin(y / 5) * np.cos(x / 4)
    settings = QUICK | {"max_iterations": 40}
    result = dip.denoise(clean + rng.normal(0, 8, clean.shape), uncertainty=True, **settings)
    assert 1 / 3 < np.std(result.image - clean) / result.uncertainty.mean() < 3
    assert (result.uncertainty < 10).all()


def test_the_uncertainty_is_in_the_units_of_the_image():
    image = picture((40, 40)).round()
    one, other = (dip.denoise(i, uncertainty=True, **QUICK).uncertainty for i in (image, 1024 * image + 4096))
    np.testing.assert_allclose(other, 1024 * one, rtol=1e-3)


def test_what_inpainting_keeps_has_no_uncertainty():
    image = np.stack([picture(seed=s) for s in range(2)])
    result = dip.inpaint(image, hole(), axes="ZYX", uncertainty=True, **QUICK)
    assert result.uncertainty.shape == image.shape
    assert (result.uncertainty[:, ~hole()] == 0).all() and (result.uncertainty[:, hole()] > 0).all()
    assert dip.inpaint(image, hole(), axes="ZYX", **QUICK).uncertainty is None


@pytest.mark.parametrize(("axes", "noise"), [("YX", 60), ("ZYX", 0), ("YXS", 0)])
def test_enlarged_detail_has_an_uncertainty(axes, noise):
    plane = picture((16, 18))
    image = {"YX": plane, "ZYX": np.stack([plane, plane[::-1]]), "YXS": np.stack([plane] * 3, -1)}[axes]
    image = image + np.random.default_rng(0).normal(0, noise, image.shape)
    settings = QUICK | {"max_iterations": 90 if noise else 3, "axes": axes}  # of few none are spent on noise
    plain, one, same = (dip.super_resolve(image, 2, uncertainty=u, **settings) for u in (False, True, True))
    assert plain.uncertainty is None and plain.image.tobytes() == one.image.tobytes()
    assert one.uncertainty.shape == one.image.shape and one.uncertainty.dtype == np.float32
    assert np.isfinite(one.uncertainty).all() and (one.uncertainty > 0).all()
    assert one.uncertainty.tobytes() == same.uncertainty.tobytes()


def test_planes_that_are_not_touched_have_no_uncertainty():
    image = stack()
    image[1] = 7
    result = dip.denoise(image, axes="ZYX", uncertainty=True, **QUICK)
    assert (result.uncertainty[1] == 0).all() and (result.uncertainty[[0, 2]] > 0).all()
    rgba = np.stack([picture(seed=s) for s in range(4)], -1).astype(np.uint8)
    result = dip.denoise(rgba, axes="YXS", uncertainty=True, **QUICK)
    assert np.isnan(result.uncertainty[..., 3]).all() and (result.uncertainty[..., :3] > 0).all()


def test_pixels_that_were_nan_have_an_uncertainty():
    image = picture((40, 40))
    image[12:15, 13:17] = np.nan
    result = dip.denoise(image, nonfinite="inpaint", uncertainty=True, **QUICK | {"max_iterations": 20})
    assert np.isfinite(result.image).all() and np.isfinite(result.uncertainty).all()
    known = np.isfinite(image)
    assert (result.uncertainty[known] > 0).all()
    assert result.uncertainty[~known].mean() > result.uncertainty[known].mean()


def undecided_image(seed=0, side=96):
    """Fine stones under weak noise that reaches a pixel: it could be grain."""
    random = np.random.default_rng(seed)
    noise = gaussian_filter(random.standard_normal((side, side)), 0.8, mode="wrap")
    return data.gravel()[160 : 160 + side, 160 + seed * side :][:, :side] + 15 * noise / noise.std()


@pytest.mark.parametrize("planes", [1, 2])
def test_what_stays_undecided_of_the_noise_is_in_the_record(planes):
    image = np.stack([undecided_image(seed) for seed in range(planes)])
    run = dip.restore_steps("denoise", image, axes="ZYX", **QUICK)
    assert run.undecided_radius == 0  # nothing is known before it begins
    next(run)
    assert run.undecided_radius == 1
    result = run.result
    found = read_record(write_record(result.record))
    assert [plane["undecided_radius"] for plane in found["planes"]] == [1]
    assert "Noise that reaches 1 pixel and grain" in noise_or_grain(found)
    assert dip.replay(found, image).image.tobytes() == result.image.tobytes()
    decided = dip.denoise(image, axes="ZYX", reach=1, **QUICK).record
    assert decided["planes"][0]["correlation_radius"] == 1 and "undecided_radius" not in decided["planes"][0]


@pytest.mark.parametrize(("factor", "shift"), [(1, 0), (1000, 5e4), (1e-3, -2)])
def test_the_noise_that_was_found_is_told_in_the_units_of_the_image(factor, shift):
    y, x = np.mgrid[:64, :64]
    scene = 100 + 60 * np.sin(y / 15) * np.cos(x / 14)
    white = scene + np.random.default_rng(0).normal(0, 8, scene.shape)
    plane = dip.denoise(factor * white + shift, **QUICK | {"max_iterations": 1}).record["planes"][0]
    assert plane["noise"] == "gaussian" and plane["correlation_radius"] == 0
    assert plane["noise_variance"]["sigma"] == pytest.approx(8 * factor, rel=0.1)
    counts = factor * np.random.default_rng(0).poisson(scene) + shift
    settings = QUICK | {"max_iterations": 1, "noise": "poisson", "offset": shift}
    strength = dip.denoise(counts, **settings).record["planes"][0]["noise_variance"]
    assert strength["gain"] == pytest.approx(factor, rel=0.15)
    assert strength["offset"] == pytest.approx(shift, abs=1e-6 * factor) and strength["sigma"] == 0


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"noise": "gaussian", "sigma": 5.0}, "gaussian"),
        ({"sigma": 5.0}, "gaussian"),
        ({"noise": "poisson", "gain": 0.5}, "poisson"),
        ({"noise": "poisson", "gain": 0.5, "offset": -3.0}, "poisson"),
        ({"noise": "poisson-gaussian", "sigma": 5.0, "gain": 0.5, "offset": -3.0}, "poisson-gaussian"),
        ({"gain": 0.5, "offset": -3.0}, "poisson-gaussian"),
    ],
)
def test_what_is_known_of_the_noise_is_used_and_recorded(given, kind):
    image = picture()
    result = dip.denoise(image, **given, **QUICK)
    plane = result.record["planes"][0]
    assert plane["noise"] == kind
    for setting, name in (("sigma", "sigma"), ("gain", "gain"), ("offset", "offset")):
        if setting in given:
            assert plane["noise_variance"][name] == pytest.approx(given[setting])
            assert result.record["settings"][setting] == given[setting]
    assert repeats("denoise", image, result)


def test_the_stronger_the_noise_is_said_to_be_the_less_of_the_image_is_kept():
    image = picture((40, 40))
    settings = QUICK | {"noise": "gaussian", "max_iterations": 15}
    changes = [np.std(dip.denoise(image, sigma=sigma, **settings).image - image) for sigma in (1.0, 8.0, 30.0)]
    assert changes == sorted(changes)
    assert changes[0] < 5 < changes[1]


@pytest.mark.parametrize("axes", ["YX", "YXS"])
def test_compression_artefacts_are_a_kind_of_noise(axes):
    image = np.stack([picture(seed=s) for s in range(3)], -1) if "S" in axes else picture()
    result = dip.denoise(image.astype(np.uint8), axes=axes, noise="compression", **QUICK)
    assert result.image.shape == image.shape and np.isfinite(result.image).all()


def test_the_published_network_for_large_holes_takes_small_images():
    """Its kernels of 5 x 5 pixels want three pixels where the image was halved six times."""
    mask = np.zeros((48, 40), bool)
    mask[4:44, 4:38] = True
    result = dip.inpaint(picture((48, 40)), mask, **QUICK | {"preset": "paper", "max_iterations": 1})
    assert result.record["planes"][0]["recipe"] == "large hole" and np.isfinite(result.image).all()


def test_small_images_take_one_thread_and_a_given_number_is_kept():
    for given, expected in ((None, 1), (2, 2)):
        record = dip.denoise(picture(), threads=given, max_iterations=1).record
        assert record["settings"]["threads"] == expected
