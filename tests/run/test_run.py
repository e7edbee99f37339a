"""A run as an object: gone on with, looked at, saved; and what torch is set to around it does not matter."""

import multiprocessing
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import napari_dip as dip
from napari_dip import tasks
from napari_dip.tasks import Input, task_named

QUICK = {"max_iterations": 6, "threads": 1, "device": "cpu"}


def picture(shape=(24, 20), seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100 + 60 * np.sin(y / 5) * np.cos(x / 4) + rng.normal(0, 8, shape)


def stack(planes=3):
    return np.stack([picture((16, 18), seed) for seed in range(planes)])


def hole(shape=(24, 20)):
    mask = np.zeros(shape, bool)
    mask[5:9, 6:12] = True
    return mask


def steps(image=None, **settings):
    return dip.restore_steps("denoise", picture() if image is None else image, **QUICK | settings)


def same(one, other):
    """Whether two restorations are the same bit for bit, whatever the clock said."""
    assert one.image.tobytes() == other.image.tobytes()
    if one.uncertainty is not None or other.uncertainty is not None:
        assert one.uncertainty.tobytes() == other.uncertainty.tobytes()
    keys = ("iterations", "planes_restored", "unreached", "settings", "losses")
    assert {key: one.record[key] for key in keys} == {key: other.record[key] for key in keys}
    return True


def test_a_run_is_walked_and_then_has_its_result():
    run = steps()
    assert [progress.iteration for progress in run] == [1, 2, 3, 4, 5, 6]
    assert list(run) == []
    assert same(run.result, dip.denoise(picture(), **QUICK))
    assert run.result.image is run.result.image


def test_the_result_of_a_run_that_was_not_walked_to_its_end_is_that_of_its_end():
    run = steps()
    for _ in run:
        break
    assert same(run.result, dip.denoise(picture(), **QUICK))


def test_a_run_that_was_stopped_between_two_steps_has_what_it_had():
    run = steps()
    next(run), next(run)
    run.stop()
    assert run.result.record["iterations"] == 2 and list(run) == []


def test_a_run_that_is_closed_gives_no_more_steps():
    run = steps()
    next(run)
    run.close()
    assert list(run) == [] and np.isnan(run.result.image).all() and run.result.record["unreached"] == [0]
    with pytest.raises(dip.InputError, match="nothing to look at"):
        run.preview()


@pytest.mark.parametrize("preset", ["fast", "best"])
def test_what_was_extended_is_what_an_unbroken_run_would_have_been(preset):
    plan = {"preset": preset, "max_iterations": 12, "uncertainty": True}
    whole, broken = steps(**plan), steps(**plan)
    for number, _ in enumerate(broken, 1):
        if number == 5:
            broken.stop()
    first = broken.result
    kept = first.image.copy()
    broken.extend(7)
    assert [progress.iteration for progress in broken] == [6, 7, 8, 9, 10, 11, 12]
    assert same(broken.result, whole.result)
    assert (first.image == kept).all() and first.record["iterations"] == 5
    assert len(broken.result.record["planes"][0]["losses"]) > len(first.record["planes"][0]["losses"])


def test_a_run_goes_on_past_its_plan_and_is_repeated():
    run = steps()
    before = run.result
    run.extend(60)  # after 6 a filter knows more than the network
    after = run.result
    assert after.record["iterations"] == 66 and after.record["planes"][0]["iterations_planned"] == 6
    assert (after.image != before.image).any()
    assert same(dip.replay(after.record, picture()), after)


def test_channels_that_were_stopped_go_on_with_the_others():
    run = steps(stack(), axes="CYX")
    for number, _ in enumerate(run, 1):
        if number == 8:
            run.stop()
    assert run.result.record["unreached"] == [2] and np.isnan(run.result.image[2]).all()
    run.extend(4)
    end = run.result
    assert [plane["iterations"] for plane in end.record["planes"]] == [6, 6, 6] and end.record["unreached"] == []
    assert end.image.tobytes() == dip.denoise(stack(), axes="CYX", **QUICK).image.tobytes()


def test_there_is_nothing_to_extend_before_a_run_has_begun():
    with pytest.raises(dip.InputError, match="nothing to go on with"):
        steps().extend(3)
    run = steps()
    next(run)
    with pytest.raises(dip.InputError, match="1 or more"):
        run.extend(0)


def test_a_snapshot_is_what_stopping_would_give_and_changes_nothing():
    image = stack(2)
    run, stopped = (steps(image, axes="CYX", uncertainty=True) for _ in range(2))
    for number, progress in enumerate(run, 1):
        if number == 8:
            snapshot = run.snapshot()
            assert (snapshot.image[1] != 0).all() and progress.plane == 1
    for number, _ in enumerate(stopped, 1):
        if number == 8:
            stopped.stop()
    assert same(snapshot, stopped.result) and snapshot.record["stopped_by"] == "asked"
    assert same(dip.replay(snapshot.record, image), snapshot)
    assert same(run.result, dip.denoise(image, axes="CYX", uncertainty=True, **QUICK))
    begun = steps(image, axes="CYX").snapshot()
    assert np.isnan(begun.image).all() and begun.record["unreached"] == [0, 1]


RUNS = {
    "denoise": lambda: dip.restore_steps("denoise", picture(), uncertainty=True, **QUICK | {"max_iterations": 12}),
    "best": lambda: dip.restore_steps("denoise", picture(), preset="best", **QUICK | {"max_iterations": 12}),
    "a stack": lambda: dip.restore_steps("denoise", stack(2), axes="ZYX", **QUICK),
    "channels": lambda: dip.restore_steps("denoise", stack(2), axes="CYX", **QUICK),
    "inpaint": lambda: dip.restore_steps("inpaint", picture(), mask=hole(), **QUICK | {"max_iterations": 12}),
    "super-resolve": lambda: dip.restore_steps("super_resolve", picture(), factor=2, **QUICK | {"max_iterations": 12}),
}
INPUTS = {"inpaint": {"mask": hole()}}


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_that_was_broken_off_and_taken_up_again_gives_the_same_bytes(kind, tmp_path):
    image, inputs = stack(2) if kind in ("a stack", "channels") else picture(), INPUTS.get(kind, {})
    whole = RUNS[kind]().result
    for after in (1, 7):
        broken = RUNS[kind]()
        for _ in range(after):
            next(broken)
        broken.save(tmp_path / "half.run")
        taken_up = dip.load_run(tmp_path / "half.run", image, **inputs)
        assert same(taken_up.result, whole)


def test_a_finished_run_can_be_saved_and_gone_on_with(tmp_path):
    run = steps()
    run.result  # noqa: B018
    run.save(str(tmp_path / "end.run"))
    loaded = dip.load_run(str(tmp_path / "end.run"), picture())
    assert list(loaded) == [] and same(loaded.result, run.result)
    for one in (run, loaded):
        one.extend(2)
    assert same(loaded.result, run.result)


def test_a_run_that_is_taken_up_keeps_its_limit_of_time(tmp_path):
    run = steps(max_seconds=1000.0)
    next(run)
    run.save(tmp_path / "half.run")
    loaded = dip.load_run(tmp_path / "half.run", picture())
    assert loaded.state.at.fit.limits == run.state.at.fit.limits and loaded.state.at.fit.limits.seconds == 1000
    hasty = steps(max_iterations=100_000, max_seconds=0.5)
    next(hasty)
    hasty.save(tmp_path / "hasty.run")
    assert dip.load_run(tmp_path / "hasty.run", picture()).result.record["stopped_by"] == "seconds"


def test_a_run_that_was_extended_is_taken_up_with_what_was_asked_for(tmp_path):
    run = steps()
    run.result  # noqa: B018
    run.extend(4)
    next(run)
    run.save(tmp_path / "half.run")
    loaded = dip.load_run(tmp_path / "half.run", picture())
    assert loaded.result.record["iterations"] == 10 and same(loaded.result, run.result)


def test_a_run_of_another_device_is_refused_in_a_sentence(tmp_path):
    """On another device it would go on to other bytes."""
    run = steps()
    next(run)
    run.save(tmp_path / "half.run")
    content = torch.load(tmp_path / "half.run", weights_only=True)
    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    content["record"] = content["record"].replace('"device": "cpu"', f'"device": "{missing}"')
    torch.save(content, tmp_path / "half.run")
    with pytest.raises(dip.InputError, match=rf"begun on {missing}, .* go on there, or restore the image anew\."):
        dip.load_run(tmp_path / "half.run", picture())
    with pytest.raises(dip.InputError, match=rf"begun on {missing}, .* go on there, or restore the image anew\."):
        dip.replay(content["record"], picture())


def test_a_file_of_a_run_is_of_its_own_image(tmp_path):
    run = steps()
    next(run)
    run.save(tmp_path / "half.run")
    with pytest.raises(dip.InputError, match="not the one of the record"):
        dip.load_run(tmp_path / "half.run", picture() + 1)


class Evil:
    def __reduce__(self):
        return os.system, ("touch here-i-was",)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", "pickle", {"format": "another"}])
def test_a_file_that_holds_no_run_is_refused_and_runs_nothing(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.run"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(Evil() if content == "pickle" else content, path)
    with pytest.raises(dip.InputError, match="holds no run"):
        dip.load_run(path, picture())
    with pytest.raises(dip.InputError, match="no file"):
        dip.load_run(tmp_path / "not-there", picture())
    assert not (tmp_path / "here-i-was").exists()


def test_a_replay_says_so_if_the_image_is_another_one():
    record = dip.inpaint(picture(), hole(), **QUICK).record
    assert set(record["digest"]) == {"image", "mask"}
    with pytest.raises(dip.InputError, match="image is not the one of the record"):
        dip.replay(record, picture(seed=1), mask=hole())
    with pytest.raises(dip.InputError, match="mask is not the one of the record"):
        dip.replay(record, picture(), mask=hole().T.reshape(24, 20))
    with pytest.raises(dip.InputError, match="needs a mask"):
        dip.replay(record, picture())
    other = dip.replay(record, picture(seed=1), mask=hole(), other_image=True)
    assert other.image.tobytes() == dip.inpaint(picture(seed=1), hole(), **QUICK).image.tobytes()


def test_channels_beyond_those_of_a_record_are_restored_as_planned():
    run = steps(stack(2), axes="CYX")
    for number, _ in enumerate(run, 1):
        if number == 4:
            run.stop()
    assert run.result.record["unreached"] == [1]
    other = dip.replay(run.result.record, stack(3), other_image=True)
    assert other.record["unreached"] == [] and [plane["iterations"] for plane in other.record["planes"]] == [4, 6, 6]
    assert [plane["stopped_by"] for plane in other.record["planes"]] == ["asked", "iterations", "iterations"]


def test_the_record_tells_every_array_that_a_task_takes(monkeypatch, tmp_path):
    row = replace(task_named("denoise"), inputs=(Input("psf", "image", "PSF", "An array of any size."),))
    for module in ("tasks", "run.preparation"):
        monkeypatch.setattr(f"napari_dip.{module}.TASKS", (row, *tasks.TASKS[1:]))
    psf = np.ones((3, 5))
    run = dip.restore_steps("denoise", picture(), psf=psf, **QUICK)
    next(run)
    run.save(tmp_path / "run")
    first = run.result
    assert set(first.record["digest"]) == {"image", "psf"}
    assert dip.replay(first.record, picture(), psf=psf.tolist()).image.tobytes() == first.image.tobytes()
    assert dip.load_run(tmp_path / "run", picture(), psf=psf).result.image.tobytes() == first.image.tobytes()
    for other in (psf * 2, psf.T, psf.astype("float32")):
        with pytest.raises(dip.InputError, match="psf is not the one of the record"):
            dip.replay(first.record, picture(), psf=other)
        with pytest.raises(dip.InputError, match="psf is not the one of the record"):
            dip.load_run(tmp_path / "run", picture(), psf=other)
    assert dip.replay(first.record, picture(), psf=psf * 2, other_image=True).image.shape == (24, 20)
    with pytest.raises(dip.InputError, match="needs a psf"):
        dip.replay(first.record, picture())
    with pytest.raises(dip.InputError, match="psf holds values that are NaN"):
        dip.restore_steps("denoise", picture(), psf=psf * np.nan)


def test_the_result_is_written_to_an_array_that_is_given(tmp_path):
    mapped = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(2, 16, 18))
    image = stack(2)
    run = dip.restore_steps("denoise", image, axes="CYX", out=mapped, **QUICK)
    for number, _ in enumerate(run, 1):
        if number == 8:
            assert np.isfinite(mapped[0]).all() and np.isnan(mapped[1]).all()
    assert run.result.image is mapped
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), dip.denoise(image, axes="CYX", **QUICK).image)
    with pytest.raises(dip.InputError, match=r"float32 and of the shape \(24, 20\)"):
        dip.denoise(picture(), out=np.zeros((24, 20)))


