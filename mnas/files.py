"""JSON, arrays, text and tables on disk; every file is written whole or not at all.

Each writer fills a temporary file in the same directory, flushes it to disk and renames it, so that
a reader, or a machine that loses power, sees the old content or the new one. Text is UTF-8 whatever
the locale, and permissions follow the umask. Writers raise OSError where the file can't be written.
`lock` keeps two processes from writing the same file or directory. `ArrayFile` reads `.npz` files
that others may have written: nothing is unpickled, and no more memory is taken than the file fills.
"""

import codecs
import contextlib
import csv
import fcntl
import glob
import hashlib
import io
import json
import logging
import math
import mmap
import os
import re
import secrets
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, NamedTuple

import numpy as np

from mnas.errors import UsageError, printable, shown

logger = logging.getLogger(__name__)

# Limit of text files that are read whole; devices such as /dev/zero have no end.
MAX_TEXT = 100_000_000
# A deflated stream expands to at most 1,032 times its length.
MAX_EXPANSION = 1032
# Names of the temporary files of `replacement`.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises UsageError as `read_text` and `parse_json` do."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, source: str) -> Any:
    """Return the content of JSON text.

    Raises UsageError, which starts with `source`, for malformed text, NaN and infinity, and for an
    object with a key twice, of which `json.loads` would take the last.
    """
    try:
        return json.loads(
            text, parse_constant=_reject_constant, object_pairs_hook=_object_of_unique_keys
        )
    except _DuplicateKey as error:
        raise UsageError(f"{source}: {error}; accepted: each key once") from None
    except ValueError as error:
        raise UsageError(f"{source} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{source} is not JSON that can be read: nested too deeply") from None


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


class _DuplicateKey(ValueError):
    """A key that one object of JSON text has twice."""


def _object_of_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        key = next(key for key in unique if counts[key] > 1)
        raise _DuplicateKey(f"duplicate key {shown(printable(key, 80))}")
    return unique


