import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from napari_dip.errors import InputError
from napari_dip.files.replace import check_output, replacing, together


def test_outputs_are_checked(tmp_path):
    source = tmp_path / "in.tif"
    source.write_bytes(b"x")
    (tmp_path / "old.tif").write_bytes(b"y")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "link.tif").symlink_to(source)
    os.link(source, tmp_path / "hard.tif")
    for name, force, words in [
        ("old.tif", False, "exists; give --force"),
        ("in.tif", True, "would be written over"),
        ("folder.tif/../in.tif", True, "would be written over"),
        ("link.tif", True, "would be written over"),
        ("hard.tif", True, "would be written over"),
        ("folder.tif", True, "is a folder"),
        ("nowhere/out.tif", False, "no folder"),
        ("old.tif/out.tif", False, "no folder"),
    ]:
        with pytest.raises(InputError, match=words) as refusal:
            check_output(tmp_path / name, [source], force=force)
        assert str(refusal.value).endswith(".")
    check_output(tmp_path / "new.tif", [source], force=False)
    check_output(tmp_path / "old.tif", [source], force=True)
    with pytest.raises(InputError, match="would be written over"):
        check_output(tmp_path / "new.tif", [tmp_path / "folder.tif" / ".." / "new.tif"], force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.tif", "hard.tif", "in.tif", "link.tif", "old.tif"]


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    if os.access(folder, os.W_OK):  # nothing is locked for root but what the kernel itself provides
        folder = Path("/proc")
        if not folder.is_dir():
            pytest.skip("no folder here that root cannot write to")
    with pytest.raises(InputError, match="cannot be written to"):
        check_output(folder / "out.tif", [], force=False)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.npy"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and [p.name for p in tmp_path.iterdir()] == ["out.npy"]
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_to_the_new_file(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "out.npy").write_bytes(b"old")
    (tmp_path / "out.npy").symlink_to(tmp_path / "there" / "out.npy")
    with replacing(tmp_path / "out.npy") as file:
        file.write(b"new")
    assert (tmp_path / "out.npy").is_symlink() and (tmp_path / "there" / "out.npy").read_bytes() == b"new"


def test_new_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "out.npy") as file:
        file.write(b"new")
    assert (tmp_path / "out.npy").stat().st_mode == (tmp_path / "usual").stat().st_mode


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_unit_takes_its_places_together_or_not_at_all(tmp_path):
    (tmp_path / "other").mkdir()
    paths = [tmp_path / "out.npy", tmp_path / "other" / "record.json"]
    for path in paths:
        path.write_bytes(b"old")
    for ended in (True, False):
        with together(paths) as unit:
            for path in paths:
                with unit.replacing(path) as file:
                    file.write(b"new")
            assert [path.read_bytes() for path in paths] == [b"old", b"old"]
            if not ended:
                unit.commit()
        assert [path.read_bytes() for path in paths] == [b"old" if ended else b"new"] * 2
        assert names(tmp_path) == ["out.npy", "record.json"]


def test_a_folder_takes_the_place_of_a_folder(tmp_path):
    place = tmp_path / "out.zarr"
    for content in ("old", "new"):
        with together([place, tmp_path / "r.json"]) as unit:
            with unit.part(place) as part:
                part.mkdir()
                (part / "zarr.json").write_text(content)
            unit.commit()
        assert (place / "zarr.json").read_text() == content
        assert names(tmp_path) == ["zarr.json"]


