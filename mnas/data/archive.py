"""Files of a folder, or of a tar archive, read into memory; nothing is extracted to disk.

Of an archive, gzipped or not, regular members are read by the last part of their names; links,
devices and sparse members are left out. Size and number of members are limited, and the checksum of
gzip is compared.
"""

import gzip
import io
import os
import tarfile
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Protocol

from mnas.errors import UsageError, printable

# Uncompressed. CIFAR's archives have 185 MB in 8 and 6 members.
MAX_BYTES = 256 << 20
MAX_MEMBERS = 1000
CHUNK = 1 << 20
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


class TarFiles:
    """Regular members of a tar archive, all read when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self._contents: dict[str, bytes] = {}
        try:
            with open(path, "rb") as file:
                stream = _Limited(_unzipped(file))
                with tarfile.open(fileobj=stream, mode="r|") as archive:
                    self._read(archive)
                while stream.read(CHUNK):  # to the end, where gzip's checksum is compared
                    pass
        except UsageError:
            raise
        except (
            *(OSError, EOFError, zlib.error, tarfile.TarError),
            *(ValueError, OverflowError, RecursionError),  # of tarfile for malformed headers
        ) as error:
            cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise self._damaged(cause) from None
        self.names = tuple(sorted(self._contents))

    def read(self, name: str) -> bytes:
        """Return the content of a member, once: its memory is then the caller's to free."""
        return self._contents.pop(name)

    def _read(self, archive: tarfile.TarFile) -> None:
        for number, member in enumerate(archive):
            if number >= MAX_MEMBERS:
                raise self._damaged(f"more than {MAX_MEMBERS:,} members")
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                self.left_out["link or special file"] += 1
                continue
            name = member.name.rpartition("/")[2]
            if name in self._contents:
                raise self._damaged(f"two members named {printable(name)}")
            content = archive.extractfile(member)
            assert content is not None  # of regular members
            self._contents[name] = content.read()

    def _damaged(self, cause: str) -> UsageError:
        return UsageError(
            f"data: {self.path} can't be read as a tar archive: {printable(cause, 150)}"
        )


class _Limited(io.RawIOBase):
    """Stream that raises OSError after `MAX_BYTES`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_BYTES

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; b"" at the end."""
        content = self._stream.read(min(size, CHUNK) if size >= 0 else CHUNK)
        self._left -= len(content)
        if self._left < 0:
            raise OSError(f"more than {MAX_BYTES:,} bytes")
        return content


def _unzipped(file: BinaryIO) -> BinaryIO:
    """Return the content of a file, unzipped if it is gzip."""
    is_gzip = file.read(2) == GZIP_MAGIC
    file.seek(0)
    return gzip.open(file) if is_gzip else file  # type: ignore[return-value]


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