@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: torch.device("meta"),
    ],
    ids=["no_grad", "inference_mode", "autocast", "device"],
)
@pytest.mark.parametrize("task", ["denoise", "super_resolve"])
def test_what_torch_is_set_to_around_a_call_does_not_matter(around, task):
    call = {
        "denoise": lambda: dip.denoise(picture(), uncertainty=True, **QUICK),
        "super_resolve": lambda: dip.super_resolve(picture(), 2, **QUICK),
    }[task]
    expected = call()
    with around():
        assert same(call(), expected)


def test_what_torch_is_set_to_everywhere_does_not_matter_and_comes_back():
    expected = [progress.preview().tobytes() for progress in steps()]
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    try:
        run = steps()
        seen = []
        for progress in run:
            assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()
            seen.append(progress.preview().tobytes())
        assert seen == expected and run.result.image.dtype == np.float32
        assert torch.get_default_dtype() == torch.float64 and not torch.is_grad_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)


def test_a_run_that_is_left_alone_keeps_nothing_of_the_process():
    """Neither the caller's thread nor a worker is left with another number of threads, at any step."""
    here, seen = torch.get_num_threads(), []
    run = steps(threads=2 if here == 1 else 1)
    next(run)
    seen.append(torch.get_num_threads())
    next(run).preview()
    run.snapshot()
    seen.append(torch.get_num_threads())

    def work():
        before = torch.get_num_threads()
        next(run)
        seen.append(torch.get_num_threads() - before + here)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [here] * 3


def denoise_in_child(queue, threads):
    try:
        queue.put(dip.denoise(picture((40, 40)), **QUICK | {"threads": threads}).record["settings"]["threads"])
    except dip.InputError as error:
        queue.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked here")
@pytest.mark.parametrize(("method", "threads", "expected"), [("fork", None, 1), ("fork", 2, "spawn"), ("spawn", 2, 2)])
def test_a_child_of_a_process_that_has_computed_never_hangs(method, threads, expected):
    dip.denoise(picture((200, 200)), threads=2, max_iterations=1)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=denoise_in_child, args=(queue, threads))
    child.start()
    try:
        answer = queue.get(timeout=300)
    finally:
        child.kill()
        child.join()
    assert answer == expected if isinstance(expected, int) else expected in answer


def test_a_limit_of_time_is_part_of_what_is_done():
    """The part that is done comes near to 1 before the limit ends a run, however many iterations are planned."""
    run = steps(max_iterations=100_000, max_seconds=0.5)
    done = [now.done for now in run]
    assert run.result.record["stopped_by"] == "seconds"
    assert done == sorted(done) and done[-1] > 0.7
