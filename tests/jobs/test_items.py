import os
from pathlib import Path

import numpy as np
import pytest

from napari_dip.errors import InputError
from napari_dip.jobs.items import Asked, check_apart, find_items
from napari_dip.jobs.spec import Entry, read_list, read_spec

DENOISE = Asked("denoise")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/x.npy", "b/x.npy", "b/y.npy", "b/notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"an image")
    return tmp_path


def found(*patterns, asked=DENOISE, out="out"):
    items = find_items([Entry(source=one) for one in patterns], asked, Path(out), Path.cwd())
    check_apart(items)
    return [item.name for item in items]


def test_results_lie_as_sources_lie_below_the_fixed_part(here):
    assert found("*/x.npy") == ["a/x.npy", "b/x.npy"]
    assert found("b/*") == ["x.npy", "y.npy"]
    assert found("b/x.npy", "a/../b/y.npy") == ["x.npy", "y.npy"]


def test_results_of_before_are_no_sources(here):
    Path("out").mkdir()
    np.save("out/x.npy", np.zeros((4, 4)))
    assert "out/x.npy" not in found("**/*.npy") and len(found("**/*.npy")) == 3


@pytest.mark.parametrize(
    ("patterns", "out", "words"),
    [
        (["none/*.npy"], "out", "no file 'none"),
        (["b"], "out", "is a folder"),
        (["a/x.npy", "b/x.npy"], "out", "same result 'x.npy'"),
        (["b/*.npy"], "b", "among the files"),
        (["b/x.npy"], "b", "lies in the output folder"),
    ],
)
def test_what_would_get_lost_is_refused(here, patterns, out, words):
    with pytest.raises(InputError, match=words):
        found(*patterns, out=out)


@pytest.mark.parametrize("target", ["../x.npy", "/elsewhere/x.npy", "link/x.npy", "sub/../../x.npy", "."])
def test_a_result_outside_of_the_folder_is_refused(here, target):
    Path("out").mkdir()
    os.symlink(here, "out/link")
    with pytest.raises(InputError, match="outside of the output folder"):
        find_items([Entry(source="a/x.npy", target=target)], DENOISE, Path("out"), here)


def test_settings_and_inputs_are_checked_before_any_work(here):
    with pytest.raises(InputError, match="needs a mask"):
        found("a/x.npy", asked=Asked("inpaint"))
    with pytest.raises(InputError, match="no setting named"):
        found("a/x.npy", asked=Asked("denoise", settings={"noize": 1}))
    with pytest.raises(InputError, match="give a task"):
        found("a/x.npy", asked=Asked())
    item = find_items([Entry(source="b/x.npy")], Asked("inpaint", inputs={"mask": "m/{stem}.png"}), Path("o"), here)[0]
    assert item.inputs == {"mask": str(here / "m/x.png")}


SPEC = """
task: denoise
settings: {preset: fast, seed: 3}
files:
  - a/x.npy
  - source: b/*.npy
    target: "deep/{stem}-clean.npy"
    settings: {noise: poisson}
"""


def test_a_specification_has_settings_for_each_file(here):
    Path("spec.yaml").write_text(SPEC)
    spec = read_spec(Path("spec.yaml"))
    assert spec.files[0] == "a/x.npy" and spec.files[1].settings == {"noise": "poisson"}
    assert spec.settings == {"preset": "fast", "seed": 3}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("files: !!python/object/apply:os.system ['touch pwned']", "cannot be read as YAML"),
        ("a: &a [x, x]\nfiles: [*a, *a]", "Aliases"),
        ("files: [a.npy]\nfolder: /", "folder"),
        ("files: [{source: a.npy, settings: {seed: [1, 2]}}]", "cannot be used"),
        ("[" * 50_000, "cannot be read"),
        ("files: [", "cannot be read"),
        ("", "cannot be used"),
    ],
)
def test_a_specification_that_is_none_gets_one_sentence(here, text, words):
    Path("spec.yaml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        read_spec(Path("spec.yaml"))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert not Path("pwned").exists()


def test_a_list_has_a_file_in_each_line(here):
    Path("files.txt").write_text("# plate 7\na/x.npy\n\nb/*.npy\n")
    assert read_list(Path("files.txt")) == ["a/x.npy", "b/*.npy"]
    with pytest.raises(InputError, match="no file"):
        read_list(Path("none.txt"))
