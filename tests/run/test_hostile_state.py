"""Whatever stands in the file of a prior or a run is refused in one sentence before any work, or is used."""

import math
import zipfile

import numpy as np
import pytest
import torch

import napari_dip as dip
from napari_dip import settings
from napari_dip.prior.fitting import state_check

QUICK = {"max_iterations": 2, "threads": 1, "device": "cpu"}


def picture(seed=0, shape=(24, 20)):
    rng = np.random.default_rng(seed)
    return (100 + 30 * np.sin(np.arange(shape[-1]) / 3) + rng.normal(0, 5, shape)).astype("float32")


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "cells.prior"
    dip.fit("denoise", picture(), **QUICK).save(path)
    return torch.load(path, weights_only=True)


def run_content(folder, shape=(24, 20), axes=None, **settings):
    run = dip.restore_steps("denoise", picture(shape=shape), axes=axes, **QUICK | {"max_iterations": 4} | settings)
    for _ in range(2):
        next(run)
    run.save(folder / "half.run")
    return torch.load(folder / "half.run", weights_only=True)


@pytest.fixture(scope="module")
def item_run(tmp_path_factory):
    return run_content(tmp_path_factory.mktemp("item"))


@pytest.fixture(scope="module")
def stack_run(tmp_path_factory):
    return run_content(tmp_path_factory.mktemp("stack"), (2, 16, 16), "ZYX", uncertainty=True)


def changed(content, path, value):
    """Give a copy in which what lies at a path of keys is another value, or what a function makes of it."""
    if not path:
        return value(content) if callable(value) else value
    key, *rest = path
    if isinstance(content, dict):
        return {**content, key: changed(content.get(key), rest, value)}
    return [changed(one, rest, value) if n == key else one for n, one in enumerate(content)]


def filled(value):
    return lambda tensor: torch.full_like(tensor, value)


def first_tensor(named):
    return next(iter(named))


def of_first(named_path, change):
    """Change the first tensor of a dictionary."""
    return named_path, lambda named: {**named, first_tensor(named): change(named[first_tensor(named)])}


TENSORS = {
    "NaN": filled(math.nan),
    "inf": filled(math.inf),
    "huge": filled(1e30),
    "float64": lambda x: x.double(),
    "integers": lambda x: x.int(),
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "empty": lambda x: x[:0],
    "of another shape": lambda x: x.repeat(2, *(1,) * (x.ndim - 1)),
    "a vast view": lambda x: torch.zeros(1).expand(2**40),
    "a number": lambda x: 3.0,
    "None": lambda x: None,
}
NO_NUMBERS = [math.nan, math.inf, None, [], {}, "one"]

WEIGHTS = ["channels", 0, "networks", 0]
PRIORS = {
    **{f"noise {value!r}": (["channels", 0, "noise"], value) for value in [0, -1, -0.5, *NO_NUMBERS]},
    **{f"reach {value!r}": (["channels", 0, "reach"], value) for value in [-1, 1.5, 2**70, *NO_NUMBERS]},
    **{f"samples {value!r}": (["samples"], value) for value in [0, -1, 3, 1.5, 2**70, *NO_NUMBERS]},
    **{f"weights {name}": of_first(WEIGHTS, change) for name, change in TENSORS.items()},
    "large weights": (WEIGHTS, lambda named: {k: torch.full_like(v, 9e5) for k, v in named.items()}),
    "negative variance": (WEIGHTS, lambda named: {k: -abs(v) - 1 if "variance" in k else v for k, v in named.items()}),
    "no networks": (["channels", 0, "networks"], []),
    "ten thousand networks": (["channels", 0, "networks"], lambda x: x * 10_000),
    "two networks": (["channels", 0, "networks"], lambda x: x * 2),
    "no channels": (["channels"], []),
    "a million channels": (["channels"], lambda x: x * 1_000_000),
    "a million empty channels": (["channels"], [None] * 1_000_000),
    "another preset": (["settings", "preset"], "paper"),
    "a setting out of bounds": (["settings", "seed"], -1),
    "a setting that is none": (["settings", "x" * 100_000], 1),
    "another task": (["task"], "inpaint"),
    "a long task": (["task"], "x" * 100_000),
    "no record": (["record"], None),
    "an empty record": (["record"], {}),
    "a record of NaN": (["record", "seconds"], math.nan),
    "a record of tensors": (["record", "seconds"], torch.zeros(3)),
    "a record that unfolds": (["record", "x"], lambda _: unfolding()),
    "version None": (["version"], None),
    "version text": (["version"], "1.0"),
}


