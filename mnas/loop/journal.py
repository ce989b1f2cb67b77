"""The append-only file of a search: one JSON line per record, on disk before it counts.

    {"kind": "experiment", "format": "mnas-journal/1", ...}   the first line
    {"kind": "proposals", "batch": 0, "first_trial": 0, "decisions": [[...]], "log_probs": [...]}
    {"kind": "result", "trial": 0, "reward": ..., "accuracy": ..., "error": null, ...}
    {"kind": "update", "batch": 0, ...}

`mnas.loop.records` defines the records. Replaying them gives the state of the search
(`mnas.loop.search`). The cost of appending does not depend on the length of the file.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from mnas.errors import UsageError
from mnas.loop.records import (
    FORMAT,
    ExperimentRecord,
    ProposalsRecord,
    Record,
    from_json,
    to_json,
)


class Journal:
    """A journal open for appending, by one process at a time.

    records  the records of the file at opening, the `ExperimentRecord` first

    A new file begins with `head`. An incomplete last line, left by a process or machine that died
    while writing it, is removed.

    Raises UsageError where another process has the journal open, or where a line is no record.
    """

    def __init__(self, path: Path, head: ExperimentRecord | None = None) -> None:
        self.path = Path(path)
        self._file = open(self.path, "ab")  # noqa: SIM115 - closed by close()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records, length = read_with_length(self.path)
        except OSError:
            self._file.close()
            raise UsageError(f"{self.path}: another process is writing this journal") from None
        except UsageError:
            self._file.close()
            raise
        if length < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(length)
        # A new file is durable only once its directory entry is.
        directory = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        if not self.records:
            self.records = [head or ExperimentRecord()]
            self.append(self.records[0])

    @property
    def head(self) -> ExperimentRecord:
        """Return the first record."""
        first = self.records[0]
        assert isinstance(first, ExperimentRecord)  # The format check of the first line.
        return first

    def append(self, record: Record) -> None:
        """Write one record; it is on disk when this returns."""
        line = json.dumps(to_json(record), allow_nan=False, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> list[Record]:
    """Return all complete records of a journal.

    Raises UsageError that names the file and the line that is no record.
    """
    return read_with_length(path)[0]


def decisions_of(records: Iterable[Record]) -> dict[int, tuple[int, ...]]:
    """Return the decisions of every proposed network, by trial number."""
    return {
        trial: vector
        for record in records
        if isinstance(record, ProposalsRecord)
        for trial, vector in enumerate(record.decisions, start=record.first_trial)
    }


def read_with_length(path: Path) -> tuple[list[Record], int]:
    """Return all complete records and the number of bytes of their lines; errors as `read`."""
    records: list[Record] = []
    length = 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.endswith(b"\n"):
            break  # Incomplete.
        try:
            data = json.loads(line)
            if number == 1:
                _check_format(data)
            records.append(from_json(data))
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
        except ValueError:
            shown = line[:60].decode(errors="replace").strip()
            raise UsageError(f"{path}, line {number}: not JSON: {shown!r}") from None
        length += len(line)
    return records, length


def _check_format(data: object) -> None:
    """Raise UsageError where the first line is not the head of a journal of this format."""
    written = data.get("format") if isinstance(data, dict) else None
    if written != FORMAT:
        raise UsageError(f"format {written!r}; accepted: {FORMAT!r}")


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
