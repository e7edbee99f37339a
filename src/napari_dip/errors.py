"""What goes wrong, in words for the one who sees it."""

from __future__ import annotations

from typing import Any

OUT_OF_MEMORY = "There is not enough memory for this image; crop it, close other programs, or choose another device."

ONEDNN_FULL = ("could not create a primitive", "could not execute a primitive", "could not create a memory object")


class Interrupted(BaseException):
    """A signal asked for the end, and there is nothing to keep; no library takes it for an error.

    Attributes
    ----------
    number : int
        Of the signal.
    """

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


class InputError(ValueError):
    """Something the caller gave cannot be used; the message says what, and what to do about it, in one sentence."""


class InUse(InputError):
    """Another run is writing the file; it will be free at its end."""


def in_words(error: Exception) -> str:
    """Say in one sentence what went wrong."""
    if isinstance(error, InputError):
        return str(error)
    text = " ".join(str(error).split())
    # torch has many words, and several exceptions, for a lack of memory; those of oneDNN (its convolutions) name none
    full = ("out of memory", "allocate memory", "not enough memory", "bad_alloc", *ONEDNN_FULL)
    if isinstance(error, MemoryError) or any(words in text.lower() for words in full):
        return OUT_OF_MEMORY
    return f"The restoration failed with {type(error).__name__}: {text or 'no further words'}"


def reason(error: Exception) -> str:
    """Say why a file cannot be used, in words that a sentence can end with.

    What a library quotes from a file may be anything, so what no terminal should see is escaped.
    """
    words = getattr(error, "strerror", None) or str(error)
    return printable((words.strip().splitlines() or [type(error).__name__])[0].rstrip("."))


def complaint(error: Any) -> str:
    """Say where what was read is not as it has to be, and why, from a ValidationError of pydantic."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole"
    return printable(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}")


def printable(text: str, most: int = 300) -> str:
    r"""Give text as any terminal shows it: what is no letter as an escape, and no more of it than that.

    >>> printable("a\x1b[31m"), printable("a" * 9, most=4)
    ('a\\x1b[31m', 'aaaa...')
    """
    text = text if len(text) <= most else f"{text[:most]}..."
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
