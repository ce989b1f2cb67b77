"""A pack (`mnas.data.pack`) written from any source: in parallel, and resumed after a kill.

The directory holds, beside the arrays, a journal (packing.jsonl): one line on what is packed, and
one for each part that was written, with its checksum. Parts lie where they belong in the arrays, so
the bytes of a pack depend on neither the number of processes nor the order of their work. A resumed
packing reads the parts of the journal, compares their checksums, and writes the others again. At
the end, images that could not be read are taken out, the description is written, which makes the
directory a pack, and the journal is removed. A source that has changed in between is rejected by
its digest, which covers training images and all labels, but not the pixels of test images.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mnas.data.pack import (
    DESCRIPTION,
    FORMAT,
    MAX_RESOLUTION,
    SPLITS,
    UNFINISHED,
    ArrayRecord,
    LeftOut,
    Pack,
    dtype_of,
    file_name,
    parts_digest,
    read_pack,
)
from mnas.data.parts import Output, Part, Reading, parts_of, run_parts
from mnas.data.source import Source, counted
from mnas.data.sources import absolute_source, open_source
from mnas.errors import UsageError, require_whole
from mnas.files import locked_directory, parse_json, replacement, sync_directory, write_json

# Parts have at most so many images and bytes: little is lost by a kill, and memory stays flat.
PART_ROWS, PART_BYTES = 512, 4 << 20
VERSIONS = ("mnas", "numpy", "pillow")


class Observer(Protocol):
    """Observer of a packing's progress."""

    def start(self, total: int) -> None:
        """Note the number of images."""
        ...

    def part(self, images: int, resumed: bool) -> None:
        """Note images that are done, or were before."""
        ...

    def unreadable(self, cause: str) -> None:
        """Note an image that can't be read."""
        ...


