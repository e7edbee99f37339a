import pytest

from napari_dip.errors import InputError
from napari_dip.settings import Settings, field, read_settings


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_explains_itself_and_has_a_default(name):
    info = field(name)
    assert info.title and info.description
    assert info.description.endswith(".")
    assert not info.is_required()


def test_the_names_that_others_rely_on_are_there():
    names = {"preset", "noise", "seed", "device", "max_iterations", "max_seconds", "uncertainty"}
    assert names <= set(Settings.model_fields)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"no setting named 'presett'.*preset.*max_seconds"):
        read_settings({"presett": "fast"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("preset", "fastest"),
        ("noise", "pink"),
        ("sigma", 0),
        ("sigma", -1.0),
        ("gain", 0.0),
        ("gain", "high"),
        ("offset", "dark"),
        ("uncertainty", "much"),
        ("seed", -1),
        ("seed", 1.5),
        ("device", "tpu"),
        ("max_iterations", 0),
        ("max_iterations", "many"),
        ("max_seconds", 0),
        ("max_seconds", -3.0),
        ("threads", 0),
        ("nonfinite", "ignore"),
        ("z_step", 0),
        ("z_step", -2.0),
        ("neighbours", -1),
        ("neighbours", 5),
        ("neighbours", 1.5),
        ("channels", "all"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(InputError) as refusal:
        read_settings({name: value})
    sentence = str(refusal.value)
    assert name in sentence and repr(value) in sentence
    assert sentence.endswith(".") and "\n" not in sentence


def test_settings_that_are_allowed_come_back_as_given():
    chosen = read_settings({"preset": "paper", "max_seconds": 2, "threads": 1})
    assert (chosen.preset, chosen.max_seconds, chosen.threads) == ("paper", 2.0, 1)
    assert read_settings({}) == Settings()


def test_an_offset_may_be_anything_and_zero_is_one():
    assert read_settings({}).offset is None
    assert [read_settings({"offset": value}).offset for value in (0, -3.5, 100)] == [0.0, -3.5, 100.0]


def test_settings_survive_json():
    chosen = read_settings({"seed": 7, "sigma": 3.5})
    assert read_settings(Settings.model_validate_json(chosen.model_dump_json()).model_dump()) == chosen
