"""What a library says in its log of values that are not there: whoever restores an image has to know."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

LOST = re.compile("missing|zeroed|truncat|corrupt|incomplete", re.IGNORECASE)
LONGEST = 200
"""Characters of what is quoted."""


class _Ear(logging.Handler):
    def __init__(self, told: list[str]):
        super().__init__(logging.WARNING)
        self.told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Take down what tells of a loss, without the object that says so."""
        words = " ".join(re.sub(r"^<[^>]*>\s*", "", record.getMessage()).split())
        words = "".join(c for c in words if c.isprintable())[:LONGEST].rstrip(".")
        sentence = f"Not all of the file could be read: {words}."
        if LOST.search(words) and sentence not in self.told:
            self.told.append(sentence)


@contextmanager
def listening(name: str = "tifffile") -> Iterator[list[str]]:
    """Collect sentences about what was lost while a file is read.

    Parameters
    ----------
    name : str
        Of the logger of the library.

    Yields
    ------
    list of str
        It grows.
    """
    told: list[str] = []
    logger, ear = logging.getLogger(name), _Ear(told)
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(min(level, logging.WARNING) if level else logging.WARNING)
    try:
        yield told
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
