"""Trackers of a search: observers that log it to a service, beside the run's own files.

A tracker is registered by name in the group `mnas.trackers`, as a class or function that is called
with a `TrackedSearch` when the search begins, and returns an observer with three more members:

    id           str of the tracked run, kept in the run's directory (tracked-NAME.json): a resumed
                 search goes on in the same tracked run, whether it names the tracker or not
    address      str that tells people where the tracked run is
    close(done)  called at the end; done: whether the search is, or could be resumed

`Tracking` calls a tracker in a thread of its own, so that the search waits for no network. Whatever
a tracker raises is one warning, after which the search goes on without it. What a tracker has
missed is not sent again; a search that had none gets all its records in its first.
"""

import contextlib
import dataclasses
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mnas.errors import UsageError, printable, shown, unknown
from mnas.experiment import registry
from mnas.experiment.settings import Experiment
from mnas.files import read_json, write_json
from mnas.loop.metrics import Metrics, flat
from mnas.loop.records import Record
from mnas.loop.search import Search

logger = logging.getLogger(__name__)

# Seconds without a record that a tracker takes, after which the end of a search waits no longer:
# of a search that is done, and of one that was stopped.
CLOSE_SECONDS, STOP_SECONDS = 60.0, 10.0
MESSAGE_LENGTH = 300


@dataclasses.dataclass(frozen=True)
class TrackedSearch:
    """What a tracker is told of a search.

    experiment  name of the experiment
    directory   of the run
    settings    by dotted path: text, numbers and truth values
    id          of the tracked run that a resumed search goes on in; None: a new one
    metrics     makes values of the records that the tracker is called with
    """

    experiment: str
    directory: Path
    settings: Mapping[str, Any]
    id: str | None
    metrics: Metrics


class Tracker(Protocol):
    """Observer of a search that logs it to a service."""

    id: str
    address: str

    def __call__(self, record: Record) -> None:
        """Log a record of the journal."""
        ...

    def close(self, done: bool) -> None:
        """Send what is outstanding; `done` is false for a search that could be resumed."""
        ...


class Tracking:
    """Observer that passes records on to a tracker, in a thread of its own.

    begin  returns the tracker; called in the thread, once there is a record for it
    """

    def __init__(
        self, name: str, begin: Callable[[TrackedSearch], Tracker], search: TrackedSearch
    ) -> None:
        self.name, self._begin, self._search = name, begin, search
        self._records: queue.SimpleQueue[Record | bool] = queue.SimpleQueue()
        self._before: Sequence[Record] | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)

    def follow(self, records: Sequence[Record]) -> None:
        """Begin to pass records on; `records` are those of the journal before this process."""
        self._before = records
        if self._search.id is None:
            early = [self._records.get() for _ in range(self._records.qsize())]
            for record in [*records, *early]:
                self._records.put(record)
        if not self._records.empty():
            self._thread.start()

    def __call__(self, record: Record) -> None:
        self._records.put(record)
        if self._before is not None and self._thread.ident is None:
            self._thread.start()

    def close(self, done: bool) -> None:
        """End the tracker; wait for it as long as it takes records.

        done  whether the search is
        """
        if self._thread.ident is None:  # There was nothing to track.
            return
        self._records.put(done)
        seconds, waiting = CLOSE_SECONDS if done else STOP_SECONDS, -1
        while self._thread.is_alive() and waiting != self._records.qsize():
            waiting = self._records.qsize()
            self._thread.join(seconds)
        if self._thread.is_alive():
            text = "%s has not answered for %.0f s; what it has not sent may be lost"
            logger.warning(text, self.name, seconds)

    def _work(self) -> None:
        try:
            self._pass_on()
        # Libraries, networks and servers of others raise what they like.
        except Exception as error:
            cause = printable(" ".join(f"{type(error).__name__}: {error}".split()), MESSAGE_LENGTH)
            logger.warning("%s: %s; the search goes on without it", self.name, cause)
            logger.debug("%s", self.name, exc_info=True)

    def _pass_on(self) -> None:
        if self._search.id is not None:
            self._search.metrics.follow(self._before or ())
        tracker = self._begin(self._search)
        if self._search.id is None:
            path = self._search.directory / f"tracked-{self.name}.json"
            write_json(path, {"id": tracker.id})
        logger.info("%s: %s", self.name, tracker.address)
        while not isinstance(record := self._records.get(), bool):
            tracker(record)
        tracker.close(record)


def trackings(
    names: Iterable[str], experiment: Experiment, directory: Path
) -> tuple[Tracking, ...]:
    """Return the observers of trackers by name, and of those that the run has had before.

    directory  of the run, new or resumed

    Raises UsageError for an unknown name, a library that is not installed, and a damaged file of a
    tracked run. Of the trackers that the run has had, those that can't be loaded are a warning.
    """
    settings = flat(experiment.settings())
    before = {path.stem.removeprefix("tracked-"): path for path in directory.glob("tracked-*.json")}
    found = []
    for name in dict.fromkeys([*names, *sorted(before)]):
        try:
            begin = load_tracker(name)
        except UsageError as error:
            if name in names:
                raise
            logger.warning("%s; the search goes on without it", error)
            continue
        run_id = _read_id(before[name]) if name in before else None
        search = TrackedSearch(experiment.name, directory, settings, run_id, Metrics())
        found.append(Tracking(name, begin, search))
    return tuple(found)


def load_tracker(name: str) -> Callable[[TrackedSearch], Tracker]:
    """Return the tracker registered as `name`; UsageError where it or its library is missing."""
    if name not in registry.entries("tracker"):
        raise unknown("tracker", name, registry.entries("tracker"))
    try:
        return registry.load("tracker", name)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"track = {name} needs the package {error.name}; accepted: after pip install "
            f"'mnas[{name}]'"
        ) from None


@contextlib.contextmanager
def tracked(observers: Sequence[Tracking], search: Search) -> Iterator[None]:
    """Track an open search within the context."""
    done = False
    try:
        for tracking in observers:
            tracking.follow(search.journal.records[1:])
        yield
        done = True
    finally:
        for tracking in observers:
            tracking.close(done)


def _read_id(path: Path) -> str:
    data = read_json(path)
    found = data.get("id") if isinstance(data, dict) else None
    if not isinstance(found, str) or not found:
        raise UsageError(f"{path}: id = {shown(found)}; accepted: the id of a tracked run")
    return found
