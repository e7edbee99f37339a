"""What the first run needs is loaded when a dock opens, and not in the thread that draws."""

import subprocess
import sys

SCRIPT = """
import sys, threading
import numpy as np

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch by", "GUI" if threading.current_thread() is threading.main_thread() else "another thread")

sys.meta_path.insert(0, Watch())
import napari
from qtpy.QtTest import QTest

viewer = napari.Viewer(show=False)
viewer.add_image(np.random.default_rng(0).normal(100, 10, (32, 32)).astype("float32"))
_, dock = viewer.window.add_plugin_dock_widget("napari-dip", "Denoise")
print("at first", "torch" in sys.modules)
from napari_dip.viewer.run import runner

for _ in range(1200):
    QTest.qWait(50)
    if runner._loading is not None and not runner._loading.is_alive():
        break
before = set(sys.modules)
dock.form.more["max_iterations"].value = 2
dock.panel.run_button.click()
for _ in range(1200):
    QTest.qWait(50)
    if dock.panel.state == "ready":
        break
late = {name for name in set(sys.modules) - before if name.split(".")[0] in ("torch", "sympy", "scipy", "napari_dip")}
print("late", len(late), sorted(late)[:5])
print(dock.panel.status.text())
viewer.close()
"""


def test_torch_is_loaded_when_a_dock_opens_and_not_by_the_first_run():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=240, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) > 3, done.stderr
    assert lines[:2] == ["at first False", "torch by another thread"]
    assert int(lines[2].split()[1]) < 20, lines[2]
    assert "The result is the layer" in done.stdout