KILLED = """
import os, signal, sys
from pathlib import Path
from napari_dip.files.replace import together

paths, moment = [Path(one) for one in sys.argv[2:]], int(sys.argv[1])
seen = 0

def count(frame, event, argument):
    global seen
    if frame.f_code.co_filename.endswith(("journal.py", "replace.py")):
        seen += event == "line"
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)
    return count

with together(paths) as unit:
    for path in paths:
        with unit.replacing(path) as file:
            file.write(b"new")
    sys.settrace(count)
    unit.commit()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no process can be killed like this on Windows")
@pytest.mark.parametrize("first", [0, 1])
def test_who_comes_next_finishes_or_clears_what_a_killed_process_left(tmp_path, first):
    """Killed at every line of putting the files there; then another file is written to either folder."""
    found = set()
    for moment in range(1, 400):
        folders = [tmp_path / str(moment), tmp_path / str(moment) / "other"]
        folders[1].mkdir(parents=True)
        paths = [folders[0] / "out.npy", folders[0] / "out-uncertainty.npy", folders[1] / "record.json"]
        for path in paths:
            path.write_bytes(b"old")
        if moment % STEP == 0:
            done = subprocess.run([sys.executable, "-c", KILLED, str(moment), *map(str, paths)], check=False)
            with replacing(folders[first] / "next.npy") as file:
                file.write(b"next")
            contents = {path.read_bytes() for path in paths}
            assert len(contents) == 1, moment
            found |= contents
            left = names(folders[first]) if first else [path.name for path in folders[0].iterdir() if path.is_file()]
            assert not [name for name in left if name.startswith(".napari-dip")], moment
            if done.returncode == 0:
                break
    assert found == {b"old", b"new"} and done.returncode == 0


STEP = int(os.environ.get("NAPARI_DIP_KILL_STEP", "12"))
"""Every line is tried with 1, which takes a minute."""


def test_a_second_run_with_one_of_the_files_is_refused(tmp_path):
    with together([tmp_path / "one.npy", tmp_path / "record.json"]):
        for other in ([tmp_path / "one.npy"], [tmp_path / "two.npy", tmp_path / "record.json"]):
            with pytest.raises(InputError, match="Another run is writing"), together(other):
                pass
        with replacing(tmp_path / "two.npy") as file:
            file.write(b"new")
    assert names(tmp_path) == ["two.npy"]
    with replacing(tmp_path / "one.npy") as file:
        file.write(b"new")
    assert names(tmp_path) == ["one.npy", "two.npy"]


def test_no_journal_puts_a_file_elsewhere(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "victim").write_bytes(b"mine")
    for name, target in ((".napari-dip-0123456789ab-0123456789ab.part", "../victim"), ("trap", "victim")):
        (tmp_path / "here" / name).write_bytes(b"trap")
        journal = tmp_path / "here" / ".napari-dip-0123456789ab.journal"
        journal.write_text(json.dumps({"files": [[".", name, target]]}))
        with replacing(tmp_path / "here" / "out.npy") as file:
            file.write(b"new")
        assert (tmp_path / "victim").read_bytes() == b"mine"
        assert not (tmp_path / "here" / "victim").exists()


KEY = "0123456789ab"
PART, NOTE, LOCK = f".napari-dip-{KEY}-{KEY}.part", f".napari-dip-{KEY}.journal", f".napari-dip-{KEY}.lock"


def state_of(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


JOURNALS = {
    "absolute folder": lambda there: {"files": [[str(there), PART, "mine"]]},
    "folder above": lambda there: {"files": [["../there", PART, "mine"]]},
    "link to a folder": lambda there: {"files": [["link", PART, "mine"]]},
    "target above": lambda there: {"files": [[".", PART, "../there/mine"]]},
    "target is the folder above": lambda there: {"files": [[".", PART, ".."]]},
    "target is absolute": lambda there: {"files": [[".", PART, str(there / "mine")]]},
    "no target": lambda there: {"files": [[".", PART, ""]]},
    "part above": lambda there: {"files": [[".", f"../there/{PART}", "mine"]]},
    "NUL": lambda there: {"files": [[".", PART, "mi\0ne"], ["\0", PART, "mine"]]},
    "numbers": lambda there: {"files": [[1, 2, 3]]},
    "no list": lambda there: {"files": 7},
    "a list": lambda there: ["files"],
    "a number": lambda there: 7,
    "nested": lambda there: "[" * 100_000,
    "note of nowhere": lambda there: {"journal": str(there / "nowhere" / NOTE)},
    "note of a number": lambda there: {"journal": 7},
    "note of a NUL": lambda there: {"journal": f"/\0/{NOTE}"},
    "note of itself": lambda there: {"journal": str(there.parent / "here" / NOTE)},
    "note of a journal that does not name it": lambda there: {"journal": str(there / NOTE)},
    "note of a file of another name": lambda there: {"journal": str(there / "mine")},
    "note of a device": lambda there: {"journal": f"/dev/zero/../zero/{NOTE}"},
}


@pytest.mark.parametrize("case", JOURNALS)
def test_no_journal_reaches_another_folder(tmp_path, case):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / PART).write_bytes(b"trap")
    (there / "mine").write_bytes(b"mine")
    (there / NOTE).write_text(json.dumps({"files": [[".", PART, "mine"]]}))
    (here / "link").symlink_to(there)
    found = JOURNALS[case](there)
    (here / NOTE).write_text(found if isinstance(found, str) else json.dumps(found))
    before = state_of(there)
    with replacing(here / "out.npy") as file:
        file.write(b"new")
    assert (here / "out.npy").read_bytes() == b"new" and state_of(there) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "there"]


def test_a_folder_that_agrees_is_written_to(tmp_path):
    """As a process leaves it that is killed between its journal and the end."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, name in ((here, "image"), (there, "record")):
        folder.mkdir()
        (folder / PART).write_bytes(b"new")
        (folder / name).write_bytes(b"old")
    files = [[".", PART, "image"], [str(there), PART, "record"]]
    (here / NOTE).write_text(json.dumps({"files": files}))
    (there / NOTE).write_text(json.dumps({"journal": str(here / NOTE)}))
    with replacing(there / "next") as file:
        file.write(b"next")
    assert (here / "image").read_bytes() == (there / "record").read_bytes() == b"new"
    assert names(here) == ["image"] and names(there) == ["next", "record"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
@pytest.mark.parametrize("name", [NOTE, LOCK, PART])
@pytest.mark.parametrize("kind", ["pipe", "link to a device", "folder", "link to a file", "link to nothing"])
def test_whatever_lies_under_a_name_of_ours_is_not_waited_for_and_not_followed(tmp_path, name, kind):
    here, mine = tmp_path / "here", tmp_path / "mine"
    here.mkdir()
    mine.write_bytes(b"mine")
    if kind == "pipe":
        os.mkfifo(here / name)
    elif kind == "folder":
        (here / name).mkdir()
    else:
        target = {"link to a device": "/dev/zero", "link to a file": mine, "link to nothing": tmp_path / "new"}[kind]
        (here / name).symlink_to(target)
    with replacing(here / "out.npy") as file:
        file.write(b"new")
    assert (here / "out.npy").read_bytes() == b"new"
    assert mine.read_bytes() == b"mine" and sorted(path.name for path in tmp_path.iterdir()) == ["here", "mine"]