def unfolding():
    """Lists that lie in each other twice: in the file they are small."""
    found = [1]
    for _ in range(60):
        found = [found, found]
    return found


@pytest.mark.parametrize("case", PRIORS)
def test_a_prior_that_cannot_be_is_refused_before_any_work(prior, tmp_path, case):
    file = tmp_path / "cells.prior"
    torch.save(changed(prior, *PRIORS[case]), file)
    with pytest.raises(dip.InputError, match=r"damaged and cannot be used|holds no prior") as refusal:
        dip.load_prior(file)
    one_sentence(refusal)


def one_sentence(refusal):
    text = str(refusal.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 600, text


FIT = ["state", "fit", "fit"]


def exchanged(*words):
    """Replace each other word by the one after it."""

    def change(text):
        for old, new in zip(words[::2], words[1::2], strict=True):
            text = text.replace(old, new)
        return text

    return change


HERE = ["seconds", "iteration", "scale", "fallbacks"]
BOTH = {
    **{f"image {name}": (["state", "image"], change) for name, change in list(TENSORS.items())[3:]},
    **{f"threads {value!r}": (["state", "threads"], value) for value in (-1, 5000, 2**70, 1.5, "x", None, math.nan)},
    **{f"next {value!r}": (["state", "next"], value) for value in (-1, 0, 99, None)},
    **{f"network {name}": of_first([*FIT, "network"], change) for name, change in TENSORS.items()},
    **{f"momentum {name}": of_first([*FIT, "optimisers", 0, "state", 0], change) for name, change in TENSORS.items()},
    **{f"{key} {value!r}": ([*FIT, "here", key], value) for key in HERE for value in (-1, math.nan, "x", None)},
    **{f"{key} 1e9": ([*FIT, "here", key], 10**9) for key in HERE[1:]},
    "losses": ([*FIT, "here", "losses"], ["x"]),
    "stopped by": ([*FIT, "here", "stopped_by"], "me"),
    "a rule that never looks": ([*FIT, "rule"], lambda rule: {**rule, "every": 0}),
    "a rule of text": ([*FIT, "rule"], lambda rule: {**rule, "values": {"a": "b"}}),
    "no rule": ([*FIT, "rule"], None),
    "a rate of text": ([*FIT, "optimisers", 0, "param_groups", 0, "lr"], "x"),
    "a rate of NaN": ([*FIT, "optimisers", 0, "param_groups", 0, "initial_lr"], math.nan),
    "other parameters": ([*FIT, "optimisers", 0, "param_groups", 0, "params"], [0]),
    "no optimisers": ([*FIT, "optimisers"], []),
    "no averages": ([*FIT, "averages"], []),
    "averages of text": ([*FIT, "averages", 0], {"a": "b"}),
    "a count of averages": ([*FIT, "averages", 0, "count"], -1),
    "random numbers": ([*FIT, "generator"], lambda x: x[:10]),
    "random numbers of another type": ([*FIT, "generator"], lambda x: x.float()),
    "limits": ([*FIT, "limits", "iterations"], 10**9),
    "no limits at all": ([*FIT, "limits"], {}),
    "limits of attributes": ([*FIT, "limits", "__class__"], "x"),
    "good": ([*FIT, "good"], [{}]),
    "good of another number": ([*FIT, "good"], lambda good: good[:1]),
    "histories": ([*FIT, "histories", 0, "usual"], ["x"]),
    "no fit": (["state", "fit"], None),
    "an empty fit": (["state", "fit"], {}),
    "a fit of something else": (["state", "fit", "fit"], {"network": {}}),
    "at work on nothing": (["state", "numbers"], []),
    "at work on another plane": (["state", "numbers"], [7]),
    "at work on a word": (["state", "numbers"], "0"),
    "planes": (["state", "planes"], [{"plane": 1}]),
    "written": (["state", "written"], [99]),
    "void": (["state", "void"], [-1]),
    "fitted": (["state", "fitted"], {0: {"networks": [{}], "reach": 0, "noise": 1.0}}),
    "fitted channels": (["state", "fitted"], {99: {"networks": [{}], "reach": 0, "noise": 1.0}}),
    "no state": (["state"], None),
    "an empty state": (["state"], {}),
    "no record": (["record"], None),
    "an empty record": (["record"], "{}"),
    "a record of bytes": (["record"], b"{}"),
    "another preset": (["record"], exchanged('"preset": "fast"', '"preset": "best"')),
    "the published preset": (["record"], exchanged('"fast"', '"paper"', '"uncertainty": true', '"uncertainty": false')),
    "another task": (["record"], exchanged('"denoise"', '"super_resolve"', '"inputs": {}', '"inputs": {"factor": 8}')),
    "max. seconds": (["state", "max_seconds"], -1),
}
STACKS = {
    "focus": (["state", "fit", "focus"], 99),
    "done": (["state", "fit", "done"], [99]),
    "done twice": (["state", "fit", "done"], [0, 0]),
    "seconds": (["state", "fit", "seconds"], math.nan),
    "residuals": (["state", "fit", "residuals"], [(1,)]),
    "residuals of text": (["state", "fit", "residuals"], [("a", "b", "c")]),
    "no focus": (["state", "fit"], lambda fit: {"fit": fit["fit"]}),
    "no uncertainty": (["state", "uncertainty"], None),
    "part of the planes": (["state", "numbers"], [0]),
}


def refused(content, folder, **image):
    torch.save(content, folder / "half.run")
    with pytest.raises(dip.InputError) as refusal:
        dip.load_run(folder / "half.run", picture(**image))
    one_sentence(refusal)


@pytest.mark.parametrize("case", BOTH)
def test_a_run_of_a_plane_that_cannot_be_is_refused(item_run, tmp_path, case):
    refused(changed(item_run, *BOTH[case]), tmp_path)


@pytest.mark.parametrize("case", STACKS)
def test_a_run_of_a_stack_that_cannot_be_is_refused(stack_run, tmp_path, case):
    refused(changed(stack_run, *STACKS[case]), tmp_path, shape=(2, 16, 16))


@pytest.mark.parametrize("kind", ["prior", "run"])
def test_a_file_that_unfolds_to_more_than_its_size_is_not_unfolded(prior, item_run, tmp_path, kind):
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    torch.save(prior if kind == "prior" else item_run, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.infolist():
            new.writestr(one.filename, old.read(one))
        new.writestr("archive/data/9999", bytes(1 << 28))
    load = dip.load_prior if kind == "prior" else lambda path: dip.load_run(path, picture())
    load(plain)
    with pytest.raises(dip.InputError, match=f"holds no {kind}"):
        load(packed)
    with plain.open("ab") as file:
        file.truncate(1 << 37)
    with pytest.raises(dip.InputError, match=f"holds no {kind}"):
        load(plain)


def test_a_fit_may_have_as_many_iterations_as_the_settings_say():
    assert state_check.MOST_ITERATIONS == settings.MOST_ITERATIONS
    run = dip.restore_steps("denoise", picture(), **QUICK)
    next(run)
    with pytest.raises(dip.InputError, match="more than 100000"):
        run.extend(settings.MOST_ITERATIONS)
