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

from mnas.experiment.results import read_settings
from mnas.experiment.settings import PARTS
from mnas.loop import journal
from mnas.loop.metrics import Metrics, flat
from mnas.loop.records import Record, ResultRecord

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
    """Observer of a search that writes TensorBoard events into a directory (`mnas.loop.metrics`).

    settings  nested settings of the search, as hyperparameters (`Experiment.settings`)

    A search that never begins leaves no file; where it can't be written, the search goes on.
    """

    def __init__(self, directory: Path, settings: Mapping[str, Any] | None = None) -> None:
        self._events = EventFile(directory)
        self._hyperparameters = flat(settings or {})
        self._end: Any = None  # summary that ends the session, once it has begun
        self._metrics = Metrics()

    def follow(self, records: Iterable[Record]) -> "TensorBoard":
        """Begin with the records of a resumed search, whose events are written already."""
        self._metrics = Metrics().follow(records)
        return self

    def __call__(self, record: Record) -> None:
        step = self._metrics.step(record)
        if step is None:
            return
        if isinstance(record, ResultRecord):
            self._begin(step.time)
        self._events.write(step.values, step.number, step.time)
        self._events.add(
            [text(tag, content) for tag, content in step.texts.items()], step.number, step.time
        )

    def _begin(self, seconds: float) -> None:
        """Write the hyperparameters before the first result, where there are any."""
        if self._end is None and self._hyperparameters:
            names = ("search/best_reward", "search/best_accuracy")
            *begin, self._end = hparams(self._hyperparameters, dict.fromkeys(names))
            self._events.add(begin, 0, seconds)

    def close(self) -> None:
        """Write outstanding events and close the file."""
        if self._end is not None:
            self._events.add([self._end], self._metrics.trials, time.time())
        self._events.close()


def write_run(directory: Path) -> None:
    """Write the events of a finished run into its directory, where there are none yet.

    Searches of a study run in processes of their own, without observers.
    """
    if any(directory.glob("events.out.tfevents.*")):
        return
    settings = read_settings(directory)
    parts = {name: settings.get(name) for name in PARTS}
    known = {name: part for name, part in parts.items() if isinstance(part, Mapping)}
    board = TensorBoard(directory, known)
    for record in journal.read(directory / "journal.jsonl")[1:]:
        board(record)
    board.close()
