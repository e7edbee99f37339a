"""What is said, and kept, of a run that has ended."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_dip.summary import findings, what_is_missing, why_it_ended
from napari_dip.time_left import in_time
from napari_dip.viewer.layers import usual_uncertainty
from napari_dip.viewer.messages import Done, Job, Stopped

LONGEST = 16
"""Characters of a name after which a line may break within it."""


@dataclass
class Kept:
    """A run that has ended and can go on, with what it was of.

    Attributes
    ----------
    run : napari_dip.Run
    job : Job
    look : dict
        Place and look of its result.
    source, result : callable
        Give the layers as long as they live.
    """

    run: Any
    job: Job
    look: dict[str, Any]
    source: Callable[[], Any]
    result: Callable[[], Any]


def _breakable(name: str) -> str:
    """Give a name in which a line may break, though it has no spaces: it must not widen the dock."""
    words = [word if len(word) <= LONGEST else textwrap.wrap(word, LONGEST) for word in name.split(" ")]
    return " ".join(word if isinstance(word, str) else "\u200b".join(word) for word in words)


def in_words(outcome: Done, name: str, second: str | None) -> str:
    """Say what came of a run, and in which layers: that of the result, and that of its uncertainty, if there is one."""
    record = outcome.record
    how = "Stopped" if isinstance(outcome, Stopped) else "Done"
    after = f"{how} after {record['iterations']} iterations in {in_time(record['seconds'])}."
    missing = what_is_missing(record)
    missing += " Continue restores them, too." * bool(missing)
    end = " ".join(filter(None, (after, why_it_ended(record), missing)))
    where = f"The result is the layer “{_breakable(name)}”."
    if second is not None:
        where += f" Its uncertainty is the layer “{_breakable(second)}”, hidden above it."
        usual = None if outcome.uncertainty is None else usual_uncertainty(outcome.uncertainty, outcome.image)
        if usual is not None:
            where += f" Pixels are usually off by {usual[0]:.3g}, {100 * usual[1]:.2g} % of the range of the image."
    return "\n".join(filter(None, (end, *findings(record), where)))
