"""Where the command line begins: signals are taken first, then all else is imported."""

from __future__ import annotations

from napari_dip.interrupts import guarded


def main() -> None:
    """Run the command line."""
    guarded(_run)


def _run() -> None:
    from napari_dip.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
