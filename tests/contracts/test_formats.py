"""What every format of files has to do; a new one joins by being in the tuple."""

import pickle
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from napari_dip.errors import InputError
from napari_dip.files.formats import (
    EXACT,
    FORMATS,
    NAMES,
    Metadata,
    Picture,
    check_fits,
    companion,
    format_of,
    read_image,
    write_image,
)

every_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
ENDINGS = [(form, ending) for form in FORMATS for ending in (*form.suffixes, *form.dialects)]
every_ending = pytest.mark.parametrize(("form", "ending"), ENDINGS, ids=[ending for _, ending in ENDINGS])
TYPES = ["uint8", "uint16", ">u2", "int32", "float32", "float64", "bool"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of a test; each is written over the one before."""
    return tmp_path_factory.mktemp("files")


@st.composite
def pictures(draw):
    """A small image of any type, with any axes in any order, and what a file may have said of it."""
    outer = draw(st.lists(st.sampled_from("TZCS"), unique=True, max_size=3))
    axes = "".join(draw(st.permutations(["Y", "X", *outer])))
    sizes = {a: draw(st.sampled_from([1, 3, 4] if a == "S" else [1, 2, 3, 4])) for a in outer}
    sizes |= {"Y": draw(st.integers(8, 12)), "X": draw(st.integers(8, 12))}
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array = rng.integers(0, 200, [sizes[a] for a in axes]).astype(draw(st.sampled_from(TYPES)))
    step = {"Y": draw(st.floats(0.01, 10)), "X": draw(st.floats(0.01, 10))}
    unit = draw(st.sampled_from([None, "inch", "cm", "µm", "nm", "furlong"]))
    dialect = draw(st.sampled_from([None, "imagej", "ome", "plain", "of another format"]))
    return Picture(array, Metadata(axes, draw(st.sampled_from([{}, step])), unit, dialect))


def plane(dtype="uint8"):
    return Picture(np.random.default_rng(0).integers(0, 200, (24, 20)).astype(dtype), Metadata("YX"))


def without_ones(array, axes):
    """Leave out the dimensions of one element: to many formats, a stack of one plane is a plane."""
    single = tuple(i for i, a in enumerate(axes) if array.shape[i] == 1 and a not in "YX")
    return array.squeeze(single), "".join(a for i, a in enumerate(axes) if i not in single)


def content_of(path):
    """Give the bytes of a file; of a folder, those of all that lies in it."""
    if path.is_file():
        return path.read_bytes()
    return {one.relative_to(path): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


def spoil(path, change):
    """Write an image and change the bytes of its file; where that is a folder, those of all files in it."""
    write_image(path, plane().array.astype("float32"), "YX", plane())
    for one in [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]:
        one.write_bytes(change(one.read_bytes()))


def refusal(path):
    """Check that a file is refused in one sentence; give that sentence."""
    with pytest.raises(InputError) as error:
        read_image(path)
    sentence = str(error.value)
    assert repr(str(path)) in sentence and "\n" not in sentence
    assert sentence.endswith(".") and not sentence.endswith("..")
    return sentence


def test_no_two_formats_share_a_name_or_an_ending_and_all_are_named():
    endings = [ending for _, ending in ENDINGS]
    names = [form.name for form in FORMATS]
    assert len(set(endings)) == len(endings) and len(set(names)) == len(names)
    assert sorted(re.split(", | or ", NAMES)) == sorted(names)
    with pytest.raises(InputError) as error:
        format_of(Path("cells.jpg"))
    assert all(word in str(error.value) for form in FORMATS for word in (form.name, *form.suffixes))


@every_format
def test_a_format_says_what_it_is(form):
    assert form.suffixes and all(s == s.lower() and s[0] == "." and s.count(".") == 1 for s in form.suffixes)
    assert all(end == end.lower() and end.endswith(form.suffixes) for end in form.dialects)
    assert form.name in form.about and form.about.endswith(".") and "\n" not in form.about


@every_ending
def test_an_ending_stands_for_its_format(form, ending):
    for name in (f"cells{ending}", f"CELLS{ending.upper()}", f"cells.v1{ending}"):
        assert format_of(Path(name)) is form
        second = companion(Path(name), "uncertainty")
        assert format_of(second) is (form if form.exact else EXACT)
        assert second.name.startswith(name[: -len(ending)] + "-uncertainty")
    if form.exact:
        assert companion(Path(f"cells{ending}"), "uncertainty") == Path(f"cells-uncertainty{ending}")


@every_ending
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(picture=pictures())
def test_what_is_accepted_is_written_and_read_again(folder, form, ending, picture):
    path, axes = folder / f"a{ending}", picture.axes
    assume(form.obstacle(picture, axes) is None)
    check_fits(path, picture, axes)
    result = picture.array.astype("float32") + (0.25 if form.exact else 0)
    asked = result.copy()
    write_image(path, result, axes, picture)
    found = read_image(path)
    assert np.array_equal(result, asked)
    expected, axes = without_ones(result, axes)
    array = np.asarray(found.array)
    if found.axes is None:  # the file does not say, so the order must be the same
        array = array.squeeze()
    else:
        array, known = without_ones(array, found.axes)
        assert sorted(known) == sorted(axes)
        array = array.transpose([known.index(a) for a in axes])
    assert array.dtype == np.float32 if form.exact else array.dtype == picture.array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(array, expected)


@settings(max_examples=100, deadline=None)
@given(picture=pictures())
def test_what_is_refused_gets_one_sentence_that_says_what_to_write(picture):
    for form in FORMATS:
        if form.obstacle(picture, picture.axes) is None:
            continue
        with pytest.raises(InputError) as error:
            check_fits(Path(f"a{form.suffixes[0]}"), picture, picture.axes)
        what, _, advice = str(error.value).partition("; write ")
        assert form.name in what and advice.endswith(".")
        able = [suffix for suffix in re.findall(r"\.\w+", advice) if suffix != form.suffixes[0]]
        assert able and all(format_of(Path(f"a{s}")).obstacle(picture, picture.axes) is None for s in able)


@every_format
def test_a_plane_of_8_bits_is_always_taken(form):
    assert form.obstacle(plane(), "YX") is None
    assert form.obstacle(plane(), None) is None


@every_format
@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_an_exact_format_takes_every_plane(form, dtype):
    assert not form.exact or form.obstacle(plane(dtype), "YX") is None


@every_ending
@pytest.mark.parametrize("unit", ["inch", None, "µm"])
def test_a_pixel_size_is_kept_and_divided_or_left_out_but_never_wrong(folder, form, ending, unit):
    path, source = folder / f"size{ending}", plane()
    source = Picture(source.array, Metadata("YX", {"Y": 1 / 150, "X": 1 / 75}, unit))
    write_image(path, source.array.repeat(2, 0).repeat(2, 1).astype("float32"), "YX", source, factor=2)
    found = read_image(path).metadata
    centimetres = {"inch": 2.54, "in": 2.54, "cm": 1, "µm": 1e-4}
    if unit is None or found.unit is None:
        assert found.unit in (None, "pixel")  # as OME calls it
    else:
        one = centimetres[found.unit] / centimetres[unit]
        assert [found.step[a] * one for a in "YX"] == pytest.approx([1 / 300, 1 / 150], rel=1e-3)


@every_ending
def test_the_same_result_makes_the_same_file(folder, form, ending):
    files = []
    for _ in range(2):
        write_image(folder / f"same{ending}", plane().array.astype("float32"), "YX", plane())
        files.append(content_of(folder / f"same{ending}"))
    assert files[0] == files[1]


@every_ending
@settings(max_examples=20, deadline=None)
@given(part=st.floats(0, 0.5))
def test_a_file_that_was_cut_off_gets_one_sentence(folder, form, ending, part):
    path = folder / f"cut{ending}"
    spoil(path, lambda whole: whole[: int(part * len(whole))])
    assert f"cannot be read as {form.name}: " in refusal(path)


@every_ending
@pytest.mark.parametrize("content", [b"", b"\0", b"\0" * 999, b"this is no image at all\n" * 9], ids=len)
def test_what_is_no_image_gets_one_sentence(folder, form, ending, content):
    path = folder / f"none{ending}"
    spoil(path, lambda _: content)
    assert f"cannot be read as {form.name}: " in refusal(path)


@every_ending
def test_a_folder_is_no_file_and_a_file_no_folder(tmp_path, form, ending):
    path = tmp_path / f"other{ending}"
    if form.folder:
        path.write_bytes(b"no folder")
    else:
        path.mkdir()
    refusal(path)


class Trap:
    """Leaves a mark when it is loaded from a pickle."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@every_ending
def test_no_pickle_is_ever_loaded(tmp_path, form, ending):
    mark, path = tmp_path / "mark", tmp_path / f"trap{ending}"
    spoil(path, lambda _: pickle.dumps(Trap(mark)))
    refusal(path)
    saved = BytesIO()
    np.save(saved, np.array([Trap(mark)], object), allow_pickle=True)
    spoil(path, lambda _: saved.getvalue())
    refusal(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists(), "the trap does not work"