def rows_per_part(resolution: int) -> int:
    """Return the number of images in a part."""
    return max(1, min(PART_ROWS, PART_BYTES // (resolution**2 * 3)))


def pack_source(
    name: str,
    directory: Path,
    resolution: int,
    observer: Observer,
    *,
    processes: int = 1,
    skip_unreadable: bool = False,
) -> Pack:
    """Write a pack of a source, or what is left of it, and return its description.

    A directory that holds the same pack is left as it is. Raises UsageError where it holds anything
    else, the disk has no room, or, without `skip_unreadable`, an image can't be read; what was
    written is kept.
    """
    require_whole("data", "resolution", resolution, most=MAX_RESOLUTION)
    require_whole("data", "processes", processes, most=1000)
    source = open_source(name)
    with locked_directory(directory, "is writing this pack"):
        _require_pack_or_empty(directory)
        packing = _Packing(name, source, directory, resolution)
        if os.path.lexists(directory / DESCRIPTION):
            return packing.finished()
        packing.require_room()
        with contextlib.closing(packing.journal()) as journal:
            parts = list(packing.run(journal, processes, observer))
        return packing.finish(parts, skip_unreadable)


class _Packing:
    """Packing of one source into one directory.

    head  what is packed; two packings with the same one write the same bytes
    """

    def __init__(self, name: str, source: Source, directory: Path, resolution: int) -> None:
        self._name, self._source, self._directory = absolute_source(name), source, directory
        self._resolution, self._rows = resolution, rows_per_part(resolution)
        splits = {"train": source.train, "test": source.test}
        self._labels = {key: split.labels for key, split in splits.items() if split is not None}
        self._origin = {
            "source": self._name,
            "digest": source.digest(),
            "versions": {package: importlib.metadata.version(package) for package in VERSIONS},
        }
        self.head = {
            "format": FORMAT,
            "resolution": resolution,
            "rows_per_part": self._rows,
            "classes": [*source.classes],
            "images": {key: len(labels) for key, labels in self._labels.items()},
            "labels": {key: _digest(labels) for key, labels in self._labels.items()},
            "origin": self._origin,
        }
        self._parts = [
            part
            for key, labels in self._labels.items()
            for part in parts_of(key, len(labels), self._rows)
        ]

    def finished(self) -> Pack:
        """Return the description of the finished pack, if it is one of the same images."""
        pack = read_pack(self._directory)
        same = {
            "resolution": pack.resolution,
            "classes": [*pack.classes],
            "origin": dict(pack.origin),
        }
        self._require_same(same)
        with contextlib.suppress(FileNotFoundError):  # of a kill just before the end
            (self._directory / UNFINISHED).unlink()
        return pack

    def journal(self) -> "_Journal":
        """Open the journal, a new one or that of an earlier packing of the same images."""
        journal = _Journal(self._directory / UNFINISHED, self.head)
        try:
            self._require_same(journal.head)
        except UsageError:
            journal.close()
            raise
        return journal

    def _require_same(self, head: dict[str, Any]) -> None:
        if different := [key for key in head if head[key] != self.head.get(key)]:
            raise UsageError(
                f"data: {self._directory} holds a pack of other images or settings "
                f"({', '.join(different)}); accepted: the same source, unchanged, at the same "
                "resolution, by the same versions, or another directory"
            )

    def run(self, journal: "_Journal", processes: int, observer: Observer) -> Iterator[Part]:
        """Write all parts that the journal has not, and yield all."""
        outputs = {split: self._output(split) for split in self._labels}
        reading = Reading(self._name, self._resolution, tuple(outputs.items()))
        observer.start(sum(map(len, self._parts)))
        parts = [journal.known(part) for part in self._parts]
        for part, resumed in run_parts(reading, self._source, parts, processes):
            if not resumed:
                journal.append(part)
            for _, cause in part.unreadable:
                observer.unreadable(cause)
            observer.part(len(part), resumed)
            yield part

    def _output(self, split: str) -> Output:
        """Create the file of a split's images at its full size, if it is not there."""
        path = self._directory / file_name(split, "images")
        header = _header(path.name, self._shape(split, len(self._labels[split])))
        size = len(header) + self._nbytes(len(self._labels[split]))
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b") as file:
            file.truncate(size)  # sparse
            file.write(header)
        return Output(path, len(header))

    def _shape(self, split: str, count: int) -> tuple[int, ...]:
        return (count, self._resolution, self._resolution, 3)

    def _nbytes(self, count: int) -> int:
        return count * self._resolution**2 * 3

    def require_room(self) -> None:
        """Raise UsageError if the disk has no room for what is not written yet."""
        needed = sum(self._nbytes(len(labels)) for labels in self._labels.values())
        paths = [self._directory / file_name(split, "images") for split in self._labels]
        taken = sum(path.stat().st_blocks * 512 for path in paths if path.exists())
        _require_disk(self._directory, needed - taken)

    def finish(self, parts: Sequence[Part], skip_unreadable: bool) -> Pack:
        """Write labels and description of the parts' images; return the description."""
        parts = sorted(parts, key=lambda part: (SPLITS.index(part.split), part.number))
        left_out = tuple(
            LeftOut(part.split, index, cause) for part in parts for index, cause in part.unreadable
        )
        if left_out and not skip_unreadable:
            causes = "; ".join(item.cause for item in left_out[:3])
            more = "; ..." if len(left_out) > 3 else ""
            raise UsageError(
                f"data: {counted(len(left_out), 'image')} of {self._name} can't be read ({causes}"
                f"{more}); accepted: --skip-unreadable, which leaves them out, or a source whose "
                "images can all be read"
            )
        files = {}
        for split, labels in self._labels.items():
            dropped = [item.index for item in left_out if item.split == split]
            if len(dropped) == len(labels):
                raise UsageError(f"data: no image of {self._name} ({split}) can be read")
            checksums = [bytes.fromhex(str(p.checksum)) for p in parts if p.split == split]
            kept = np.delete(np.arange(len(labels)), dropped)
            if dropped:
                checksums = self._compact(split, kept)
            else:
                with open(self._directory / file_name(split, "images"), "rb") as file:
                    os.fsync(file.fileno())
            shape = self._shape(split, len(kept))
            files[file_name(split, "images")] = ArrayRecord(shape, parts_digest(checksums))
            files[file_name(split, "labels")] = self._write_labels(split, labels[kept])
        pack = Pack(
            self._resolution,
            tuple(self._source.classes),
            self._rows,
            files,
            self._origin,
            left_out,
        )
        sync_directory(self._directory)
        write_json(self._directory / DESCRIPTION, pack.to_json())
        (self._directory / UNFINISHED).unlink()
        return pack

    def _compact(self, split: str, kept: np.ndarray) -> list[bytes]:
        """Replace the images of a split by those at `kept`; return the checksums of the parts."""
        path = self._directory / file_name(split, "images")
        shape = self._shape(split, len(self._labels[split]))
        _require_disk(self._directory, self._nbytes(len(kept)))
        images = np.memmap(path, np.uint8, "r", len(_header(path.name, shape)), shape)
        checksums = []
        with replacement(path) as file:
            file.write(_header(path.name, self._shape(split, len(kept))))
            for start in range(0, len(kept), self._rows):
                content = np.ascontiguousarray(images[kept[start : start + self._rows]])
                checksums.append(hashlib.sha256(content.data).digest())
                file.write(content.data)
        return checksums

    def _write_labels(self, split: str, labels: np.ndarray) -> ArrayRecord:
        name = file_name(split, "labels")
        labels = np.ascontiguousarray(labels, dtype_of(name))
        with replacement(self._directory / name) as file:
            file.write(_header(name, labels.shape))
            file.write(labels.data)
        starts = range(0, len(labels), self._rows)
        checksums = [hashlib.sha256(labels[s : s + self._rows].data).digest() for s in starts]
        return ArrayRecord(labels.shape, parts_digest(checksums))


class _Journal:
    """Lines of packing.jsonl: what is packed, and the parts that were written.

    head  what is packed
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        """Open the journal, or create it with `head`. A line that a kill has torn is dropped."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._file = os.fdopen(descriptor, "r+b")
        lines = list(_whole_lines(self._file, path))
        self._file.truncate()  # behind the last whole line
        self.head = lines[0] if lines else head
        self._known = {(line["split"], line["number"]): line for line in lines[1:]}
        if not lines:
            self._write(head)

    def known(self, part: Part) -> Part:
        """Return a part with what the journal has of it."""
        line = self._known.get((part.split, part.number))
        unreadable = tuple((index, cause) for index, cause in line["unreadable"]) if line else ()
        if line is None or any(not part.start <= index < part.stop for index, _ in unreadable):
            return part
        return dataclasses.replace(part, checksum=line["checksum"], unreadable=unreadable)

    def append(self, part: Part) -> None:
        """Write a line about a part that was written."""
        names = ("split", "number", "checksum", "unreadable")
        self._write({name: getattr(part, name) for name in names})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line).encode() + b"\n")
        self._file.flush()


