"""What a record says in sentences. Those of real runs stand in the tests of the two faces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dip.cli.terminal import as_option
from napari_dip.run.summary import (
    doubts,
    findings,
    judgement,
    noise_found,
    noise_or_grain,
    plan,
    simple_filter,
    what_is_missing,
    why_it_ended,
)

STRENGTH = {"sigma": 20.0, "gain": 6.0, "multiplicative": 0.01, "offset": 100.0}


def record(*kinds, task="denoise", given="auto", reach=0, **strength):
    found = {**STRENGTH, **strength}
    planes = [{"noise": kind, "noise_variance": found, "correlation_radius": reach} for kind in kinds]
    return {"task": task, "settings": {"noise": given}, "planes": planes}


def ended(*reasons, last=None):
    return {"stopped_by": last or reasons[-1], "planes": [{"stopped_by": reason} for reason in reasons]}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("gaussian", "Found Gaussian noise: standard deviation 20."),
        ("poisson", "Found photon noise (Poisson): a photon adds 6."),
        ("poisson-gaussian", "Found photon and read noise (Poisson-Gaussian): a photon adds 6, standard deviation 20"),
        ("multiplicative", "Found noise in proportion to the brightness: 10 %."),
    ],
)
def test_noise_in_words(kind, words):
    assert noise_found(record(kind)).startswith(words)


def test_the_value_of_the_dark_is_said_to_be_that():
    assert noise_found(record("poisson-gaussian")).endswith(", standard deviation 20 in the dark.")


def test_given_noise_was_not_found():
    assert noise_found(record("compression", given="compression")).startswith("Treated as compression artefacts")


def test_what_is_zero_is_not_told():
    assert noise_found(record("poisson", gain=0.0)) == "Found photon noise (Poisson)."


def test_noise_that_reaches_further():
    assert noise_found(record("gaussian", reach=1)).endswith("The noise of neighbouring pixels is correlated.")


def undecided(*radii, task="denoise", noise="auto"):
    planes = [{"noise": "gaussian", **({"undecided_radius": radius} if radius else {})} for radius in radii]
    return {"task": task, "settings": {"preset": "fast", "noise": noise}, "planes": planes}


def test_what_stays_undecided_is_said_with_the_setting_that_decides_it():
    assert noise_or_grain(undecided(2)).endswith("told apart here; both were left. If it is noise, choose reach=2.")
    assert noise_or_grain(undecided(1), as_option).endswith("If it is noise, choose --reach 1.")
    assert "reaches 1 pixel and" in noise_or_grain(undecided(1)) and "2 pixels" in noise_or_grain(undecided(2, 1, 2))
    assert "in 2 of 3 planes; both" in noise_or_grain(undecided(0, 2, 2))


@pytest.mark.parametrize(
    "record",
    [undecided(0), undecided(), undecided(2, task="super_resolve"), undecided(2, noise="compression")],
)
def test_nothing_is_offered_where_all_is_decided_or_there_is_no_such_setting(record):
    assert noise_or_grain(record) == ""


def test_what_is_undecided_stands_among_all_that_was_found():
    found = undecided(1) | {"axes": "YX", "shape": [9, 9]}
    for say in (findings, judgement):
        assert noise_or_grain(found) in say(found)


def test_planes_that_differ():
    assert "photon noise (Poisson) in most planes: a photon" in noise_found(record("gaussian", "poisson", "poisson"))


def test_nothing_is_said_where_nothing_was_looked_for():
    assert noise_found(record("gaussian", task="inpaint")) == ""
    assert noise_found({"task": "denoise", "settings": {"noise": "auto"}, "planes": [{}]}) == ""
    assert noise_found(record()) == ""


def test_why_a_run_ended():
    assert "by itself" in why_it_ended(ended("held-out"))
    assert "time limit" in why_it_ended(ended("held-out", "seconds", last="seconds"))
    assert "unstable" in why_it_ended(ended("held-out", "diverged", "held-out"))
    assert why_it_ended(ended("iterations")) == ""
    assert why_it_ended(ended("held-out", "asked")) == ""


@pytest.mark.parametrize(
    ("planes", "unreached", "words"),
    [
        (1, [], ""),
        (5, [], ""),
        (5, [2, 3, 4], "2 of 5 planes are restored; the others are empty."),
        (5, [1], "4 of 5 planes are restored; the other is empty."),
        (3, [1, 2], "1 of 3 planes is restored; the others are empty."),
        (2, [1], "1 of 2 planes is restored; the other is empty."),
        (1, [0], "Nothing is restored; the image is empty."),
        (3, [0, 1, 2], "Nothing is restored; the image is empty."),
    ],
)
def test_what_a_run_did_not_come_to(planes, unreached, words):
    assert what_is_missing({"planes_in_image": planes, "unreached": unreached}) == words


@pytest.mark.parametrize(
    ("axes", "shape", "factor", "words"),
    [
        ("TCZYX", (12, 2, 40, 512, 512), 1, "12 frames x 2 channels, each a volume of 40 x 512 x 512"),
        ("TZYX", (12, 40, 512, 512), 1, "12 frames, each a volume of 40 x 512 x 512"),
        ("TYX", (24, 128, 128), 1, "24 frames of 128 x 128"),
        ("TCYX", (24, 2, 128, 64), 1, "24 frames x 2 channels of 128 x 64"),
        ("CYX", (3, 512, 512), 1, "3 channels of 512 x 512"),
        ("ZYX", (40, 512, 512), 1, "a volume of 40 x 512 x 512"),
        ("YX", (512, 512), 1, "one plane of 512 x 512"),
        ("YXS", (512, 512, 3), 1, "one plane of 512 x 512, RGB"),
        ("YXS", (512, 512, 4), 1, "one plane of 512 x 512, RGB with alpha left as it is"),
        ("YXS", (512, 512, 1), 1, "one plane of 512 x 512"),
        ("TYXS", (5, 64, 64, 3), 1, "5 frames of 64 x 64, RGB"),
        ("TZCYX", (1, 1, 1, 64, 64), 1, "one plane of 64 x 64"),
        ("TZYX", (1, 9, 64, 64), 1, "a volume of 9 x 64 x 64"),
        ("ZYX", (9, 64, 32), 4, "a volume of 9 x 64 x 32, enlarged to 9 x 256 x 128"),
        ("TYX", (9, 64, 32), 2, "9 frames of 64 x 32, enlarged to 128 x 64"),
    ],
)
def test_what_will_be_restored(axes, shape, factor, words):
    assert plan(axes, shape, factor) == words


@given(st.permutations("TZCYX"))
def test_what_will_be_restored_does_not_depend_on_the_order_of_axes(axes):
    size = {"T": 12, "Z": 40, "C": 2, "Y": 512, "X": 256}
    words = "12 frames x 2 channels, each a volume of 40 x 512 x 256"
    assert plan("".join(axes), [size[a] for a in axes]) == words


@pytest.mark.parametrize(
    ("variance", "correlation", "words"),
    [(0.8, 0.0, ""), (0.9, 0.3, "structure"), (2.0, 0.0, "larger than the noise"), (0.1, -0.2, "left in the image")],
)
def test_what_was_taken_off_is_doubted_where_it_does_not_look_like_noise(variance, correlation, words):
    left = {"variance": variance, "by_brightness": [variance] * 3, "correlation": correlation}
    said = doubts({"planes": [{"residual": left}, {}]})
    assert words in said and bool(words) == bool(said)


@pytest.mark.parametrize(
    ("weight", "reason", "words"),
    [
        (0.1, "held-out", ""),
        (0.5, "held-out", "the result is 50 % of it."),
        (0.97, "held-out", "no detail finer than the smoothing keeps."),
        (0.97, "asked", "it had too few iterations."),
    ],
)
def test_where_smoothing_is_better_it_says_why_the_network_could_not_help(weight, reason, words):
    sentence = simple_filter({"planes": [{"filtered": weight, "stopped_by": reason}]})
    assert sentence.endswith(words) and bool(words) == bool(sentence)


def test_doubts_come_first_in_the_judgement_of_a_result():
    plane = {"filtered": 0.5, "stopped_by": "held-out"}
    for correlation, place in ((0.3, 0), (0.0, 1)):
        residual = {"variance": 0.9, "by_brightness": [0.9], "correlation": correlation}
        record = {"task": "denoise", "settings": {"noise": "auto"}, "planes": [{**plane, "residual": residual}]}
        assert judgement(record)[place].startswith("The residual")
