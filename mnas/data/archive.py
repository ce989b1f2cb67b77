"""Files of a folder, or of a tar archive, read into memory; nothing is extracted to disk.

Of an archive in the format of POSIX (ustar) or GNU, gzipped or not, regular members are read by the
last part of their names, of at most 100 bytes; links, devices and sparse members are left out. Size
and number of members are limited, and the checksum of gzip is compared. (Python's tarfile takes
hours for a header that claims 2^60 bytes.)
"""

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Protocol

from mnas.errors import UsageError, printable

# Uncompressed. CIFAR's archives have 185 MB in 8 and 6 members.
MAX_BYTES = 256 << 20
MAX_MEMBERS = 1000
CHUNK = 1 << 20
BLOCK = 512
# Types of members: files, and directories and metadata, which hold none.
REGULAR = (b"0", b"\0", b"7")
NO_FILE = (b"5", b"x", b"g", b"L", b"K")
GZIP_MAGIC = b"\x1f\x8b"


class Files(Protocol):
    """Files by name.

    path      of the folder or archive
    names     of the files, sorted
    left_out  number of other entries by kind (`mnas.data.source.description`)
    """

    path: Path
    names: tuple[str, ...]
    left_out: Counter[str]

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises UsageError where it can't be read."""
        ...

    def forget(self, names: Iterable[str]) -> None:
        """Free what is kept of files that are not read again."""
        ...


class FolderFiles:
    """Regular files directly in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        names = []
        for name in directory_names(path):
            if os.path.isfile(path / name):  # a pipe would block
                names.append(name)
            else:
                self.left_out["folder" if os.path.isdir(path / name) else "special file"] += 1
        self.names = tuple(names)

    def read(self, name: str) -> bytes:
        """Return the content of a file. Raises UsageError where it can't be read."""
        path = self.path / name
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise UsageError(f"data: {path} can't be read: {error.strerror}") from None
        if len(content) > MAX_BYTES:
            raise UsageError(f"data: {path} has more than {MAX_BYTES:,} bytes; accepted: fewer")
        return content

    def forget(self, names: Iterable[str]) -> None:
        """Do nothing: files are not kept."""


class TarFiles:
    """Regular members of a tar archive, all read when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self._contents: dict[str, bytes] = {}
        try:
            with open(path, "rb") as file:
                self._read_members(_Limited(_unzipped(file)))
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(getattr(error, "strerror", None) or str(error)) from None
        self.names = tuple(sorted(self._contents))

    def read(self, name: str) -> bytes:
        """Return the content of a member."""
        return self._contents[name]

    def forget(self, names: Iterable[str]) -> None:
        """Free the memory of members that are not read again."""
        for name in names:
            del self._contents[name]

    def _read_members(self, stream: "_Limited") -> None:
        """Read the members, and the rest of the stream, where gzip's checksum is compared."""
        for _ in range(MAX_MEMBERS):
            block = stream.read(BLOCK)
            if not block.strip(b"\0"):
                break
            kind, name, size = self._header(block)
            content = stream.read(size)
            if len(content) < size:
                raise self._damaged(f"{name} has {len(content):,} of {size:,} bytes")
            stream.read(-size % BLOCK)
            if kind in REGULAR:
                if name in self._contents:
                    raise self._damaged(f"two members named {name}")
                self._contents[name] = content
            elif kind not in NO_FILE:
                self.left_out["link or special file"] += 1
        else:
            raise self._damaged(f"more than {MAX_MEMBERS:,} members")
        while stream.read(CHUNK):
            pass

    def _header(self, block: bytes) -> tuple[bytes, str, int]:
        """Return the kind of a member, the last part of its name and its size from its header."""
        checksum, size = (_octal(block[start:end]) for start, end in ((148, 156), (124, 136)))
        blank = block[:148] + b" " * 8 + block[156:]
        if len(block) < BLOCK or checksum != sum(blank) or size is None:
            raise self._damaged("a header of a member is damaged")
        name = block[:100].partition(b"\0")[0].decode("utf-8", "replace")
        return block[156:157], printable(name.rpartition("/")[2], 100), size

    def _damaged(self, cause: str) -> UsageError:
        return UsageError(
            f"data: {self.path} can't be read as a tar archive: {printable(cause, 150)}"
        )


class _Limited:
    """Stream of at most `MAX_BYTES`; OSError beyond."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile) -> None:
        self._stream = stream
        self._left = MAX_BYTES

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        content = self._stream.read(min(size, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise OSError(None, f"more than {MAX_BYTES:,} bytes")
        return content


def _octal(field: bytes) -> int | None:
    """Return a number of a header; None where it is none."""
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and not digits.strip(b"01234567") else None


def _unzipped(file: BinaryIO) -> BinaryIO | gzip.GzipFile:
    """Return the content of a file, unzipped if it is gzip."""
    is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    return gzip.open(file) if is_gzip else file


def directory_names(path: Path) -> list[str]:
    """Return the names in a directory, sorted. Raises UsageError where it can't be read."""
    try:
        return sorted(os.listdir(path))
    except OSError as error:
        raise UsageError(f"data: {path} can't be read: {error.strerror}") from None


def unread(files: Files, read: set[str]) -> Counter[str]:
    """Return what is left out of `files` where the names `read` are used."""
    others = [os.path.splitext(name)[1].lower() for name in files.names if name not in read]
    return files.left_out + Counter(others)
