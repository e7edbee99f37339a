import pytest

from napari_dip.errors import OUT_OF_MEMORY, InputError, in_words, reason


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:73] . Cannot allocate memory"),
    ],
)
def test_a_lack_of_memory_gets_a_sentence(error):
    assert in_words(error) == OUT_OF_MEMORY


def test_other_failures_are_named_on_one_line():
    assert in_words(InputError("The mask is empty.")) == "The mask is empty."
    assert in_words(RuntimeError("something\nelse")) == "The restoration failed with RuntimeError: something else"
    assert "KeyError" in in_words(KeyError())


def test_what_a_file_says_cannot_command_a_terminal():
    assert reason(ValueError("no \x1b[2Jformat \ud800.\nmore")) == "no \\x1b[2Jformat \\ud800"
    assert reason(OSError(2, "Datei fehlt: µ.")) == "Datei fehlt: µ"
    assert reason(KeyError()) == "KeyError"
