"""The append-only file of a search: one JSON line per record, on disk before it counts.

    {"n":0,"kind":"experiment","format":"mnas-journal/1",...,"sum":"..."}     the first line
    {"n":1,"kind":"proposals","batch":0,"first_trial":0,"decisions":[[...]],...,"sum":"..."}
    {"n":2,"kind":"result","trial":0,"reward":...,"accuracy":...,"error":null,...,"sum":"..."}
    {"n":3,"kind":"update","batch":0,...,"sum":"..."}

`n` is the record's number and `sum` its checksum, over the record and the checksum before it:

    sum = first 16 hex digits of SHA-256(sum of the line before + line without `,"sum":"..."`)

The first line follows the empty text. A line that was deleted, doubled, exchanged, inserted or
edited therefore doesn't fit where it stands, and the file is rejected by that line's number. The
last line is dropped if it has no newline: the process or machine died while writing it.

`mnas.loop.records` defines the records. Replaying them gives the state of the search
(`mnas.loop.search`). The cost of appending does not depend on the length of the file.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from mnas.errors import RunFailure, UsageError, shown
from mnas.files import lock, sync_directory
from mnas.loop.records import (
    FORMAT,
    ExperimentRecord,
    ProposalsRecord,
    Record,
    from_json,
    to_json,
)

# The end of a line before its newline, and the beginning of the first line.
TAIL = re.compile(rb',"sum":"([0-9a-f]{16})"}')
TAIL_LENGTH = len(',"sum":"0123456789abcdef"}')
BEGINNING = f'{{"n":0,"kind":"experiment","format":"{FORMAT}"'.encode()
UNCHANGED = "accepted: the journal as it was written"


@dataclasses.dataclass
class Content:
    """The complete records of a file.

    sums    their checksums
    length  number of bytes of their lines
    """

    records: list[Record]
    sums: list[bytes]
    length: int = 0


class Journal:
    """A journal open for appending, by one process at a time.

    records  the records of the file at opening, the `ExperimentRecord` first
    sums     their checksums, each over all lines so far
    new      whether the file had none

    A new file begins with `head`. An incomplete last line, left by a process or machine that died
    while writing it, is removed.

    Raises UsageError where another process has the journal open, where a line is damaged, or where
    the file can't be read or written; RunFailure where the disk is full.
    """

    def __init__(self, path: Path | str, head: ExperimentRecord | None = None) -> None:
        self.path = Path(path)
        _require_file(self.path)
        try:
            # Unbuffered, so that nothing is left to be written after a failed write.
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        except OSError as error:
            raise UsageError(f"{self.path} can't be written: {error.strerror}") from None
        try:
            lock(self._file.fileno(), self.path, "is writing this journal")
            content = read_content(self.path)
            if content.length < os.fstat(self._file.fileno()).st_size:
                self._file.truncate(content.length)
            # A new file is durable only once its directory entry is.
            sync_directory(self.path.parent)
            self.records, self.sums = content.records, content.sums
            self.new = not content.records
            self._count, self._sum = len(content.records), (content.sums or [b""])[-1]
            if self.new:
                self.records = [head or ExperimentRecord()]
                self.append(self.records[0])
                self.sums = [self._sum]
        except BaseException:
            self._file.close()
            raise

    @property
    def head(self) -> ExperimentRecord:
        """Return the first record."""
        first = self.records[0]
        assert isinstance(first, ExperimentRecord)  # The format check of the first line.
        return first

    @property
    def last(self) -> tuple[int, bytes]:
        """Return the number of the last record and its checksum."""
        return self._count - 1, self._sum

    def append(self, record: Record) -> None:
        """Write one record; it is on disk when this returns.

        Raises RunFailure where it can't be written, as on a full disk; the file is then unchanged.
        """
        line, checksum = _line(record, self._count, self._sum)
        length = os.fstat(self._file.fileno()).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(length)
            raise RunFailure(f"{self.path} can't be written: {error.strerror}") from None
        self._count, self._sum = self._count + 1, checksum

    def close(self) -> None:
        """Close the file and release its lock."""
        self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read(path: Path) -> list[Record]:
    """Return all complete records of a journal.

    Raises UsageError that names the file and the line that is damaged or no record.
    """
    return read_content(path).records


def read_head(path: Path) -> ExperimentRecord:
    """Return the first record of a journal, without reading the others; errors as `read`."""
    with contextlib.closing(_records(path)) as records:
        head = next(records, (None,))[0]
    if not isinstance(head, ExperimentRecord):
        raise UsageError(f"{path} holds no complete record; accepted: a journal")
    return head


def is_begun(path: Path) -> bool:
    """Return whether a journal has a line beyond its head; False if there is no such file."""
    _require_file(path)
    try:
        with open(path, "rb") as file:
            return sum(line.endswith(b"\n") for line in itertools.islice(file, 2)) == 2
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


def remove_unbegun(path: Path) -> None:
    """Remove the journal of a search that never began, if there is one.

    Raises UsageError where another process has it open, or where it has records beyond its head.
    """
    try:
        with open(path, "rb") as file:
            lock(file.fileno(), path, "is writing this journal")
            if is_begun(path):
                raise UsageError(f"{path} holds a search; accepted: a new directory")
            path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"{path} can't be removed: {error.strerror}") from None


def decisions_of(records: Iterable[Record]) -> dict[int, tuple[int, ...]]:
    """Return the decisions of every proposed network, by trial number."""
    return {
        trial: vector
        for record in records
        if isinstance(record, ProposalsRecord)
        for trial, vector in enumerate(record.decisions, start=record.first_trial)
    }


def read_content(path: Path) -> Content:
    """Return the records with their checksums and length; errors as `read`."""
    content = Content([], [])
    for record, line, checksum in _records(path):
        content.records.append(record)
        content.sums.append(checksum)
        content.length += len(line)
    return content


def _records(path: Path) -> Generator[tuple[Record, bytes, bytes]]:
    """Yield the complete records of a journal, each with its line and its checksum."""
    checksum = b""
    for number, line in enumerate(_lines(path)):
        try:
            if not line.endswith(b"\n"):
                _check_torn(line, number)
                return
            data, checksum = _verified(line, number, checksum)
            record = from_json(data)
        except UsageError as error:
            raise UsageError(f"{path}, line {number + 1}: {error}") from None
        yield record, line, checksum


def _line(record: Record, number: int, previous_sum: bytes) -> tuple[bytes, bytes]:
    """Return the line of a record and its checksum."""
    data = {"n": number, **to_json(record)}
    body = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
    checksum = _checksum(previous_sum, body)
    return body[:-1] + b',"sum":"' + checksum + b'"}\n', checksum


def _checksum(previous_sum: bytes, body: bytes) -> bytes:
    return hashlib.sha256(previous_sum + body).hexdigest()[:16].encode()


def _verified(line: bytes, number: int, previous_sum: bytes) -> tuple[Any, bytes]:
    """Return the JSON value of a complete line without `n` and `sum`, and its checksum.

    Raises UsageError where the line isn't what was written after the lines before it.
    """
    if number == 0:
        _check_format(line)
    checksum = _sum_in(line)
    if checksum is None:
        raise UsageError(f"no checksum at the end of {_shown(line)}; {UNCHANGED}")
    body = line[: -TAIL_LENGTH - 1] + b"}"
    own = re.match(rb'{"n":(\d{1,18})\b', body)
    if own is not None and int(own[1]) != number:
        raise UsageError(
            f"record {int(own[1])} in the place of record {number}: lines were deleted, doubled or "
            f"exchanged; {UNCHANGED}"
        )
    if own is None or checksum != _checksum(previous_sum, body):
        raise UsageError(
            f"the checksum doesn't match: this line or the one before was changed; {UNCHANGED}"
        )
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError(f"not JSON: {_shown(line)}") from None
    del data["n"]
    return data, checksum


def _sum_in(line: bytes) -> bytes | None:
    """Return the checksum before the last byte of a line, which is a newline if undamaged."""
    tail = TAIL.fullmatch(line[-TAIL_LENGTH - 1 : -1])
    return None if tail is None else tail[1]


def _check_format(line: bytes) -> None:
    """Raise UsageError where the first line is not the head of a journal of this format."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        data = None
    written = data.get("format") if isinstance(data, dict) else None
    if written != FORMAT:
        raise UsageError(f"format {shown(written)}; accepted: {FORMAT!r}")


def _check_torn(line: bytes, number: int) -> None:
    """Raise UsageError where a last line without newline is more than an incomplete record.

    Zero bytes at the end are what file systems leave after a loss of power. A whole record with
    another byte in the place of its newline was damaged, and a file that doesn't begin like a
    journal is none.
    """
    text = line.rstrip(b"\0")
    if text == line and _sum_in(line) is not None:
        raise UsageError(f"{line[-1:]!r} in the place of the newline; {UNCHANGED}")
    if number == 0 and text[: len(BEGINNING)] != BEGINNING[: len(text)]:
        raise UsageError(f"not the head of a journal: {_shown(line)}; accepted: {FORMAT!r}")


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace").strip())


def _require_file(path: Path) -> None:
    """Raise UsageError for a directory, or a pipe, whose opening would wait for its other end."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is no regular file; accepted: a journal")


def _lines(path: Path) -> Iterator[bytes]:
    _require_file(path)
    try:
        with open(path, "rb") as file:
            yield from file
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
