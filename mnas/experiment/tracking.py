"""Trackers of a search: observers that log it to a service, beside the run's own files.

A tracker is registered by name in the group `mnas.trackers`, as a class or function that is called
with a `TrackedSearch` when the search begins, and returns an observer with three more members:

    id           str of the tracked run
    address      str that tells people where the tracked run is
    close(done)  called at the end; done: whether the search is, or could be resumed

`Tracking` calls a tracker in a thread of its own, so that the search waits for no network. Whatever
a tracker raises is one warning, after which the search goes on without it.

    {"id": "abc", "sent": 18}      tracked-NAME.json in the run's directory

keeps the tracked run and how many records of the journal its tracker has taken: a resumed search,
whether it names the tracker or not and whether it was done or not, goes on in the same tracked run
with the first record that is missing. `id` is null where no tracked run could be begun. The number
is written at the end and every `SAVE_SECONDS`; after the death of the process, the records of so
many seconds are therefore sent twice, with the same steps.
"""

import contextlib
import dataclasses
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from mnas.errors import UsageError, printable, require_whole, shown, unknown
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
SAVE_SECONDS = 5.0
MESSAGE_LENGTH = 300


@dataclasses.dataclass(frozen=True)
class TrackedSearch:
    """What a tracker is told of a search.

    experiment  name of the experiment
    directory   of the run
    settings    by dotted path: text, numbers and truth values
    id          of the tracked run that a resumed search goes on in; None: a new one
    metrics     makes values of the records that the tracker is called with
    study       name of the study that the search is one of; None: it is none of a study
    """

    experiment: str
    directory: Path
    settings: Mapping[str, Any]
    id: str | None
    metrics: Metrics
    study: str | None = None

    @property
    def name(self) -> str:
        """Return the name of the directory, in a study with that of the variant: exact/seed-0."""
        directory = Path(os.path.abspath(self.directory))  # "." has no name
        name = directory.name
        return name if self.study is None else f"{directory.parent.name}/{name}"


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
    sent   number of the journal's records that the tracked run has
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[TrackedSearch], Tracker],
        search: TrackedSearch,
        sent: int = 0,
    ) -> None:
        self.name, self._begin, self._search = name, begin, search
        self._id, self._sent = search.id, sent
        self._records: queue.SimpleQueue[Record | bool] = queue.SimpleQueue()
        self._before: Sequence[Record] | None = None
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)

    def follow(self, records: Sequence[Record]) -> None:
        """Begin to pass records on; `records` are those of the journal before this process."""
        self._before = records[: self._sent]
        self._sent = len(self._before)
        early = [self._records.get() for _ in range(self._records.qsize())]
        for record in [*records[self._sent :], *early]:
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
            text = "%s has not answered for %.0f s; mnas resume sends what it lacks"
            logger.warning(text, self.name, seconds)
            self._save()

    def _work(self) -> None:
        try:
            self._pass_on()
        # Libraries, networks and servers of others raise what they like.
        except Exception as error:
            cause = printable(" ".join(f"{type(error).__name__}: {error}".split()), MESSAGE_LENGTH)
            text = "%s: %s; the search goes on without it, mnas resume sends what it lacks"
            logger.warning(text, self.name, cause)
            logger.debug("%s", self.name, exc_info=True)
        finally:
            self._save()

    def _pass_on(self) -> None:
        self._search.metrics.follow(self._before or ())
        tracker = self._begin(self._search)
        self._id = tracker.id
        self._save()
        logger.info("%s: %s", self.name, tracker.address)
        saved = time.monotonic()
        while not isinstance(record := self._records.get(), bool):
            tracker(record)
            self._sent += 1
            if time.monotonic() - saved >= SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        tracker.close(record)

    def _save(self) -> None:
        """Write the file of the tracked run; on a full disk, it stays as it is."""
        path = _file_of(self._search.directory, self.name)
        with contextlib.suppress(OSError):
            write_json(path, {"id": self._id, "sent": self._sent})


def trackings(
    names: Iterable[str], experiment: Experiment, directory: Path, study: str | None = None
) -> tuple[Tracking, ...]:
    """Return the observers of trackers by name, and of those that the run has had before.

    directory  of the run, new or resumed
    study      name of the study that it is one of

    Raises UsageError for an unknown name, a library that is not installed, and a damaged file of a
    tracked run. Of the trackers that the run has had, those that can't be loaded are a warning.
    """
    names, settings, before = tuple(names), flat(experiment.settings()), _before(directory)
    found = []
    for name in dict.fromkeys([*names, *before]):
        try:
            begin = load_tracker(name)
        except UsageError as error:
            if name in names:
                raise
            logger.warning("%s; the search goes on without it", error)
            continue
        run_id, sent = _read(before[name]) if name in before else (None, 0)
        search = TrackedSearch(experiment.name, directory, settings, run_id, Metrics(), study)
        found.append(Tracking(name, begin, search, sent))
    return tuple(found)


def lacks_records(names: Iterable[str], directory: Path) -> bool:
    """Return whether a tracker of a search has not taken all records of its journal.

    names      of trackers, beside those that the search has had before
    directory  of its run

    Raises UsageError for a damaged file of a tracked run.
    """
    before = _before(directory)
    if any(name not in before for name in names):
        return True
    if not before:
        return False
    with open(directory / "journal.jsonl", "rb") as file:
        records = sum(line.endswith(b"\n") for line in file) - 1  # without the head
    return any(_read(path)[1] < records for path in before.values())


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


def _file_of(directory: Path, name: str) -> Path:
    return directory / f"tracked-{name}.json"


def _before(directory: Path) -> dict[str, Path]:
    """Return the files of the tracked runs of a search, by the name of the tracker."""
    return {
        path.stem.removeprefix("tracked-"): path
        for path in sorted(directory.glob("tracked-*.json"))
    }


def _read(path: Path) -> tuple[str | None, int]:
    """Return the id of a tracked run, None where none was begun, and the number of its records."""
    data = read_json(path)
    content: dict[str, Any] = data if isinstance(data, dict) else {}
    found, sent = content.get("id"), content.get("sent", -1)
    if not (found is None and sent == 0) and (not isinstance(found, str) or not found):
        raise UsageError(f"{path}: id = {shown(found)}; accepted: the id of a tracked run")
    require_whole(str(path), "sent", sent, least=0)
    return found, sent
