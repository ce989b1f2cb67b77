"""Sessions of a run: the processes that began or resumed it, in experiment.json.

A session is an object of

    started          seconds since the epoch
    engine, workers  as set; null workers: as many as fit on the cores
    accuracy_images  number of images that accuracies are measured on; null where not known
    host, command    of the process

The end of a session is that of its last record in the journal. Readers ignore malformed sessions,
which change no result.
"""

import bisect
import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mnas.errors import UsageError, is_finite
from mnas.experiment.results import Run
from mnas.experiment.settings import Experiment
from mnas.files import read_json
from mnas.loop.records import ProposalsRecord, RemeasuredRecord, ResultRecord, UpdateRecord
from mnas.runtime.provenance import provenance

LIMIT = 1000  # sessions that are kept, the latest


@runtime_checkable
class MeasuredOnImages(Protocol):
    """Configuration of an evaluator whose accuracies are proportions of a number of images."""

    def accuracy_images(self) -> int | None:
        """Return the number of images; None where accuracies are no proportions."""
        ...


def recorded(settings: Any) -> list[dict[str, Any]]:
    """Return the well-formed sessions in the content of experiment.json, by their start."""
    sessions = settings.get("sessions") if isinstance(settings, dict) else None
    if not isinstance(sessions, list):
        return []
    found = [item for item in sessions if isinstance(item, dict) and is_finite(item.get("started"))]
    return sorted(found, key=lambda session: session["started"])


def extended(directory: Path, experiment: Experiment) -> list[dict[str, Any]]:
    """Return the recorded sessions of a run and one that begins now in this process."""
    try:
        before = recorded(read_json(directory / "experiment.json"))
    except UsageError:  # None yet, or no JSON; it is about to be written anew.
        before = []
    evaluator, origin = experiment.evaluator, provenance()
    images = evaluator.accuracy_images() if isinstance(evaluator, MeasuredOnImages) else None
    session = {
        "started": time.time(),
        "engine": experiment.engine.kind,
        "workers": 1 if experiment.engine.kind == "inline" else experiment.engine.workers,
        "accuracy_images": images,
        "host": origin["host"],
        "command": origin["command"],
    }
    return [*before, session][-LIMIT:]


def seconds(run: Run) -> float | None:
    """Return the wall-clock time that the processes of a run have taken, without pauses between.

    Without recorded sessions, it is the time from the first record to the last; None without
    records.
    """
    timed: list[ProposalsRecord | ResultRecord | UpdateRecord | RemeasuredRecord]
    timed = [*run.proposals, *run.results, *run.updates, *run.remeasured]
    times = sorted(record.time for record in timed)
    if not times:
        return None
    starts = [session["started"] for session in recorded(run.settings)]
    if not starts or starts[0] > times[0]:  # A journal from elsewhere, or clocks that differ.
        return times[-1] - times[0]
    ends = [times[bisect.bisect_left(times, start) - 1] for start in [*starts[1:], times[-1] + 1]]
    return sum(max(0.0, end - start) for start, end in zip(starts, ends, strict=True))