def read_text(path: Path) -> str:
    """Return the content of a text file.

    Text is UTF-8, or UTF-16 with a byte order mark, as shells of Windows write it. Raises
    UsageError if the file is missing, in another encoding, or larger than MAX_TEXT bytes.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    if len(content) > MAX_TEXT:
        raise UsageError(f"{path} is longer than {MAX_TEXT:,} bytes; accepted: a text file")
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is not text in UTF-8: byte {error.start} is 0x{content[error.start]:02x}; "
            "accepted: UTF-8, or UTF-16 with a byte order mark"
        ) from None


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content. Raises UsageError if it can't be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


def write_json(path: Path, data: Any) -> None:
    """Write indented JSON. Raises ValueError for NaN and infinity, which JSON can't represent."""
    write_text(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as an uncompressed `.npz`."""
    with replacement(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def write_csv(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write records as CSV: columns are the first record's keys, missing cells are empty."""
    text = io.StringIO(newline="")
    if records:
        writer = csv.DictWriter(text, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, line ends as they are."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    with replacement(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacement(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file for writing that replaces `path` at the end of the block.

    If the block raises, `path` is unchanged and the temporary file is removed. Symbolic links are
    followed. What exists and is no regular file (a pipe, /dev/stdout) is written in place. Raises
    OSError that names `path`.
    """
    try:
        with _replacement(path) as file:
            yield file
    except OSError as error:  # of the temporary file, or without a name where the disk is full
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from None


@contextlib.contextmanager
def _replacement(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and not path.is_file():
        with open(path, "wb") as file:
            yield file
        return
    target = path.resolve()
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(target.parent)


def remove_temporaries(path: Path) -> None:
    """Remove what killed writers of `path` left; for a caller that keeps others from writing it."""
    with contextlib.suppress(OSError):
        for left in path.parent.glob(glob.escape(f".{path.name[:40]}.") + "*.tmp"):
            if _TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Flush a directory's new names to disk, on systems that can open a directory."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def locked_directory(path: Path, use: str, file: str | None = None) -> Iterator[None]:
    """Create a directory if it is missing, and lock it (`lock`) within the context.

    Temporary files that a killed process left there are removed: those of `file`, a name, where it
    is given, since others may use the directory. An exception that leaves a new directory empty
    removes it again, with its new parents. Raises UsageError where the directory can't be created
    or written.
    """
    created = [level for level in (path, *path.parents) if not os.path.lexists(level)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"{path} can't be created: {error.strerror}") from None
    try:
        if not os.access(path, os.W_OK | os.X_OK):
            raise UsageError(f"{path} can't be written: no permission, or a read-only file system")
        lock(descriptor, path, use)
        for left in path.glob(".*.tmp"):
            temporary = _TEMPORARY.fullmatch(left.name)
            if temporary and file in (None, temporary[1]):
                left.unlink(missing_ok=True)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty
            for level in created:
                level.rmdir()
        raise
    finally:
        os.close(descriptor)


def lock(descriptor: int, path: Path, use: str) -> None:
    """Lock an open file or directory for this process, until the descriptor is closed.

    path  the name in messages
    use   what the holder of the lock does: "is writing this journal"

    Raises UsageError "PATH: another process USE" where another process holds the lock. On file
    systems without locks (some network and container ones) this warns and returns.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # EWOULDBLOCK: the only error that means a held lock
        raise UsageError(f"{path}: another process {use}") from None
    except OSError as error:
        logger.warning(
            "%s can't be locked (%s); make sure that no other process writes it",
            path,
            error.strerror,
        )


def require_unlocked(path: Path, use: str) -> None:
    """Raise the UsageError of `lock` where another process holds the lock of an existing path.

    Tells so before costly work; only `lock` keeps another process from taking it.
    """
    with contextlib.suppress(OSError):  # missing, or a file system without locks
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path}: another process {use}") from None
        finally:
            os.close(descriptor)


class ArrayHeader(NamedTuple):
    """Shape, dtype and memory order of an array that has not been read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def nbytes(self) -> int:
        """Size of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return printable(f"{self.dtype} {self.shape}", 80)


class ArrayFile:
    """Arrays of an `.npz` file, each read when it is asked for.

    names  names of the arrays

    All methods raise UsageError, which names the file, where it is damaged: checksums are compared.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not os.path.isfile(path):  # a pipe would block
            raise UsageError(f"{path} can't be read as .npz: no such file")
        with self._archive() as archive:
            self.names = tuple(name.removesuffix(".npy") for name in archive.namelist())
        if doubled := [name for name in self.names if self.names.count(name) > 1]:
            raise self._damaged(f"two arrays named {doubled[0]}")

    def header(self, name: str) -> ArrayHeader:
        """Return the header of an array, whose claim of size the file can fulfil."""
        with self._archive() as archive, archive.open(f"{name}.npy") as member:
            return self._header(name, member, archive.getinfo(f"{name}.npy"))

    def read(self, name: str) -> np.ndarray:
        """Return an array."""
        with self._archive() as archive, archive.open(f"{name}.npy") as member:
            header = self._header(name, member, archive.getinfo(f"{name}.npy"))
            content = np.empty(header.nbytes, np.uint8)
            filled = 0
            while chunk := member.read(1 << 24):  # to the end, where the checksum is compared
                content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
            if filled < header.nbytes:
                raise self._damaged(f"{name} ends after {filled:,} of {header.nbytes:,} bytes")
        try:
            if header.fortran:
                return np.ndarray(header.shape, header.dtype, content, order="F")
            return np.ndarray(header.shape, header.dtype, content)
        except (ValueError, OverflowError):  # a shape of no elements beyond NumPy's limits
            raise self._damaged(f"{name} claims to be {header}") from None

    def mapped(self) -> dict[str, np.ndarray]:
        """Return all arrays by name, mapped read-only from the file, where none is compressed.

        Processes that map the same file share its memory.
        """
        arrays = {}
        with self._archive() as archive, open(self.path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            for name in self.names:
                info = archive.getinfo(f"{name}.npy")
                if info.compress_type != zipfile.ZIP_STORED:
                    raise self._damaged(f"{name} is compressed")
                with archive.open(info) as member:
                    header = self._header(name, member, info)
                    offset = member.tell()
                    while member.read(1 << 24):  # to the end, where the checksum is compared
                        pass
                # A local header of 30 bytes, the last four of which are the lengths of what follows
                # it, the name and an extra field.
                start = info.header_offset
                offset += start + 30 + sum(struct.unpack_from("<HH", content, start + 26))
                order: Literal["F", "C"] = "F" if header.fortran else "C"
                arrays[name] = np.ndarray(header.shape, header.dtype, content, offset, order=order)
        return arrays

    def _header(self, name: str, member: IO[bytes], info: zipfile.ZipInfo) -> ArrayHeader:
        try:
            with warnings.catch_warnings(action="ignore"):
                version = np.lib.format.read_magic(member)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, fortran, dtype = read(member)
        except Exception:  # NumPy evaluates the header as Python, which may raise anything.
            raise self._damaged(f"{name} has no header of NumPy's format 1 or 2") from None
        if dtype.hasobject:
            raise UsageError(
                f"{self.path}: {printable(name)} holds Python objects, which are not unpickled; "
                "accepted: arrays of numbers or text"
            )
        header = ArrayHeader(shape, dtype, fortran)
        held = info.file_size - member.tell()
        compressed = min(info.compress_size, self.path.stat().st_size)
        if min(shape, default=0) < 0 or len(shape) > 32 or header.nbytes != held:
            raise self._damaged(f"{name} claims to be {header} and holds {held:,} bytes")
        if info.file_size > MAX_EXPANSION * (compressed + 1):
            raise self._damaged(f"{name} claims {info.file_size:,} bytes of {compressed:,}")
        return header

    @contextlib.contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except (
            *(OSError, EOFError, zipfile.BadZipFile, zlib.error),
            *(RuntimeError, KeyError),  # encrypted, another compression; a name in two spellings
            *(UnicodeDecodeError, OverflowError),  # offsets and names of a damaged directory
        ) as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, cause: str) -> UsageError:
        return UsageError(f"{self.path} can't be read as .npz: {printable(cause, 150)}")
