"""TensorBoard events: files of them, and those of a search, the same from every engine."""

import contextlib
import logging
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import hparams, scalar, text

from mnas.experiment.results import load_run
from mnas.experiment.settings import PARTS
from mnas.loop.records import Record, ResultRecord, UpdateRecord

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0


class EventFile:
    """File of TensorBoard events in a directory, created with its first event.

    suffix  end of its name, by which several kinds of files in a directory are told apart

    Where the file can't be written, as on a full disk, events are dropped after one warning.
    """

    def __init__(self, directory: Path, suffix: str = "") -> None:
        self._directory, self._suffix = directory, suffix
        # Without the thread and the exit handler of tensorboardX's SummaryWriter, whose errors
        # nobody could catch.
        self._writer: RecordWriter | None = None
        self._broken = False
        self._flushed = time.monotonic()

    def write(self, values: Mapping[str, float | None], step: int, seconds: float) -> None:
        """Write the values that are not None, by tag, as events of a step.

        seconds  time of the events since the epoch
        """
        summaries = [scalar(tag, value) for tag, value in values.items() if value is not None]
        self.add(summaries, step, seconds)

    def add(self, summaries: Iterable[Any], step: int, seconds: float) -> None:
        """Write summaries, as `tensorboardX.summary` makes them, as events of a step."""
        if self._broken:
            return
        try:
            if self._writer is None:
                name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}{self._suffix}"
                self._writer = RecordWriter(str(self._directory / name))
                version = Event(wall_time=time.time(), file_version="brain.Event:2")
                self._writer.write(version.SerializeToString())
            for summary in summaries:
                event = Event(wall_time=seconds, step=step, summary=summary)
                self._writer.write(event.SerializeToString())
            if time.monotonic() - self._flushed > FLUSH_SECONDS:
                self._writer.flush()
                self._flushed = time.monotonic()
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        """Write outstanding events."""
        if self._writer is None or self._broken:
            return
        try:
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Write outstanding events and close the file."""
        if self._writer is None or self._broken:
            return
        try:
            self._writer.flush()
            self._writer.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        logger.warning(
            "TensorBoard events can't be written into %s: %s", self._directory, error.strerror
        )
        with contextlib.suppress(OSError):
            if self._writer is not None:
                self._writer.close()


class TensorBoard:
    """Observer of a search that writes TensorBoard events into a directory.

    settings  nested settings of the search, as hyperparameters (`Experiment.settings`)

    A search that never begins leaves no file; where it can't be written, the search goes on.

    child/accuracy, reward, madds, params, latency_ms, seconds   at each trial; the last three not
                              of duplicates, accuracy and reward not of failures
    search/best_reward, best_accuracy   of the best network so far, at the number of trials so far
    search/failed, stopped, duplicates  counts of trials, at the same
    controller/reward, log_prob, and the controller's summary   at the number of trials so far
    best                      the best network as text, at each update that follows a new one
    """

    def __init__(self, directory: Path, settings: Mapping[str, Any] | None = None) -> None:
        self._events = EventFile(directory)
        self._hyperparameters = flat(settings or {})
        self._end: Any = None  # summary that ends the session, once it has begun
        self._best: ResultRecord | None = None
        self._forget()

    def _forget(self) -> None:
        self._trials = 0
        self._best = None
        self._best_is_written = True
        self._counts = dict.fromkeys(("failed", "stopped", "duplicates"), 0)

    def follow(self, results: Iterable[ResultRecord]) -> "TensorBoard":
        """Begin with the results of a resumed search, whose events are written already."""
        self._forget()
        for result in results:
            self._count(result)
        self._best_is_written = True
        return self

    def __call__(self, record: Record) -> None:
        if isinstance(record, ResultRecord):
            self._begin(record.time)
            self._count(record)
            self._events.write(_values(record), record.trial, record.time)
        elif isinstance(record, UpdateRecord):
            values = {"reward": record.mean_reward, "log_prob": record.mean_log_prob}
            named = {f"controller/{k}": v for k, v in {**record.controller, **values}.items()}
            named |= {f"search/{name}": count for name, count in self._counts.items()}
            if self._best is not None:
                named["search/best_reward"] = self._best.reward
                named["search/best_accuracy"] = self._best.accuracy
            self._events.write(named, self._trials, record.time)
            if not self._best_is_written and self._best is not None:
                summary = text("best", best_text(self._best))
                self._events.add([summary], self._trials, record.time)
                self._best_is_written = True

    def _begin(self, seconds: float) -> None:
        """Write the hyperparameters before the first result, where there are any."""
        if self._end is None and self._hyperparameters:
            names = ("search/best_reward", "search/best_accuracy")
            *begin, self._end = hparams(self._hyperparameters, dict.fromkeys(names))
            self._events.add(begin, 0, seconds)

    def _count(self, record: ResultRecord) -> None:
        """Count a result, and keep the best so far, the first trial of equals."""
        self._trials = max(self._trials, record.trial + 1)
        is_failure, is_duplicate = record.error is not None, record.duplicate_of is not None
        self._counts["failed"] += is_failure
        self._counts["stopped"] += record.stopped
        self._counts["duplicates"] += is_duplicate
        if is_failure or is_duplicate or record.stopped:
            return
        rank = (-record.reward, record.trial)
        if self._best is None or rank < (-self._best.reward, self._best.trial):
            self._best, self._best_is_written = record, False

    def close(self) -> None:
        """Write outstanding events and close the file."""
        if self._end is not None:
            self._events.add([self._end], self._trials, time.time())
        self._events.close()


def write_run(directory: Path) -> None:
    """Write the events of a finished run into its directory, where there are none yet.

    Searches of a study run in processes of their own, without observers.
    """
    if any(directory.glob("events.out.tfevents.*")):
        return
    run = load_run(directory)
    settings = {part: value for part, value in run.settings.items() if isinstance(value, Mapping)}
    board = TensorBoard(run.directory, {name: settings.get(name, {}) for name in PARTS})
    updates = {update.batch: update for update in run.updates}
    results = {result.trial: result for result in run.results}
    for proposals in run.proposals:
        first = proposals.first_trial
        for trial in range(first, first + len(proposals.decisions)):
            if trial in results:
                board(results[trial])
        if proposals.batch in updates:
            board(updates[proposals.batch])
    board.close()


def flat(settings: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted paths; lists as text, without what is None."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{path}.{key}".lstrip(".")
        if isinstance(value, Mapping):
            found |= flat(value, name)
        elif value is not None:
            found[name] = value if isinstance(value, str | bool | int | float) else str(value)
    return found


def best_text(best: ResultRecord) -> str:
    """Return a result as Markdown: its figures and the block strings of its network."""
    blocks = "\n".join(f"    {string}" for string in best.architecture["blocks"])
    return (
        f"Trial {best.trial}: reward {best.reward:.4f}, accuracy {best.accuracy:.4f}, "
        f"{best.mult_adds:,} mult-adds, {best.params:,} params\n\n{blocks}"
    )


def _values(record: ResultRecord) -> dict[str, float | None]:
    """Return the values of one result by tag."""
    values: dict[str, float | None] = {
        "child/accuracy": record.accuracy,
        "child/madds": record.mult_adds,
    }
    if record.error is None:
        values["child/reward"] = record.reward
    if record.duplicate_of is None:
        values["child/params"] = record.params
        values["child/latency_ms"] = record.latency_ms
        values["child/seconds"] = record.seconds
    return values
