"""The command line as a shell runs it: real processes, files, signals and terminals."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import napari_dip as dip
from napari_dip.errors import OUT_OF_MEMORY

pty = pytest.importorskip("pty", reason="terminals and signals of this kind are not there on Windows")
resource = pytest.importorskip("resource")

COMMAND = [sys.executable, "-c", "from napari_dip.cli.main import main; main()"]
QUICK = ["--max-iterations", "3", "--threads", "1"]
ENDLESS = ["--max-iterations", "100000", "--threads", "1"]
NEVER_DONE = ["inpaint", "in.npy", "out.npy", "--mask", "mask.npy", *ENDLESS]
"""Denoising may find for itself that it is done."""
FAR = r"Iteration [1-9]\d* of at most 100000"
LONG = 600
"""Seconds after which a test gives up waiting; nothing is expected to take as long."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    np.save("in.npy", np.random.default_rng(0).random((24, 24)))
    np.save("mask.npy", np.eye(24))
    return tmp_path


def run(*arguments, command=COMMAND, **options):
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        stdin=subprocess.DEVNULL,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def listen_to_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell may have started the tests without


class OnTerminal:
    """A process whose error output is a terminal."""

    def __init__(self, *arguments, **options):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
            preexec_fn=listen_to_interrupts,
            env=os.environ | {"TERM": "xterm"},
            **options,
        )
        os.close(slave)
        self.raw, self.text = b"", ""

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.process.kill()
        self.process.communicate()
        os.close(self.master)

    def read(self):
        """Take what the terminal shows; False at its end."""
        try:
            new = os.read(self.master, 65536)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.raw += new
        self.text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw.decode(errors="replace"))
        return bool(new)

    def wait_for(self, pattern):
        while not re.search(pattern, self.text):
            assert self.read(), f"never saw {pattern!r}, but:\n{self.text[-3000:]}"

    def end(self):
        """Wait for the end; give exit status and standard output."""
        while self.read():
            pass
        out, _ = self.process.communicate(timeout=LONG)
        return self.process.returncode, out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["denoise", "--help"], ["denoise"]])
def test_help_does_not_wait_for_torch(arguments):
    code = (
        "import sys\n"
        "from napari_dip.cli.main import main\n"
        "try: main()\n"
        "finally: print('loaded', *(m for m in ('torch', 'scipy', 'tifffile', 'qtpy', 'napari') if m in sys.modules))\n"
    )
    _, out, _ = run(*arguments, command=[sys.executable, "-c", code])
    assert out.splitlines()[-1].strip() == "loaded"


def test_the_command_is_installed():
    script = Path(sys.executable).with_name("napari-dip")
    if not script.exists():
        pytest.skip("the package is on the path, but not installed")
    assert run("--version", command=[str(script)]) == (0, f"napari-dip {dip.__version__}\n", "")


def test_a_run_in_a_pipe_is_silent(here):
    assert run("denoise", "in.npy", "out.npy", "--record", "out.json", *QUICK) == (0, "", "")
    record = json.loads((here / "out.json").read_text())
    again = dip.denoise(np.load("in.npy"), **record["settings"]).image
    assert np.load("out.npy").tobytes() == again.tobytes()
    assert sorted(path.name for path in here.iterdir()) == ["in.npy", "mask.npy", "out.json", "out.npy"]


def test_a_terminal_shows_progress(here):
    with OnTerminal("denoise", "in.npy", "out.npy", "--uncertainty", *QUICK) as process:
        status, out = process.end()
    assert (status, out) == (0, b"")
    assert "Iteration 3 of at most 3" in process.text and "100%" in process.text
    assert "3 iterations in" in process.text
    assert "is in 'out.npy', its uncertainty in 'out-uncertainty.npy'." in process.text
    assert re.search("Found [A-Za-z ]*noise", process.text)


def test_a_run_that_ends_before_its_plan_says_why(here):
    with OnTerminal("denoise", "in.npy", "out.npy", "--record", "out.json", *ENDLESS) as process:
        status, _ = process.end()
    assert status == 0
    record = json.loads((here / "out.json").read_text())
    assert record["stopped_by"] == "held-out" and record["iterations"] < 100_000
    assert "It stopped by itself" in process.text and "100%" in process.text


def test_ctrl_c_writes_the_best_so_far(here):
    with OnTerminal(*NEVER_DONE, "--record", "out.json") as process:
        process.wait_for(FAR + r".* loss -?[\d.e+-]+, (about|estimating)")
        process.process.send_signal(signal.SIGINT)
        status, out = process.end()
    assert (status, out) == (130, b"")
    assert "Interrupted after" in process.text and "best so far is in 'out.npy'" in process.text
    assert "Traceback" not in process.text
    text = (here / "out.json").read_text()
    record = json.loads(text)
    assert record["stopped_by"] == "asked" and 1 <= record["iterations"] < 100_000
    assert record["planes"][0]["iterations"] == record["iterations"]
    assert np.load("out.npy").shape == (24, 24)
    again = dip.replay(text, np.load("in.npy"), mask=np.load("mask.npy")).image
    assert np.load("out.npy").tobytes() == again.tobytes()
    assert sorted(path.name for path in here.iterdir()) == ["in.npy", "mask.npy", "out.json", "out.npy"]


