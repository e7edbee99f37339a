"""What all tests share: one thread each, so that they do not crowd a small machine, and no assertion on time."""

import os

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # how long an example takes is no matter of right or wrong
settings.load_profile("untimed")
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def in_this_process(capsys):
    """Run the command line in this process; give its exit status, output and errors."""

    def run(*arguments):
        from napari_dip.cli import main as cli

        with pytest.raises(SystemExit) as end:
            cli.app([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run
