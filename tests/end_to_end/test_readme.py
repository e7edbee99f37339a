"""The README's example in Python, as it stands, in a fresh process."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEFORE = """
import numpy as np
rng = np.random.default_rng(0)
y, x = np.mgrid[:12, :14]
image = 100 + 60 * np.sin(y / 5) * np.cos(x / 4) + rng.normal(0, 8, (12, 14))
mask = np.zeros(image.shape, bool)
mask[5:7, 6:9] = True
seen = []
def good_enough(preview):
    seen.append(preview)
    return len(seen) == 12
"""
AFTER = """
assert seen[0].shape == image.shape and len(seen) >= 12
assert result.record["iterations"] == 12 + 50 and np.isfinite(result.image).all()
assert run.result.image.tobytes() == result.image.tobytes()
print("walked", len(seen))
"""


def test_the_example_in_python_runs_as_it_stands(tmp_path):
    section = README.read_text(encoding="utf-8").split("## In Python")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.S)
    assert len(blocks) == 2
    code = BEFORE + "\n".join(blocks) + AFTER
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("walked") and (tmp_path / "cells.run").exists()


def test_the_example_of_a_prior_runs_as_it_stands(tmp_path):
    section = README.read_text(encoding="utf-8").split("## Fit once, restore many")[1].split("\n## ")[0]
    (block,) = re.findall(r"```python\n(.*?)```", section, re.S)
    code = BEFORE + "import napari_dip as dip\nfirst = second = image\nthird = image.T\n" + block
    code += "assert result.image.shape == (14, 12) and result.record['iterations'] == 50\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cells.prior").exists()
