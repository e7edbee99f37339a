"""Imports go one way, down the layers; and light things stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import napari_dip

PACKAGE = Path(napari_dip.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
PRIOR = [name for name in MODULES if name.startswith("prior/")]
IMAGE, FILES = ([name for name in MODULES if name.startswith(folder)] for folder in ("image/", "files/"))
VIEWER = [name for name in MODULES if name.startswith("viewer/")]
JOBS, CLI = ([name for name in MODULES if name.startswith(folder)] for folder in ("jobs/", "cli/"))
LAYERS = (
    {"errors"},
    {"interrupts", "memory", "settings"},
    {"tasks", "image"},
    {"prior", "files", "samples"},
    {"run"},
    {"restore"},
    {"jobs"},
    {"cli", "viewer"},
    {"__main__"},
)
"""From the bottom up; what stands in one line does not know each other."""
ROOMS = {
    "prior": ("networks", "physics", "noise", "objectives", "estimators", "fitting"),
    "viewer": ("layers", "form", "run", "result"),
}
"""The packages within a package, from the bottom up; modules that lie beside them are tools below or plans above."""
QT = {"PyQt5", "PyQt6", "PySide2", "PySide6"}
GRAPHICAL = {"napari", "qtpy", "magicgui", "superqt", "npe2", *QT}


def parse(module):
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def imports(module):
    """Every dotted name a module imports, anywhere in it: both `a.b` and `a.b.c` of `from a.b import c`."""
    found = set()
    for node in ast.walk(parse(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively, which this test cannot follow"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "import_module":
            found |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return found


def tops(module):
    return {name.split(".")[0] for name in imports(module)}


def ours(module):
    """The parts of this package that a module imports: "restore", "viewer", "prior", ..."""
    return {name.split(".")[1] for name in imports(module) if name.startswith("napari_dip.")}


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(statement):
    return set(fresh(f"{statement}\nimport sys; print(*sys.modules)").split())


def test_the_search_finds_what_it_looks_for():
    assert {"napari_dip.prior.fitting.fit", "numpy"} <= imports("run/run.py")
    assert len(PRIOR) >= 5 and len(VIEWER) >= 3


@pytest.mark.parametrize("statement", ["import napari_dip", "from napari_dip import Settings, InputError"])
def test_the_package_loads_neither_torch_nor_qt_nor_napari(statement):
    tops = {name.split(".")[0] for name in loaded_by(statement)}
    assert "napari_dip" in tops
    assert not tops & ({"torch", "scipy", "skimage", "tifffile"} | GRAPHICAL)


def test_the_command_line_loads_torch_only_for_work():
    loaded = {name.split(".")[0] for name in loaded_by("import napari_dip.cli.main")}
    assert "click" in loaded
    assert not loaded & ({"torch", "scipy", "skimage", "tifffile"} | GRAPHICAL)


def test_formats_load_their_libraries_only_for_work():
    loaded = {name.split(".")[0] for name in loaded_by("import napari_dip.files.formats")}
    assert not loaded & {"numpy", "PIL", "tifffile"}


def test_restoring_loads_nothing_graphical():
    code = "import napari_dip as dip, numpy as np\ndip.denoise(np.random.rand(8, 8), max_iterations=1, threads=1)\n"
    loaded = {name.split(".")[0] for name in loaded_by(code)}
    assert "torch" in loaded
    assert not loaded & GRAPHICAL


def test_torch_learns_how_to_wait_before_it_is_loaded():
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY'))\n"
        "os.environ.pop('OMP_WAIT_POLICY', None)\n"
        "sys.meta_path.insert(0, Watch())\n"
        "import napari_dip\n"
        "napari_dip.denoise\n"
    )
    assert fresh(code).split() == ["PASSIVE"]


def test_the_public_names_are_there():
    names = fresh("import napari_dip as d; print(*[n for n in d.__all__ if getattr(d, n).__module__]); print(dir(d))")
    assert set(names.splitlines()[0].split()) == set(napari_dip.__all__)
    assert all(name in names.splitlines()[1] for name in napari_dip.__all__)
    with pytest.raises(AttributeError, match="no attribute 'sharpen'"):
        _ = napari_dip.sharpen


def layer(part):
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("module", [name for name in MODULES if name != "__init__.py"])
def test_every_module_knows_only_what_lies_below_it(module):
    own = module.split("/")[0].removesuffix(".py")
    assert all(part == own or layer(part) < layer(own) for part in ours(module)), ours(module)


@pytest.mark.parametrize("module", [name for name in (*PRIOR, *VIEWER) if name.count("/") == 2])
def test_every_room_knows_only_those_below_it(module):
    package, own = module.split("/")[:2]
    rooms = ROOMS[package]
    prefix = f"napari_dip.{package}."
    others = {name.removeprefix(prefix).split(".")[0] for name in imports(module) if name.startswith(prefix)} - {own}
    assert all(rooms.index(room) < rooms.index(own) for room in others & set(rooms)), others


@pytest.mark.parametrize("module", PRIOR)
def test_the_prior_knows_tensors_only(module):
    assert ours(module) <= {"prior"}
    assert not tops(module) & (GRAPHICAL | {"tifffile", "PIL", "imageio", "skimage", "pathlib", "io", "click", "dask"})
    calls = {getattr(node.func, "id", "") for node in ast.walk(parse(module)) if isinstance(node, ast.Call)}
    attributes = {node.attr for node in ast.walk(parse(module)) if isinstance(node, ast.Attribute)}
    assert "open" not in calls
    assert not attributes & {"open", "tofile", "fromfile", "savez", "loadtxt", "savetxt", "write_text", "read_text"}


@pytest.mark.parametrize("module", ["restore.py", "settings.py", "samples.py", "__init__.py", *IMAGE, *FILES, *JOBS])
def test_the_core_knows_no_face(module):
    assert not ours(module) & {"viewer", "cli"}
    assert not tops(module) & (GRAPHICAL | {"click", "rich"})


@pytest.mark.parametrize("module", ["settings.py", *IMAGE])
def test_settings_and_image_know_nothing_above_them(module):
    assert not ours(module) & {"restore", "prior", "files"}
    assert "torch" not in tops(module)


@pytest.mark.parametrize("module", FILES)
def test_files_know_images_and_nothing_above_them(module):
    assert ours(module) <= {"errors", "files", "image", "interrupts"}
    assert not tops(module) & {"torch", "pickle"}


@pytest.mark.parametrize("module", [*CLI, *JOBS])
def test_the_command_line_reaches_the_prior_through_restore(module):
    assert not ours(module) & {"prior", "viewer"}


@pytest.mark.parametrize("module", [name for name in MODULES if name not in VIEWER])
def test_only_the_viewer_imports_napari(module):
    assert not tops(module) & GRAPHICAL


@pytest.mark.parametrize("module", MODULES)
def test_qt_comes_through_qtpy(module):
    assert not tops(module) & QT


@pytest.mark.parametrize("module", VIEWER)
def test_the_viewer_reaches_the_prior_through_restore(module):
    assert not ours(module) & {"prior", "cli"}
