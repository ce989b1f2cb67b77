"""The append-only record of a search: one JSON line a fact, on disk before it counts.

    {"kind": "experiment", "format": "mnas-journal/1", ...}   once, first
    {"kind": "proposals", "batch": 0, "first_trial": 0, "decisions": [[...]], "log_probs": [...]}
    {"kind": "result", "trial": 0, "accuracy": ..., "reward": ..., "error": null, ...}
    {"kind": "update", "batch": 0, ...}

Results of a search that stops children early also have "history": [[epoch, accuracy], ...] and
"stopped". The state of a search is what replaying the lines gives (`mnas.loop.search`). Numbers are
written so that reading gives the same bits; NaN, which JSON has no word for, is null.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mnas.errors import UsageError

FORMAT = "mnas-journal/1"


class Journal:
    """A journal open for appending; one process at a time.

    `records` are the facts that stood in the file when it was opened. A torn last line (the process
    or the machine died while writing it) is dropped, from the file too: it never counted.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file = open(self.path, "ab")  # noqa: SIM115 - open as long as the search runs
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records, length = read_with_length(self.path)
        except OSError:
            self._file.close()
            raise UsageError(f"{self.path}: another process is writing this journal") from None
        except ValueError:
            self._file.close()
            raise
        if length < os.fstat(self._file.fileno()).st_size:
            self._file.truncate(length)
        # A new file is durable once the directory that names it is.
        directory = os.open(self.path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def append(self, record: dict[str, Any]) -> None:
        """Writes one fact; it is on disk when this returns."""
        line = json.dumps(record, allow_nan=False, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> list[dict[str, Any]]:
    """All complete facts of a journal; ValueError names the line that is not one."""
    return read_with_length(path)[0]


def decisions_of(records: Sequence[dict[str, Any]]) -> dict[int, tuple[int, ...]]:
    """The decisions of every proposed network, by its trial."""
    return {
        trial: tuple(vector)
        for record in records
        if record["kind"] == "proposals"
        for trial, vector in enumerate(record["decisions"], start=record["first_trial"])
    }


def read_with_length(path: Path) -> tuple[list[dict[str, Any]], int]:
    """All complete facts, and the length in bytes of the lines that hold them."""
    records, length = [], 0
    for number, line in enumerate(_lines(path), start=1):
        if not line.endswith(b"\n"):
            break  # torn
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or "kind" not in record:
            shown = line[:60].decode(errors="replace").strip()
            raise UsageError(f"{path}, line {number}: not a journal entry: {shown!r}")
        if number == 1 and record.get("format") != FORMAT:
            raise UsageError(
                f"{path}, line 1: format {record.get('format')!r}; accepted: {FORMAT!r}"
            )
        records.append(record)
        length += len(line)
    return records, length


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with open(path, "rb") as file:
            yield from file
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
