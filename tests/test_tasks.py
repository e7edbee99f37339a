"""The table of tasks: every setting and preset is either used or refused."""

from itertools import product
from typing import get_args

import pytest

from napari_dip.errors import InputError
from napari_dip.settings import NOISE_KINDS, STACK, STRENGTH, Settings
from napari_dip.tasks import TASKS, task_named

PRESETS = get_args(Settings.model_fields["preset"].annotation)
KINDS = get_args(Settings.model_fields["noise"].annotation)


def inputs(task):
    return {one.name: object() if one.kind != "number" else one.default for one in task.inputs}


def refused(task, **settings):
    try:
        task.check(Settings(**settings), inputs(task))
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
        return True
    return False


def test_the_kinds_of_noise_that_may_be_given_are_those_of_the_setting():
    assert tuple(kind.name for kind in NOISE_KINDS if kind.may_be_given) == KINDS


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_has_every_preset_and_a_name_of_its_own(task):
    assert tuple(task.presets) == PRESETS
    assert task_named(task.name) is task
    assert not refused(task)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_would_do_nothing_is_refused(task):
    for preset, noise in product(PRESETS, KINDS):
        known = noise in task.presets[preset].noise
        assert refused(task, preset=preset, noise=noise) is not known
        for name in STRENGTH:
            used = known and task.uses(name, preset, noise)
            assert refused(task, preset=preset, noise=noise, **{name: 1.0}) is not used
    for preset in PRESETS:
        used = task.uses("uncertainty", preset)
        assert refused(task, preset=preset, uncertainty=True) is not used


@pytest.mark.parametrize("given", [{"z_step": 1.0}, {"neighbours": 0}, {"neighbours": 2}, {"channels": "together"}])
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_only_denoising_looks_at_other_planes(task, given):
    (name,) = given
    assert name in STACK and task.uses(name) is (task.name == "denoise")
    for preset in PRESETS:
        used = task.name == "denoise" and preset != "paper"
        assert task.uses(name, preset) is used
        assert refused(task, preset=preset, **given) is not used


def test_a_setting_of_stacks_is_refused_with_what_would_use_it():
    with pytest.raises(InputError, match=r"z_step changes nothing.*paper.*take the preset fast or best"):
        task_named("denoise").check(Settings(preset="paper", z_step=2), {})
    with pytest.raises(InputError, match=r"neighbours changes nothing in inpainting.*leave it out"):
        task_named("inpaint").check(Settings(neighbours=0), {"mask": object()})


def test_the_published_method_is_not_told_of_photons():
    with pytest.raises(InputError, match="preset paper knows no noise of the kind poisson"):
        task_named("denoise").check(Settings(preset="paper", noise="poisson"), {})


def test_inputs_are_needed_and_others_refused():
    inpaint, enlarge = task_named("inpaint"), task_named("super_resolve")
    with pytest.raises(InputError, match="needs a mask"):
        inpaint.check(Settings(), {"mask": None})
    with pytest.raises(InputError, match="takes no factor"):
        inpaint.check(Settings(), {"mask": object(), "factor": 3})
    for factor in (1, 9, 2.5, "4", True):
        with pytest.raises(InputError, match="from 2 to 8"):
            enlarge.check(Settings(), {"factor": factor})
