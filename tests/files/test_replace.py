import os
from pathlib import Path

import pytest

from napari_dip.errors import InputError
from napari_dip.files.replace import check_output, replacing


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
