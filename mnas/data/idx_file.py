"""One idx file of unsigned bytes, gzipped or not.

The format is that of http://yann.lecun.com/exdb/mnist/: two zero bytes, the type of the values, the
number of dimensions, the dimensions as big-endian uint32, the values.
"""

import contextlib
import gzip
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from mnas.data.archive import GZIP_MAGIC
from mnas.data.source import require_memory
from mnas.errors import UsageError, printable
from mnas.files import MAX_EXPANSION

UNSIGNED_BYTE = 8
CHUNK = 1 << 24


class IdxFile:
    """Header of an idx file; its values are read when they are asked for.

    shape  the dimensions, each at least 1

    Raises UsageError, which names the file, where it is malformed.
    """

    def __init__(self, path: Path, dimensions: int) -> None:
        self.path = path
        with self._opened() as file:
            self.shape = self._read_header(file, dimensions)

    def read(self) -> np.ndarray:
        """Return the values, uint8."""
        count = math.prod(self.shape)
        require_memory(str(self.path), count)
        values, filled = np.empty(count, np.uint8), 0
        with self._opened() as file:
            self._read_header(file, len(self.shape))
            while chunk := file.read(CHUNK):  # to the end, where gzip's checksum is compared
                if filled + len(chunk) > count:
                    raise self._damaged(f"more than the {count:,} values of {self.shape}")
                values[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
                filled += len(chunk)
        if filled < count:
            raise self._damaged(f"{filled:,} of the {count:,} values of {self.shape}")
        return values.reshape(self.shape)

    def _read_header(self, file: BinaryIO, dimensions: int) -> tuple[int, ...]:
        """Return the shape, whose claim of size the file can fulfil."""
        expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
        magic = file.read(4)
        if magic != expected:
            raise self._damaged(
                f"it starts with {magic.hex(' ') or 'nothing'}; accepted: {expected.hex(' ')}, "
                f"unsigned bytes in {dimensions} dimensions"
            )
        header = file.read(4 * dimensions)
        shape = tuple(np.frombuffer(header[: len(header) // 4 * 4], ">u4").tolist())
        size = os.stat(self.path).st_size
        largest = MAX_EXPANSION * size if self._is_gzip() else size
        if len(shape) < dimensions or 0 in shape or math.prod(shape) > largest:
            raise self._damaged(f"it claims to be {shape} and has {size:,} bytes")
        return shape

    def _is_gzip(self) -> bool:
        with open(self.path, "rb") as file:
            return file.read(2) == GZIP_MAGIC

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """Open the file, unzipped if it is gzip by its content, whatever its name."""
        try:
            opener = gzip.open if self._is_gzip() else open
            with opener(self.path, "rb") as file:
                yield cast(BinaryIO, file)
        except (OSError, EOFError, zlib.error) as error:
            cause = getattr(error, "strerror", None) or str(error)
            raise self._damaged(cause) from None

    def _damaged(self, cause: str) -> UsageError:
        return UsageError(
            f"data: {self.path} can't be read as an idx file: {printable(cause, 150)}"
        )
