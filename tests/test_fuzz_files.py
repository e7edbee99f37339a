"""Records, priors, runs, journals, seals and specifications with anything in them: one sentence, or what is promised.

No traceback, no more than ten seconds, no gigabyte of memory, and nothing is written outside of the output folder.
NAPARI_DIP_FUZZ=900 in the environment looks at so many cases, others each time; left out, at a few that stay the same.
They run in a process of their own: python tests/test_fuzz_files.py FOLDER FIRST_SEED CASES SECONDS
"""

import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random
from secrets import randbelow

import pytest

MANY = int(os.environ.get("NAPARI_DIP_FUZZ", 0))
LONGEST, WAITED, LARGEST = 10, 100, 1 << 30
"""Seconds that a case may compute, seconds that it may wait for the machine, and bytes of the process."""
WATCHED = 1.0
"""Seconds after which a run that was allowed is ended, as by hand."""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured like this on Linux alone")
def test_files_with_anything_in_them_are_refused_in_a_sentence_or_used(tmp_path):
    first, cases = (randbelow(2**30), MANY) if MANY else (0, 60)
    command = [sys.executable, __file__, str(tmp_path), str(first), str(cases), "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found["kinds"]) == set(KINDS) and found["refused"] and found["used"]
    assert found["bytes"] < LARGEST and found["longest"] < LONGEST, found


class Stuck(BaseException):
    """A case took too long."""


def ring(number, frame):
    raise Stuck


NUMBERS = [0, 1, -1, 2, 3, 0.5, -0.5, math.nan, math.inf, 255, 4096, 10**5, 10**6, 10**9, 2**63, 10**40, 1e300, 1e-300]
TEXTS = ["", ".", "..", "/", "a\0b", "\udcff", "\x1b[31m\n", "x" * 5000, "YX", "ZYX", "{stem}", "*", "**/*"]
TEXTS += ["fast", "best", "paper", "denoise", "inpaint", "cuda", "auto", "poisson", "sha256:0", "1" * 5000, "1:" * 3000]
NAMES = [
    "pipe.npy",
    "link.npy",
    "folder.npy",
    "../elsewhere/mine",
    "../elsewhere/new",
    "link/new",
    "/dev/zero",
    "no.npy",
]


def anything(rng, base):
    """Draw a value of any kind."""
    way = rng.random()
    if way < 0.35:
        return rng.choice(NUMBERS)
    if way < 0.75:
        text = rng.choice([*TEXTS, *NAMES, *NAMES])
        return str(base / "home" / text) if rng.random() < 0.3 and "\0" not in text else text
    if way < 0.85:
        return rng.choice([None, True, False, [], {}, [[]], {"a": {}}])
    nest = 1
    for _ in range(rng.choice([3, 50])):
        nest = [nest] if rng.random() < 0.5 else {"a": nest}
    few = rng.choice([3, 300, 30_000])
    return rng.choice([nest, [rng.choice(NUMBERS)] * few, {str(n): n for n in range(few)}, "y" * few])


def spoil(value, rng, base, tensors=()):
    """Give a copy in which a part, anywhere, is another."""
    is_container = isinstance(value, dict | list) and len(value)
    if not is_container or rng.random() < 0.12:
        for kind, change in tensors:
            if isinstance(value, kind) and rng.random() < 0.8:
                return change(value, rng)
        return anything(rng, base)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    way, found = rng.random(), dict(value) if isinstance(value, dict) else list(value)
    if way < 0.08:
        del found[key]
    elif way < 0.16 and isinstance(found, dict):
        found[rng.choice([*TEXTS, *range(3)])] = anything(rng, base) if way < 0.12 else 1
    elif way < 0.2:
        found[key] = found[rng.choice(keys)]
    elif way < 0.24 and isinstance(found, list):
        found = found * rng.choice([2, 100])
    else:
        found[key] = spoil(found[key], rng, base, tensors)
    return found


def damage(content, rng):
    """Change some bytes, cut it off, or put something into it."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, way = rng.randrange(max(len(found), 1)), rng.random()
        if way < 0.2:
            found = found[:at]
        elif way < 0.4:
            found[at:at] = rng.randbytes(rng.randint(1, 40))
        else:
            found[at : at + rng.randint(1, 6)] = rng.randbytes(rng.randint(1, 6))
    return bytes(found)


def written(path, text, rng):
    """Write text as it is, or damaged."""
    content = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    path.write_bytes(damage(content, rng) if rng.random() < 0.15 else content)
    return path


class Place:
    """A folder to work in, one for results, and one in which nothing may change; that for results is made anew."""

    def __init__(self, base):
        import numpy as np
        import torch

        import napari_dip as dip

        self.base, self.home, self.out = base, base / "home", base / "out"
        for folder in (self.home, self.out, base / "elsewhere"):
            folder.mkdir(parents=True)
        os.chdir(self.home)
        (base / "elsewhere" / "mine").write_text("mine")
        rng = np.random.default_rng(0)
        self.image, self.stack = ((100 + 20 * rng.random(shape)).astype("f4") for shape in ((16, 18), (2, 16, 16)))
        np.save("in.npy", self.image)
        np.save("mask.npy", np.eye(16, 18))
        os.mkfifo("pipe.npy")
        os.symlink("/dev/zero", "link.npy")
        os.symlink(base / "elsewhere", "link")
        os.mkdir("folder.npy")
        quick = {"max_iterations": 4, "threads": 1}
        self.records, self.priors, self.runs = [], [], []
        for task, more in (("denoise", {}), ("inpaint", {"mask": "mask.npy"}), ("super_resolve", {"factor": 2})):
            dip.restore_file(
                task, "in.npy", self.out / "x.npy", inputs=more, record=self.out / "r.json", settings=quick
            )
            self.records.append(json.loads((self.out / "r.json").read_text()))
            self.clear()
        for image, axes, more in ((self.image, "YX", {}), (self.stack, "ZYX", {"preset": "best"})):
            dip.fit("denoise", image, axes=axes, **quick, **more).save(self.out / "p")
            self.priors.append((torch.load(self.out / "p", weights_only=True), image, axes))
            run = dip.restore_steps("denoise", image, axes=axes, uncertainty=True, **quick, **more)
            next(run)
            self.keep(run, image)
            run.walk()  # what was fitted is in it, too
            self.keep(run, image)
        noisy = self.image + 40 * rng.standard_normal(self.image.shape).astype("f4")
        for steps in (10, 24):  # before and after its noise is removed
            run = dip.restore_steps("super_resolve", noisy, factor=2, max_iterations=80, threads=1)
            for _ in range(steps):
                next(run)
            self.keep(run, noisy)
        run = dip.restore_steps("inpaint", self.image, mask=np.load("mask.npy"), preset="paper", **quick)
        next(run)
        self.keep(run, self.image, mask=np.load("mask.npy"))

    def keep(self, run, image, **inputs):
        """Save a run as it is now, with what it is loaded with."""
        import torch

        run.save(self.out / "p")
        self.runs.append((torch.load(self.out / "p", weights_only=True), image, inputs, run.request.factor))
        self.clear()

    def clear(self):
        shutil.rmtree(self.out)
        self.out.mkdir()

    def state(self):
        """Tell all that may not change."""
        found = {}
        for folder in (self.home, self.base / "elsewhere"):
            for path in [folder, *folder.rglob("*")]:
                told = os.lstat(path)
                found[str(path)] = told.st_mode, told.st_size, told.st_mtime_ns if path != folder else 0
        return found


def watching():
    """Give what ends a run after a while."""
    began = time.monotonic()
    return lambda progress: time.monotonic() - began > WATCHED


def large(found, rng):
    """Give the text of a record with very many values in one of its parts."""
    unit = rng.choice(["{}", "[]", "1", '"a"', "null", "1e999", json.dumps(found["planes"][0])])
    part = rng.choice(["planes", "losses", "notes", "unreached", "x"])
    size = rng.choice([10**5, 10**6, 3 << 20])
    many = ",".join([unit] * min(size, (60 << 20) // (len(unit) + 1)))
    return json.dumps({**found, part: "MANY"}).replace('"MANY"', f"[{many}]")


def record(place, rng):
    from napari_dip.jobs.replay import repeat_file
    from napari_dip.viewer.contributions import read_record

    found = rng.choice(place.records)
    for _ in range(rng.randint(1, 3)):
        found = spoil(found, rng, place.base)
    text = large(rng.choice(place.records), rng) if rng.random() < 0.05 else json.dumps(found)
    path = written(place.out / "a.dip.json", text, rng)
    with suppress_input_errors():
        read_record(str(path))
    repeat_file(path, target=place.out / "again.npy", watch=watching())


def prior(place, rng):
    import napari_dip as dip

    content, image, axes = rng.choice(place.priors)
    for _ in range(rng.randint(1, 2)):
        content = spoil(content, rng, place.base, tensor_changes())
    found = dip.load_prior(saved(place.out / "p.prior", content, rng))
    run = found.restore_steps(image, axes=axes, iterations=rng.choice([0, 1]), threads=1)
    run.walk(watching())
    assert run.result.image.shape == image.shape


def run(place, rng):
    import napari_dip as dip

    content, image, inputs, factor = rng.choice(place.runs)
    if rng.random() < 0.3:
        text = json.dumps(spoil(json.loads(content["record"]), rng, place.base))
        content = content | {"record": text}
    else:
        content = content | {"state": spoil(content["state"], rng, place.base, tensor_changes())}
    found = dip.load_run(saved(place.out / "a.run", content, rng), image, **inputs)
    found.walk(watching())
    assert found.result.image.shape[-1] == factor * image.shape[-1]


def tensor_changes():
    """Give what may become of a tensor."""
    import torch

    def change(tensor, rng):
        ways = [
            lambda x: torch.full_like(x, rng.choice([0, 1, 2, 100])),
            lambda x: torch.full(x.shape, rng.choice([math.nan, math.inf, 1e30, 9e5, -1e5])),
            lambda x: torch.randn(x.shape) * rng.choice([0.1, 1, 1e3]),
            lambda x: x.double(),
            lambda x: x.flatten()[:1],
            lambda x: x[None],
            lambda x: torch.zeros(1).expand(10**9),
            lambda x: torch.zeros(1, dtype=x.dtype).expand(x.shape),
            lambda x: x.to("meta"),
            lambda x: x.to(torch.int8),
        ]
        return rng.choice(ways)(tensor)

    return [(torch.Tensor, change)]


def saved(path, content, rng):
    """Write what torch can write; anything else is damaged bytes."""
    import torch

    try:
        torch.save(content, path)
    except Exception:
        path.write_bytes(rng.randbytes(1000))
    if rng.random() < 0.1:
        path.write_bytes(damage(path.read_bytes(), rng))
    return path


def journal(place, rng):
    from napari_dip.files.replace import together

    key = "0123456789ab"
    part, note = f".napari-dip-{key}-{key}.part", f".napari-dip-{key}.journal"
    folders = [place.out, place.base / "elsewhere", place.home]
    honest = [{"files": [[".", part, "image"], [str(place.base / "elsewhere"), part, "mine"]]}]
    honest += [{"journal": str(folder / note)} for folder in folders]
    (place.out / part).write_bytes(b"part")
    found = rng.choice(honest)
    for _ in range(rng.randint(0, 2)):
        found = spoil(found, rng, place.base)
    written(place.out / note, json.dumps(found), rng)
    if rng.random() < 0.3:
        os.symlink(rng.choice(["/dev/zero", place.base / "elsewhere/new"]), place.out / f".napari-dip-{key}.lock")
    with together([place.out / "image", place.out / "other"]) as unit:
        with unit.replacing(place.out / "image") as file:
            file.write(b"new")
        unit.commit()
    assert (place.out / "image").read_bytes() == b"new"


def specification(place, rng):
    import yaml

    entry = {"source": "in.npy", "target": "{stem}.npy", "settings": {"seed": 1}, "inputs": {}, "axes": "YX"}
    found = {"task": "denoise", "settings": {"preset": "fast"}, "files": [entry, "*.npy"]}
    for _ in range(rng.randint(1, 3)):
        found = spoil(found, rng, place.base)
    text = rng.choice([yaml.dump, json.dumps])(found)
    if rng.random() < 0.1:
        text += "\n" + "".join(f"k{n}: 1\n" for n in range(rng.choice([1000, 60_000])))
    path = written(place.base / "spec.yaml", text, rng)
    batch(place, path, rng)


def batch(place, path, rng):
    """Do a batch of a specification, for a while."""
    from napari_dip.cli.batch import _items
    from napari_dip.jobs.batch import How, run_batch
    from napari_dip.jobs.items import Asked

    asked = Asked(None, None, {}, {"max_iterations": 1}, rng.choice([None, None, "all"]))
    items = _items([], None, path, asked, place.out)[:6]
    began = time.monotonic()

    def watch(report, pace):
        if time.monotonic() - began > WATCHED:
            raise KeyboardInterrupt

    for one in run_batch(items, place.out, How(force=rng.random() < 0.5), watch).of("failed"):
        one_sentence(one.why)


def seal(place, rng):
    path = place.base / "spec.yaml"
    path.write_text("task: denoise\nfiles: [in.npy]\n")
    batch(place, path, rng)
    for name in ("in.npy.done", "in.npy.begun", "batch", "report.json", "in.npy.json"):
        own = place.out / "records" / name
        if rng.random() < 0.5:
            continue
        content = own.read_text() if own.is_file() else "{}"
        own.unlink(missing_ok=True)
        way = rng.random()
        if way < 0.2:
            os.symlink(place.base / "elsewhere" / rng.choice(["mine", "new"]), own)
        elif way < 0.3:
            os.mkfifo(own)
        elif way < 0.4:
            own.mkdir()
        else:
            text = json.dumps(spoil(json.loads(content or "{}"), rng, place.base)) if content[:1] == "{" else content
            written(own, text, rng)
    batch(place, path, rng)


KINDS = {one.__name__: one for one in (record, prior, run, journal, specification, seal)}


class suppress_input_errors(suppress):
    """Let a refusal pass, if it is a sentence."""

    def __init__(self):
        from napari_dip.errors import InputError

        super().__init__(InputError)


def one_sentence(text):
    assert text.endswith((".", ".)")) and "\n" not in text and len(text) < 12_000, text[:2000]


def peak_memory():
    """Bytes of this process at its peak; `ru_maxrss` of a child begins with those of the process that started it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return 1024 * next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def main(folder, first, cases, seconds):
    """Look at some cases; tell what came of them in a line of JSON."""
    import warnings

    import napari_dip as dip

    warnings.simplefilter("ignore")
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, ring)
    place, counts, kinds = Place(Path(folder) / "place"), Counter(), Counter()
    longest, end, bad = 0.0, time.monotonic() + seconds, []
    at_first = peak_memory()
    os.umask(0)
    for seed in range(first, first + cases):
        if time.monotonic() > end:
            break
        rng = Random(seed)
        name = list(KINDS)[seed % len(KINDS)]
        place.clear()
        before, began = place.state(), time.process_time()
        signal.alarm(WAITED)
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        try:
            KINDS[name](place, rng)
            counts["used"] += 1
        except dip.InputError as error:
            counts["refused"] += 1
            one_sentence(str(error))
        except (Exception, Stuck):
            bad.append(f"{name} {seed}\n{traceback.format_exc(limit=-6)}")
        finally:
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
        longest, kinds = max(longest, time.process_time() - began), kinds + Counter([name])
        if place.state() != before:
            changed = [path for path, told in place.state().items() if before.get(path) != told]
            bad.append(f"{name} {seed} has changed {changed or 'a folder'}")
            break
    print(*bad, sep="\n")
    size = peak_memory()
    print(
        json.dumps(
            {
                **counts,
                "kinds": kinds,
                "longest": round(longest, 2),
                "bytes": size,
                "bytes_at_first": at_first,
                "bad": len(bad),
            }
        )
    )
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