def _whole_lines(file: io.BufferedRandom, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a journal up to the first that is none; leave the file there."""
    end = 0
    for number, line in enumerate(file):
        try:
            content = parse_json(line.decode(), str(path)) if line.endswith(b"\n") else None
        except (UsageError, UnicodeDecodeError):
            content = None
        if not isinstance(content, dict) or (number and not _is_part(content)):
            break
        end += len(line)
        yield content
    file.seek(end)


def _is_part(line: dict[str, Any]) -> bool:
    """Return whether a line has the form of a part; whether it was written, its checksum tells."""
    return (
        {*line} == {"split", "number", "checksum", "unreadable"}
        and all(isinstance(line[key], str) for key in ("split", "checksum"))
        and type(line["number"]) is int
        and isinstance(line["unreadable"], list)
        and all(
            isinstance(item, list)
            and len(item) == 2
            and type(item[0]) is int
            and isinstance(item[1], str)
            for item in line["unreadable"]
        )
    )


def _require_pack_or_empty(directory: Path) -> None:
    names = {*os.listdir(directory)}
    if names and not names & {DESCRIPTION, UNFINISHED}:
        raise UsageError(
            f"data: {directory} holds other files; accepted: a new or empty directory, or one with "
            "an unfinished pack"
        )


def _require_disk(directory: Path, needed: int) -> None:
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UsageError(
            f"data: the pack needs {needed / 1e9:,.2f} GB in {directory}, and {free / 1e9:,.2f} GB "
            "are free; accepted: a lower resolution, or another disk"
        )


def _header(name: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of a `.npy` file of version 1."""
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype_of(name))
    np.lib.format.write_array_header_1_0(
        header, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return header.getvalue()


def _digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.astype("<i4").tobytes()).hexdigest()
