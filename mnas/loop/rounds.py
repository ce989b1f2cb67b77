"""Rounds of measurements of the best networks, as a journal records them. Imports no JAX.

A round begins with a `RemeasureRecord`, which lists networks and the number of measurements that
each of them is to have, and is complete when all have a `RemeasuredRecord`; measurements of earlier
rounds count. A later round supersedes one that is not complete. Measurements take part in the
selection of networks once a round that lists them is complete, so that all networks of a round
have equally many.
"""

from collections.abc import Iterable

from mnas.loop.records import Record, RemeasuredRecord, RemeasureRecord
from mnas.loop.replay import misplaced

Key = tuple[int, int]
"""Trial and number of a measurement."""


class Rounds:
    """The rounds of a journal and their measurements.

    all       in order
    measured  every measurement so far
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.all: list[RemeasureRecord] = []
        self.measured: dict[Key, RemeasuredRecord] = {}
        for record in records:
            if isinstance(record, RemeasureRecord | RemeasuredRecord):
                self.add(record)

    def add(self, record: RemeasureRecord | RemeasuredRecord) -> None:
        """Begin a round, or add a measurement to the last one.

        Raises UsageError for a measurement that the last round does not wait for.
        """
        if isinstance(record, RemeasureRecord):
            self.all.append(record)
            return
        key = record.trial, record.number
        if not self.all or not _lists(self.all[-1], key) or key in self.measured:
            raise misplaced(
                f"measurement {record.number} of trial {record.trial}",
                "one that the last round of measurements waits for",
            )
        self.measured[key] = record

    def missing(self) -> list[Key]:
        """Return what the last round waits for: each network once before any a second time."""
        if not self.all:
            return []
        keys = _keys(self.all[-1])
        return [key for key in keys if key not in self.measured]

    def counted(self) -> list[RemeasuredRecord]:
        """Return the measurements of complete rounds, by trial and number."""
        complete = [listed for listed in self.all if self._is_complete(listed)]
        keys = sorted(key for key in self.measured if any(_lists(of, key) for of in complete))
        return [self.measured[key] for key in keys]

    def _is_complete(self, listed: RemeasureRecord) -> bool:
        return all(key in self.measured for key in _keys(listed))


def _lists(listed: RemeasureRecord, key: Key) -> bool:
    trial, number = key
    return trial in listed.trials and 0 <= number < listed.seeds


def _keys(listed: RemeasureRecord) -> Iterable[Key]:
    return ((trial, number) for number in range(listed.seeds) for trial in listed.trials)
