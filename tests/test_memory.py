"""What is free is known, and what was freed is given back."""

import subprocess
import sys

import psutil
import pytest

from napari_dip import memory


def test_no_more_is_free_than_there_is():
    assert 0 < memory.free_memory() <= psutil.virtual_memory().total


def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    for name, text in (("max", "3000000"), ("current", "2500000"), ("stat", "anon 9\ninactive_file 200000")):
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    assert memory.free_memory() == 700_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 700_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others give it back by themselves")
def test_what_was_freed_in_pieces_is_given_back():
    done = subprocess.run([sys.executable, "-c", PIECES], capture_output=True, text=True, check=True, timeout=120)
    held, kept = map(float, done.stdout.split())
    assert held > 0.8 and kept < 0.2


PIECES = """
import numpy as np, psutil
from napari_dip import memory
taken = lambda: psutil.Process().memory_info().rss
before = taken()
pieces = [np.ones(2**13) for _ in range(3000)]  # 64 kB each, which no allocator gives back one by one
last, held = np.ones(2**13), taken() - before
del pieces
memory.release_memory()
print(held / (3000 * 2**16), (taken() - before) / (3000 * 2**16))
"""
"""In a process of its own: what others have freed before would be taken up again."""
