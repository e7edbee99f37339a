"""What stands beside the code says what is so."""

import re
import tomllib
from pathlib import Path

import yaml

import napari_dip

HOME = Path(__file__).parents[1]
PROJECT = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_who_cites_it_cites_this_version():
    cited = yaml.safe_load((HOME / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(cited["version"]) == PROJECT["version"] == napari_dip.__version__
    assert cited["license"] == PROJECT["license"]


def test_the_workflows_try_what_is_promised():
    said = yaml.safe_load((HOME / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    matrix = said["jobs"]["matrix"]["strategy"]["matrix"]
    pythons = {*matrix["python"], *(one["python"] for one in matrix["include"])}
    promised = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if "Python :: 3." in line}
    assert pythons == promised
    assert {one.split("-")[0] for one in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert {one["qt"] for one in matrix["include"]} == {"PyQt6", "PySide6"}
    assert "lowest" in {one["dependencies"] for one in matrix["include"]}
    for name in ("publish.yml", "test.yml"):
        assert yaml.safe_load((HOME / ".github/workflows" / name).read_text(encoding="utf-8"))["jobs"]
    for form in (HOME / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        assert yaml.safe_load(form.read_text(encoding="utf-8"))["body"]


def test_every_page_is_in_the_contents_and_every_picture_is_small_and_there():
    text = (HOME / "mkdocs.yml").read_text(encoding="utf-8")
    pages = set(re.findall(r"([\w-]+\.md)$", text, re.MULTILINE))
    assert {page.name for page in (HOME / "docs").glob("*.md")} == pages - {"index.md", "results.md", "changelog.md"}
    seen = set()
    for page in [HOME / "README.md", *(HOME / "docs").glob("*.md")]:
        for picture in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            file = page.parent / picture
            assert file.is_file(), (page, picture)
            seen.add(file.resolve())
    assert seen == {file.resolve() for file in (HOME / "docs/images").iterdir()}
    assert max(file.stat().st_size for file in seen) < 2**20
