"""TensorBoard events: files of them, and those of a search, the same from every engine."""

import contextlib
import logging
import platform
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

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
        if self._broken:
            return
        try:
            if self._writer is None:
                name = f"events.out.tfevents.{time.time():.0f}.{platform.node()}{self._suffix}"
                self._writer = RecordWriter(str(self._directory / name))
                version = Event(wall_time=time.time(), file_version="brain.Event:2")
                self._writer.write(version.SerializeToString())
            for tag, value in values.items():
                if value is not None:
                    summary = scalar(tag, value)
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

    A search that never begins leaves no file; where it can't be written, the search goes on.

    child/accuracy, child/madds   at each trial
    controller/reward, log_prob, and the controller's summary   at the number of trials so far
    """

    def __init__(self, directory: Path) -> None:
        self._events = EventFile(directory)
        self._trials = 0

    def __call__(self, record: Record) -> None:
        if isinstance(record, ResultRecord):
            self._trials = max(self._trials, record.trial + 1)
            values = {"child/accuracy": record.accuracy, "child/madds": record.mult_adds}
            self._events.write(values, record.trial, record.time)
        elif isinstance(record, UpdateRecord):
            values = {"reward": record.mean_reward, "log_prob": record.mean_log_prob}
            named = {f"controller/{k}": v for k, v in {**record.controller, **values}.items()}
            self._events.write(named, self._trials, record.time)

    def close(self) -> None:
        """Write outstanding events and close the file."""
        self._events.close()
