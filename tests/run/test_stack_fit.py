"""Planes that are fitted together: one network for all of them, applied block by block."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import napari_dip as dip
from napari_dip.image.work import plan_blocks, plan_groups, plan_planes
from napari_dip.prior.objectives import apply
from napari_dip.run import fits, stack_fit, summary

QUICK = {"max_iterations": 4, "threads": 1, "device": "cpu"}


def volume(planes=5, shape=(24, 20), seed=0, noise=8.0):
    """A smooth volume whose planes are much alike, with noise."""
    rng = np.random.default_rng(seed)
    z, y, x = np.mgrid[:planes, : shape[0], : shape[1]]
    return 100 + 60 * np.sin(y / 5 + z / 6) * np.cos(x / 4) + rng.normal(0, noise, z.shape)


def steps(image=None, axes="ZYX", **settings):
    return dip.restore_steps("denoise", volume() if image is None else image, axes=axes, **QUICK | settings)


@pytest.fixture
def small_blocks(monkeypatch):
    """Let each block hold a plane or two of a small volume."""
    monkeypatch.setattr(stack_fit, "BLOCK", 2 * 24 * 20)


def test_one_network_is_fitted_to_all_planes():
    result = steps().result
    (plane,) = result.record["planes"]
    assert plane["planes"] == [0, 1, 2, 3, 4] and plane["neighbours"] == 2 and plane["iterations"] == 4
    assert result.record["planes_restored"] == result.record["planes_in_image"] == 5
    assert result.record["unreached"] == [] and result.image.shape == (5, 24, 20) and np.isfinite(result.image).all()


def test_a_volume_is_restored_better_than_its_planes_one_by_one():
    clean, noisy = volume(6, (40, 40), noise=0), volume(6, (40, 40), noise=25)
    settings = {"threads": 1, "max_iterations": 60}
    together = dip.denoise(noisy, axes="ZYX", **settings).image
    alone = np.stack([dip.denoise(plane, **settings).image for plane in noisy])
    assert np.mean((together - clean) ** 2) < 0.8 * np.mean((alone - clean) ** 2)


@pytest.mark.parametrize("axes", ["ZYX", "TYX", "TZYX", "TCYX", "ZYXS", "CZYX"])
def test_what_lies_beside_what_follows_from_the_axes(axes):
    sizes = {"T": 2, "Z": 3, "C": 2, "Y": 16, "X": 18, "S": 4}
    image = np.random.default_rng(0).integers(0, 255, [sizes[a] for a in axes]).astype(np.uint8)
    result = dip.denoise(image, axes=axes, **QUICK)
    assert result.image.shape == image.shape and np.isfinite(result.image).all()
    assert len(result.record["planes"]) == (2 if "C" in axes else 1)  # a fit for each channel
    if "S" in axes:
        np.testing.assert_array_equal(result.image[..., 3], image[..., 3])  # alpha


@given(st.permutations("TZC"), st.tuples(*[st.integers(1, 4)] * 3))
def test_every_plane_is_in_one_row_of_one_group(outer, sizes):
    items = plan_planes(sizes, (16, 16))
    groups = plan_groups("".join(outer), items)
    assert sorted(item.number for group in groups for item in group.items) == list(range(len(items)))
    assert len(groups) == sizes[outer.index("C")]
    for group in groups:
        blocks = plan_blocks(group, (16, 16), 2 * 8 * 8, 8)
        counted = [(item.number, str(b.region)) for b in blocks for item in b.row[b.planes.start : b.planes.stop]]
        assert len(counted) == len(set(counted)) == 4 * len(group.items)
        along = next((a for a in "ZT" if sizes[outer.index(a)] > 1), None)
        for row in group.rows:
            places = [item.index for item in row]
            if along is None:
                assert len(row) == 1
            else:
                assert [place[outer.index(along)] for place in places] == list(range(sizes[outer.index(along)]))
                rest = {tuple(i for n, i in enumerate(place) if n != outer.index(along)) for place in places}
                assert len(rest) == 1


@pytest.mark.parametrize("planes", [2, 3])
def test_few_planes_are_enough(planes):
    assert np.isfinite(steps(volume(planes, (9, 40))).result.image).all()


def test_each_plane_is_told_of_once_it_is_complete(small_blocks):
    run = steps()
    seen = [(now.stage, now.finished, now.done) for now in run]
    assert [stage for stage, _, _ in seen] == ["fit"] * 4 + ["apply"] * 4  # said before, then block by block
    assert sorted(index for _, finished, _ in seen for index in finished) == [(n,) for n in range(5)]
    done = [part for _, _, part in seen]
    assert done == sorted(done) and done[-1] == 1 and done[0] > 0


def test_the_plane_that_is_looked_at_comes_first_and_changes_nothing(small_blocks):
    plain, run = steps().result, steps()
    order = []
    for now in run:
        run.look_at((4,))
        run.look_at((77,))  # there is none
        assert now.preview().shape == (24, 20) and np.isfinite(now.preview()).all()
        order += now.finished
    assert order[0] in [(3,), (4,)] and (4,) in order[:2]
    assert run.result.image.tobytes() == plain.image.tobytes()


def test_a_block_can_be_broken_off_and_is_begun_anew(small_blocks):
    run = steps(uncertainty=True)
    asked = iter([False, True] * 3)
    run.interrupted = lambda: next(asked, False)
    finished = [now.finished for now in run if now.stage == "apply"]
    assert finished.count(()) == 4 and sum(map(len, finished)) == 5  # said before, and broken off three times
    assert run.result.image.tobytes() == steps(uncertainty=True).result.image.tobytes()


def test_stopping_ends_the_fit_and_restores_all_planes(small_blocks):
    run = steps(max_iterations=50)
    for now in run:
        if now.stage == "fit" and now.iteration == 4:
            now.stop()
    result = run.result
    assert np.isfinite(result.image).all() and result.record["unreached"] == []
    assert result.record["stopped_by"] == "asked" and result.record["iterations"] == 4
    assert dip.replay(result.record, volume()).image.tobytes() == result.image.tobytes()


@pytest.mark.parametrize("after", [4, 5, 6])
def test_what_is_not_restored_can_be_left_out_and_is_marked(small_blocks, after):
    run = steps(uncertainty=True)
    for number, _ in enumerate(run, 1):
        if number == after:
            run.stop(now=True)
    result = run.result
    left = result.record["unreached"]
    assert 0 < len(left) < 5 and result.record["stopped_by"] == "asked"
    assert np.isnan(result.image[left]).all() and np.isnan(result.uncertainty[left]).all()
    done = [n for n in range(5) if n not in left]
    np.testing.assert_array_equal(result.image[done], steps(uncertainty=True).result.image[done])
    again = dip.replay(result.record, volume())
    assert again.image.tobytes() == result.image.tobytes() and again.record["unreached"] == left


@pytest.mark.parametrize("after", [1, 4, 5])
def test_a_stack_that_is_taken_up_again_gives_the_same_bytes(small_blocks, after, tmp_path):
    whole, broken = steps().result, steps()
    for number, _ in enumerate(broken, 1):
        if number == after:
            broken.save(tmp_path / "run")
            break
    run = dip.load_run(tmp_path / "run", volume())
    assert run.result.image.tobytes() == whole.image.tobytes()


def test_a_stack_can_be_gone_on_with():
    run = steps()
    first = run.result
    run.extend(60)  # after 4 a filter knows more than the network
    second = run.result
    assert second.record["iterations"] == 64 and second.record["unreached"] == []
    assert (second.image != first.image).any()
    assert dip.replay(second.record, volume()).image.tobytes() == second.image.tobytes()


def test_what_was_left_out_is_restored_once_it_is_gone_on_with(small_blocks):
    run = steps(uncertainty=True)
    for number, _ in enumerate(run, 1):
        if number == 5:
            run.stop(now=True)
    first = run.result
    assert len(first.record["unreached"]) == 3
    run.extend(2)
    second, whole = run.result, steps(uncertainty=True)
    whole.result  # noqa: B018
    whole.extend(2)
    assert second.record["iterations"] == 6 and second.record["unreached"] == []
    assert second.image.tobytes() == whole.result.image.tobytes()
    assert np.isnan(first.image).any() and first.record["iterations"] == 4


def test_a_stack_that_is_gone_on_with_and_cut_short_keeps_nothing_of_before(small_blocks):
    run = steps(uncertainty=True)
    for _ in run:
        pass
    run.extend(2)
    for now in run:
        if now.stage == "apply":
            run.stop(now=True)
    result, left = run.result, run.result.record["unreached"]
    assert 0 < len(left) < 5
    assert np.isnan(result.image[left]).all() and np.isnan(result.uncertainty[left]).all()
    assert dip.replay(result.record, volume()).image.tobytes() == result.image.tobytes()


def test_to_restore_a_channel_takes_nothing_of_the_time_to_learn_from_the_next(small_blocks):
    run = steps(np.stack([volume(), volume(seed=1)]), "CZYX", max_seconds=1000.0)
    for now in run:
        if now.fit == 1:
            break
    first, learning = run.state.planes[0], run.state.at.fit
    assert 0 < first["applying"] < first["seconds"]
    assert learning.limits.seconds == pytest.approx(1000 - (first["seconds"] - first["applying"]))


@pytest.mark.parametrize("planes", [5, 8])
def test_another_volume_is_restored_in_whole(small_blocks, planes):
    """The record counts the blocks of its own image."""
    cut = steps()
    for number, _ in enumerate(cut, 1):
        if number == 5:
            cut.stop(now=True)
    for record in (cut.result.record, steps().result.record):
        other = dip.replay(record, volume(planes, seed=1), other_image=True)
        assert other.record["unreached"] == []
        assert other.image.tobytes() == steps(volume(planes, seed=1)).result.image.tobytes()


def test_a_snapshot_restores_all_and_changes_nothing(small_blocks):
    run = steps()
    for number, _ in enumerate(run, 1):
        if number == 2:
            snapshot = run.snapshot()
    assert np.isfinite(snapshot.image).all() and snapshot.record["iterations"] == 2
    assert run.result.image.tobytes() == steps().result.image.tobytes()


def test_planes_without_anything_to_restore_stay_and_disturb_nobody():
    image = volume(6)
    image[2], image[4] = 7.0, np.nan
    result = steps(image, nonfinite="inpaint").result
    assert (result.image[2] == 7).all() and np.isnan(result.image[4]).all() and result.record["unreached"] == [4]
    assert np.isfinite(result.image[[0, 1, 3, 5]]).all()
    assert result.record["planes"][0]["planes"] == [0, 1, 3, 5]


def test_single_dead_pixels_are_filled_in():
    image = volume()
    image[2, 5:8, 5:8] = np.nan
    result = steps(image, nonfinite="inpaint").result
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_the_uncertainty_of_a_volume_is_about_its_error(preset):
    clean, noisy = volume(3, (32, 32), noise=0), volume(3, (32, 32), noise=12)
    result = steps(noisy, uncertainty=True, preset=preset, max_iterations=40).result
    assert result.uncertainty.shape == noisy.shape and (result.uncertainty > 0).all()
    assert 1 / 3 < np.std(result.image - clean) / result.uncertainty.mean() < 3


def test_a_lazy_volume_gives_what_a_loaded_one_does_and_is_not_changed(small_blocks):
    image = volume()
    before, lazy = image.copy(), da.from_array(image, chunks=(1, 24, 20))
    assert steps(lazy).result.image.tobytes() == steps(image).result.image.tobytes()
    np.testing.assert_array_equal(image, before)


def test_a_large_lazy_volume_is_computed_three_times_at_most(small_blocks, monkeypatch):
    """Once to be checked, once to be learned from, once to be restored."""
    computed = []

    def chunk(block_info=None):
        (z, _), *_ = block_info[None]["array-location"]
        computed.append(z)
        return volume()[z : z + 1]

    monkeypatch.setattr("napari_dip.image.source.KEPT", 0)
    lazy = da.map_blocks(chunk, chunks=((1,) * 5, (24,), (20,)), dtype=float, meta=np.empty((0, 0, 0)))
    run = dip.restore_steps("denoise", lazy, axes="ZYX", **QUICK)
    assert run.result.image.tobytes() == steps().result.image.tobytes()
    assert max(computed.count(z) for z in range(5)) <= 3


def test_a_large_plane_is_fitted_on_crops_and_shows_no_tiles(monkeypatch):
    """The same picture whether it is applied as a whole or in tiles, to where the network sees no further."""
    image = volume(1, (160, 128), noise=20)[0]
    monkeypatch.setattr(fits, "LARGE", 1)
    settings = QUICK | {"max_iterations": 30}
    whole = dip.denoise(image, **settings)
    assert whole.record["planes"][0]["neighbours"] == 0
    monkeypatch.setattr(apply, "SIDE", 64)
    monkeypatch.setattr(stack_fit, "SIDE_ALONE", 64)
    tiled = dip.denoise(image, **settings)
    apart = tiled.image - whole.image
    assert len(tiled.record["planes"][0]["blocks"]) == 6
    assert np.sqrt(np.mean(apart**2)) < 0.1 * np.std(whole.image - image)
    jumps = np.abs(np.diff(tiled.image, axis=0)).mean(1)
    assert jumps[[63, 127]].mean() < 1.2 * np.abs(np.diff(whole.image, axis=0)).mean(1)[[63, 127]].mean()


def photons(planes, side, peak=1.0):
    """Cells of hardly any photons, and what was measured of them."""
    z, y, x = np.mgrid[:planes, :side, :side]
    clean = peak * np.clip(np.sin(y / 9 + z / 8) * np.cos(x / 8), 0, 1)
    return clean, np.random.default_rng(0).poisson(clean).astype(np.uint8)


def error(image, clean):
    return float(np.mean((image - clean) ** 2))


def test_a_volume_of_hardly_any_photons_is_restored_better_than_by_a_filter_and_it_is_said():
    clean, measured = photons(5, 64)
    result = dip.denoise(measured, axes="ZYX", threads=1, max_iterations=100)
    (plane,) = result.record["planes"]
    assert plane["together"] == 2
    filtered = (gaussian_filter(measured.astype(float), (z, w, w)) for z in (0.5, 1, 2) for w in (1.5, 2.25, 3, 4))
    assert error(result.image, clean) < min(error(one, clean) for one in filtered)
    assert "binned 2 x 2" in summary.noise_found(result.record)
    assert dip.replay(result.record, measured).image.tobytes() == result.image.tobytes()


def test_groups_of_a_large_plane_show_no_tiles(monkeypatch):
    clean, measured = (image[0] for image in photons(1, 160))
    monkeypatch.setattr(fits, "LARGE", 1)
    settings = QUICK | {"max_iterations": 30, "uncertainty": True}
    whole = dip.denoise(measured, **settings)
    monkeypatch.setattr(apply, "SIDE", 32)
    monkeypatch.setattr(stack_fit, "SIDE_ALONE", 32)
    tiled = dip.denoise(measured, **settings)
    plane = tiled.record["planes"][0]
    assert plane["together"] == 2 and len(plane["blocks"]) == 9
    apart = tiled.image - whole.image
    assert np.sqrt(np.mean(apart**2)) < 0.1 * np.sqrt(error(whole.image, clean))
    assert np.isfinite(tiled.uncertainty).all() and tiled.uncertainty.shape == measured.shape


def test_a_network_that_has_hardly_learned_anything_gives_way_to_a_filter_that_sees_the_planes_beside():
    result = steps().result
    assert result.record["planes"][0]["filtered"] > 0.8
    assert "Gaussian smoothing" in summary.simple_filter(result.record)
    clean, noisy = volume(noise=0), volume()
    filtered = min(error(gaussian_filter(noisy, (0, w, w)), clean) for w in (0.5, 0.75, 1, 1.5))
    assert error(result.image, clean) < filtered


def test_what_was_taken_off_planes_is_noise_and_stands_in_the_record(small_blocks):
    found = steps(max_iterations=60).result.record["planes"][0]["residual"]
    assert 0.5 < found["variance"] < 1.3 and len(found["by_brightness"]) == 3 and found["correlation"] < 0.15


def test_channels_can_be_restored_with_a_look_at_each_other():
    image = np.stack([volume(3), 300 - volume(3, seed=1)])
    separate, together, again = (
        dip.denoise(image, axes="CZYX", channels=how, **QUICK) for how in ("separate", *["together"] * 2)
    )
    assert (separate.image != together.image).any() and together.image.tobytes() == again.image.tobytes()
    assert dip.replay(together.record, image).image.tobytes() == together.image.tobytes()
    alone = dip.denoise(image[0], axes="ZYX", channels="together", **QUICK).image
    assert alone.tobytes() == separate.image[0].tobytes()  # there is no other to look at


def test_planes_that_share_their_noise_are_not_looked_at():
    """Planes that were interpolated, or averaged over time, would give away what is hidden of each other."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 20, (7, 48, 48))
    shared = volume(6, (48, 48), noise=0) + (noise[1:] + noise[:-1]) / 2
    assert steps(shared).result.record["planes"][0]["neighbours"] == 0
    assert steps(volume(6, (48, 48), noise=14)).result.record["planes"][0]["neighbours"] == 2
    assert steps(shared, neighbours=1).result.record["planes"][0]["neighbours"] == 1  # who asks for them gets them


def test_the_reach_follows_from_how_far_planes_are_apart():
    reach = [steps(z_step=step).result.record["planes"][0]["neighbours"] for step in (1.0, 20.0)]
    assert reach == [2, 1]
    assert steps(neighbours=0).result.record["planes"][0]["neighbours"] == 0


def test_the_same_bytes_with_any_settings_of_torch_around_it():
    import torch

    with torch.inference_mode():
        one = steps().result
    assert one.image.tobytes() == steps().result.image.tobytes()
