"""What mkdocs does beyond copying: pages that stand elsewhere in the project, and the help of the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from napari_dip.cli.main import app

HOME = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "benchmarks/RESULTS.md": "results.md"}
"""Files of the project that are pages, too, and what they are called there."""
HELP = "<!-- the help of every command -->"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere."""
    for path, name in PAGES.items():
        text = (HOME / path).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **given: Any) -> str:
    """Lead links to where those pages are, and write the help."""
    for path, name in PAGES.items():
        for there in (f"](../{path}", f"]({path}"):
            markdown = markdown.replace(there, f"]({name}")
    return markdown.replace(HELP, _help()) if HELP in markdown else markdown


def _help() -> str:
    """Give what --help prints of each command, each below a heading."""
    whole = click.Context(app, info_name="napari-dip")
    shown = [("napari-dip", app.get_help(whole))]
    for name, command in app.commands.items():
        context = click.Context(command, parent=whole, info_name=name, terminal_width=100)
        shown.append((f"napari-dip {name}", command.get_help(context)))
    return "\n\n".join(f"## {name}\n\n```text\n{text}\n```" for name, text in shown)
