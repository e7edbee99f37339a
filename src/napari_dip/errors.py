"""What goes wrong, in words for the one who sees it."""

from __future__ import annotations

OUT_OF_MEMORY = "There is not enough memory for this image; crop it, close other programs, or choose another device."


class InputError(ValueError):
    """Something the caller gave cannot be used; the message says what, and what to do about it, in one sentence."""


def in_words(error: Exception) -> str:
    """Say in one sentence what went wrong."""
    if isinstance(error, InputError):
        return str(error)
    text = " ".join(str(error).split())
    # torch has many words, and several exceptions, for a lack of memory
    full = ("out of memory", "can't allocate memory", "not enough memory")
    if isinstance(error, MemoryError) or any(words in text.lower() for words in full):
        return OUT_OF_MEMORY
    return f"The restoration failed with {type(error).__name__}: {text or 'no further words'}"


def reason(error: Exception) -> str:
    """Say why a file cannot be used, in words that a sentence can end with."""
    words = getattr(error, "strerror", None) or str(error)
    return (words.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
