"""A run that has ended: its outcome in words, and all that is needed to go on with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_dip.run.summary import findings, what_is_missing, why_it_ended
from napari_dip.run.time_left import in_time
from napari_dip.viewer.form.widgets import in_the_form
from napari_dip.viewer.layers.layers import usual_uncertainty
from napari_dip.viewer.messages import Done, Job, Stopped


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


def in_words(outcome: Done, name: str, second: str | None) -> str:
    """Say what came of a run, and in which layers: that of the result, and that of its uncertainty, if there is one."""
    record = outcome.record
    how = "Stopped" if isinstance(outcome, Stopped) else "Done"
    after = f"{how} after {record['iterations']} iterations in {in_time(record['seconds'])}."
    missing = what_is_missing(record)
    missing += " Continue restores them, too." * bool(missing)
    end = " ".join(filter(None, (after, missing)))
    where = f"The result is the layer “{name}”."
    spread = ""
    if second is not None:
        spread = f"Its uncertainty is the layer “{second}”, hidden above it."
        usual = None if outcome.uncertainty is None else usual_uncertainty(outcome.uncertainty, outcome.image)
        if usual is not None:
            spread += f" Typical uncertainty: {usual[0]:.3g}, {100 * usual[1]:.2g} % of the intensity range."
    return "\n".join(filter(None, (end, where, why_it_ended(record), *findings(record, in_the_form), spread)))
