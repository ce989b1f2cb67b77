"""Images of a source read part by part, by parallel processes: to pack them, or to try them.

A part is a range of one split. Images are read where the source can read them; the others are
listed with the cause, and are black in the part.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from mnas.data.memory import ArraySplit
from mnas.data.source import Source, Split
from mnas.data.sources import open_source
from mnas.errors import RunFailure, UsageError
from mnas.runtime.machine import available_bytes
from mnas.runtime.process_pool import process_pool

Unreadable = tuple[tuple[int, str], ...]
"""Indices in the split of images that can't be read, each with the cause."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Images `start` to `stop` of a split.

    checksum  SHA-256 of the part, if it is thought to have been written before
    """

    split: str
    number: int
    start: int
    stop: int
    checksum: str | None = None
    unreadable: Unreadable = ()

    def __len__(self) -> int:
        return self.stop - self.start


@dataclasses.dataclass(frozen=True)
class Output:
    """File that parts of a split are written to: image i lies at `offset` + i · size of an image.

    Nothing else of the file is touched, so several processes may write parts of it.
    """

    path: Path
    offset: int


@dataclasses.dataclass(frozen=True)
class Reading:
    """Reading of parts of a source at one resolution, and where they are written, if anywhere."""

    source: str
    resolution: int
    outputs: tuple[tuple[str, Output], ...] = ()

    def run(self, part: Part, source: Source) -> tuple[Part, bool]:
        """Read and write a part; return it with its checksum, and whether it was there already.

        Raises OSError, which names the file, where it can't be written.
        """
        output = dict(self.outputs).get(part.split)
        if output is not None and part.checksum is not None and self._is_written(part, output):
            return part, True
        images, unreadable = read_images(
            split_of(source, part.split), part.start, part.stop, self.resolution
        )
        content = images.data.cast("B")
        if output is not None:
            self._write(part, output, content)
        checksum = hashlib.sha256(content).hexdigest()
        return dataclasses.replace(part, checksum=checksum, unreadable=unreadable), False

    def _position(self, part: Part, output: Output) -> int:
        return output.offset + part.start * self.resolution**2 * 3

    def _is_written(self, part: Part, output: Output) -> bool:
        with open(output.path, "rb") as file:
            file.seek(self._position(part, output))
            content = file.read(len(part) * self.resolution**2 * 3)
        return hashlib.sha256(content).hexdigest() == part.checksum

    def _write(self, part: Part, output: Output, content: memoryview) -> None:
        try:
            # Unbuffered: what is written again after an error must not be written at exit.
            with open(output.path, "r+b", buffering=0) as file:
                file.seek(self._position(part, output))
                while content:
                    content = content[file.write(content) :]
        except OSError as error:  # without a name where the disk is full
            raise OSError(error.errno, error.strerror, str(output.path)) from None


def split_of(source: Source, name: str) -> Split:
    """Return a split that the source has: "train" or "test"."""
    split = source.train if name == "train" else source.test
    assert split is not None
    return split


def read_images(
    split: Split, start: int, stop: int, resolution: int
) -> tuple[np.ndarray, Unreadable]:
    """Return images uint8 [M, R, R, 3], black where they can't be read, and those that can't be."""
    indices = np.arange(start, stop)
    try:
        return np.ascontiguousarray(split.images(indices, resolution)), ()
    except UsageError:  # does not tell which; the others are read once more
        pass
    images = np.zeros((len(indices), resolution, resolution, 3), np.uint8)
    unreadable = []
    for image, index in zip(images, indices, strict=True):
        try:
            image[:] = split.images(np.array([index]), resolution)[0]
        except UsageError as error:
            unreadable.append((int(index), str(error).removeprefix("data: ")))
    return images, tuple(unreadable)


def parts_of(split: str, count: int, rows: int) -> list[Part]:
    """Return the parts of a split of `count` images, of `rows` images each but the last."""
    starts = range(0, count, rows)
    return [Part(split, n, start, min(start + rows, count)) for n, start in enumerate(starts)]


def run_parts(
    reading: Reading, source: Source, parts: Sequence[Part], processes: int
) -> Iterator[tuple[Part, bool]]:
    """Run parts in parallel and yield results of `Reading.run` as they come, in any order.

    One process is this one. So is that of a source whose images are in memory: each of several
    would hold all of them. Raises RunFailure where a process is lost.
    """
    if processes == 1 or isinstance(source.train, ArraySplit):
        for name in dict.fromkeys(part.split for part in parts):
            split = split_of(source, name)
            if isinstance(split, ArraySplit):
                _ = split.pixels  # an error concerns all images
        yield from (reading.run(part, source) for part in parts)
        return
    try:
        with process_pool(min(processes, max(1, len(parts)))) as pool:
            futures = [pool.submit(_run, reading, part) for part in parts]
            for future in as_completed(futures):
                yield future.result()
    except BrokenProcessPool:
        raise RunFailure(
            f"one of {processes} reading processes was killed, probably for lack of memory "
            f"({available_bytes() / 2**30:.1f} GiB are free now)"
        ) from None


@functools.cache
def _opened(name: str) -> Source:
    return open_source(name)


def _run(reading: Reading, part: Part) -> tuple[Part, bool]:
    return reading.run(part, _opened(reading.source))