def test_ctrl_c_writes_the_uncertainty_too(here):
    with OnTerminal(*NEVER_DONE, "--uncertainty") as process:
        process.wait_for(FAR)
        process.process.send_signal(signal.SIGINT)
        status, _ = process.end()
    assert status == 130 and "its uncertainty in 'out-uncertainty.npy'" in process.text
    deviation = np.load("out-uncertainty.npy")
    assert (np.diag(deviation) > 0).all() and np.count_nonzero(deviation) == 24


def test_the_end_of_a_cluster_job_writes_the_best_so_far(here):
    with OnTerminal("super-resolve", "in.npy", "out.npy", "--factor", "2", *ENDLESS) as process:
        process.wait_for(FAR)
        process.process.terminate()
        status, _ = process.end()
    assert status == 128 + signal.SIGTERM and "best so far" in process.text
    assert np.load("out.npy").shape == (48, 48)


def test_a_second_ctrl_c_gives_up(here):
    np.save("large.npy", np.random.default_rng(0).random((128, 128)))
    with OnTerminal("denoise", "large.npy", "out.npy", "--preset", "paper", *ENDLESS) as process:
        process.wait_for(FAR)
        while process.process.poll() is None:  # both within one iteration, which takes much longer than this
            process.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.process.wait(0.03)
        status, _ = process.end()
    assert status == 130 and "there is no result" in process.text
    assert "Traceback" not in process.text
    assert sorted(path.name for path in here.iterdir()) == ["in.npy", "large.npy", "mask.npy"]


def test_a_refusal_is_one_line_on_stderr(here):
    status, out, err = run("denoise", "missing.tif", "out.tif")
    assert (status, out, err) == (1, "", "napari-dip: There is no file 'missing.tif'.\n")
    Path("broken.tif").write_bytes(b"II*\0" + bytes(range(200)))
    status, out, err = run("denoise", "broken.tif", "out.tif")
    assert (status, out, err.count("\n")) == (1, "", 1) and "cannot be read as TIFF" in err


def test_wrong_usage_has_a_status_of_its_own(here):
    assert run("denoise", "in.npy", "out.npy", "--preset", "good")[0] == 2


def test_a_full_disk_leaves_the_old_file(here):
    Path("out.npy").write_bytes(b"old")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # noqa: E731
    status, out, err = run("denoise", "in.npy", "out.npy", "--force", *QUICK, preexec_fn=limit)
    assert (status, out, err.count("\n")) == (1, "", 1) and "'out.npy' cannot be written: File too large." in err
    assert Path("out.npy").read_bytes() == b"old"
    assert sorted(path.name for path in here.iterdir()) == ["in.npy", "mask.npy", "out.npy"]


@pytest.mark.parametrize(
    "size, words", [(1500, "'out.json' cannot be written: File too large."), (0, "cannot be written: File too large.")]
)
def test_a_full_disk_leaves_all_of_the_old_files(here, size, words):
    for name in ("out.npy", "out-uncertainty.npy", "out.json"):
        Path(name).write_bytes(b"old")
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    np.save("small.npy", np.random.default_rng(0).random((16, 16)))
    asked = ["--uncertainty", "--record", "out.json", "--force", *QUICK]
    status, out, err = run("denoise", "small.npy", "out.npy", *asked, preexec_fn=limit)
    assert (status, out, err.count("\n")) == (1, "", 1) and words in err
    assert {Path(name).read_bytes() for name in ("out.npy", "out-uncertainty.npy", "out.json")} == {b"old"}
    assert not list(here.glob(".*"))


def test_nothing_is_written_to_the_folder_for_temporary_files(here):
    Path("temporary").mkdir()
    assert run("denoise", "in.npy", "out.npy", *QUICK, env=os.environ | {"TMPDIR": str(here / "temporary")})[0] == 0
    assert not list(Path("temporary").iterdir())


def test_a_second_run_with_the_same_file_is_refused_and_the_first_goes_on(here):
    with OnTerminal(*NEVER_DONE) as process:
        process.wait_for(FAR)
        status, out, err = run("denoise", "in.npy", "out.npy", "--force", *QUICK)
        assert (status, out, err.count("\n")) == (1, "", 1) and "Another run is writing" in err
        process.process.kill()
    assert [path.name for path in here.glob(".*")]
    assert run("denoise", "in.npy", "out.npy", *QUICK) == (0, "", "")
    assert not list(here.glob(".*"))


def test_a_closed_terminal_writes_the_best_so_far(here):
    with OnTerminal(*NEVER_DONE, start_new_session=True) as process:
        process.wait_for(FAR)
        os.close(process.master)
        process.master = os.open(os.devnull, os.O_RDONLY)
        process.process.send_signal(signal.SIGHUP)
        process.process.communicate(timeout=LONG)
        assert process.process.returncode == 128 + signal.SIGHUP
    assert np.load("out.npy").shape == (24, 24)
    assert sorted(path.name for path in here.iterdir()) == ["in.npy", "mask.npy", "out.npy"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory like this")
def test_a_lack_of_memory_is_one_sentence(here):
    import torch

    if torch.version.cuda:
        pytest.skip("torch for GPUs asks for more than this limit when it is loaded")
    np.save("large.npy", np.random.default_rng(0).random((1024, 1024), dtype=np.float32))
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (3 * 2**29, 3 * 2**29))  # noqa: E731
    status, out, err = run(
        "denoise", "large.npy", "out.npy", "--device", "cpu", "--preset", "paper", *QUICK, preexec_fn=limit
    )
    assert (status, out) == (1, "")
    assert err == f"napari-dip: {OUT_OF_MEMORY}\n"
    assert not Path("out.npy").exists()
