"""Packs: directories of memory-mapped arrays, which `mnas.data.packing` writes from any source.

    pack.json           the description below; without it, a directory is no pack
    train_images.npy    uint8 RGB [N, R, R, 3]
    train_labels.npy    int32 [N], 0 to K - 1
    test_images.npy, test_labels.npy    the same, optional

The description is an object with these keys:

    format         "mnas-pack/1"
    resolution     R, pixels
    classes        names of the K classes, in order of the labels
    rows_per_part  rows of the parts that checksums are taken over
    files          by name: dtype, shape and checksum, the SHA-256 of the SHA-256s of the parts
    origin         source, its digest, and versions of what decoded and resized its images
    left_out       images that could not be read: split, index in the source, and cause

Header and size of a file are compared with the description before it is mapped; pixels are read
when they are asked for, and their checksums compared by `PackSource.damaged` only. Processes of one
machine share the pages that they have read. At another resolution than the pack's, images are
resized as those of other sources are, from the R × R pixels that the pack holds.
"""

import dataclasses
import functools
import hashlib
import json
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnas.data.pixels import resized
from mnas.data.source import description, shortened, test_note
from mnas.errors import UsageError, printable, shown
from mnas.files import read_json

FORMAT = "mnas-pack/1"
DESCRIPTION = "pack.json"
UNFINISHED = "packing.jsonl"
SPLITS = ("train", "test")
MAX_RESOLUTION = 4096
MAX_ROWS = 1 << 40
_MAGIC = b"\x93NUMPY\x01\x00"
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class ArrayRecord:
    """Shape and checksum of one file."""

    shape: tuple[int, ...]
    checksum: str


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Image of the source that could not be read: its split, its index there, and the cause."""

    split: str
    index: int
    cause: str


@dataclasses.dataclass(frozen=True)
class Pack:
    """Content of pack.json."""

    resolution: int
    classes: tuple[str, ...]
    rows_per_part: int
    files: Mapping[str, ArrayRecord]
    origin: Mapping[str, Any]
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        files = {
            name: {"dtype": dtype_of(name).name, "shape": [*file.shape], "checksum": file.checksum}
            for name, file in self.files.items()
        }
        return {"format": FORMAT, **dataclasses.asdict(self), "files": files}

    def count(self, split: str) -> int:
        """Return the number of images of a split; 0 if there is none."""
        file = self.files.get(file_name(split, "images"))
        return file.shape[0] if file else 0


def file_name(split: str, kind: str) -> str:
    """Return the name of the file of "images" or "labels" of a split."""
    return f"{split}_{kind}.npy"


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the type of the elements of a file: little-endian, whatever the machine."""
    return np.dtype(np.uint8 if name.endswith("_images.npy") else "<i4")


def parts_digest(checksums: list[bytes]) -> str:
    """Return the checksum of a file from the SHA-256s of its parts, in order."""
    return hashlib.sha256(b"".join(checksums)).hexdigest()


class PackSource:
    """Data set in a pack (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pack = read_pack(path)
        self.classes = self.pack.classes

    @functools.cached_property
    def train(self) -> "PackSplit":
        """Training images."""
        return PackSplit(self.path, self.pack, "train")

    @functools.cached_property
    def test(self) -> "PackSplit | None":
        """Test images; None if the pack has none."""
        return PackSplit(self.path, self.pack, "test") if self.pack.count("test") else None

    def describe(self) -> str:
        """Return the line that says what the pack holds."""
        size = self.pack.resolution
        left_out = Counter({"unreadable image": len(self.pack.left_out)})
        notes = [f"packed from {printable(self.pack.origin['source'], 100)}", *test_note(self)]
        count = len(self.train.labels)
        return description(count, self.classes, [(size, size)], +left_out, notes)

    def digest(self) -> str:
        """Return a digest of the training files' checksums and the class names."""
        checksums = [
            self.pack.files[file_name("train", kind)].checksum for kind in ("images", "labels")
        ]
        content = json.dumps([FORMAT, self.classes, self.pack.rows_per_part, checksums])
        return hashlib.sha256(content.encode()).hexdigest()

    def damaged(self, observe: Callable[[int], None] = lambda _: None) -> list[str]:
        """Return the names of the files whose content differs from their checksums.

        Reads everything, and calls `observe` with the number of images of each part.
        """
        return [name for name in self.pack.files if not self._is_whole(name, observe)]

    def _is_whole(self, name: str, observe: Callable[[int], None]) -> bool:
        record, checksums = self.pack.files[name], []
        offset = checked_offset(self.path / name, dtype_of(name), record.shape)
        row_bytes = dtype_of(name).itemsize * int(np.prod(record.shape[1:]))
        rows = self.pack.rows_per_part
        with open(self.path / name, "rb") as file:
            file.seek(offset)
            for start in range(0, record.shape[0], rows):
                count = min(rows, record.shape[0] - start)
                checksums.append(hashlib.sha256(file.read(count * row_bytes)).digest())
                if name.endswith("_images.npy"):
                    observe(count)
        return parts_digest(checksums) == record.checksum


class PackSplit:
    """Memory-mapped images of one split (`mnas.data.source.Split`).

    Sent to another process, it is mapped there: no image travels.
    """

    def __init__(self, path: Path, pack: Pack, split: str) -> None:
        self._arguments = path, pack, split
        images, labels = (file_name(split, kind) for kind in ("images", "labels"))
        self._file, self._shape = path / images, pack.files[images].shape
        self._offset = checked_offset(self._file, dtype_of(images), self._shape)
        self.labels = _labels(path / labels, pack.files[labels].shape, len(pack.classes))

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """All images, mapped and not read: uint8 [N, R, R, 3]."""
        mapped = np.memmap(self._file, np.uint8, "r", self._offset, self._shape)
        return mapped.view(np.ndarray)

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the images at `indices` [M], uint8 RGB [M, R, R, 3]; only these are read."""
        return resized(self.pixels[indices], resolution)

    def __reduce__(self) -> tuple[type["PackSplit"], tuple[Path, Pack, str]]:
        return PackSplit, self._arguments


def is_pack(names: set[str]) -> bool:
    """Return whether a directory with files of these names is a pack, finished or not."""
    return bool(names & {DESCRIPTION, UNFINISHED})


def read_pack(path: Path) -> Pack:
    """Return the description of a pack. Raises UsageError where it is none, or malformed."""
    if not os.path.isfile(path / DESCRIPTION):
        raise UsageError(
            f"data: {path} is an unfinished pack; accepted: one that mnas data pack has finished"
        )
    return _Checked(path / DESCRIPTION).pack()


class _Checked:
    """Description of a pack whose values are checked as they are taken."""

    def __init__(self, path: Path) -> None:
        self._path, self._content = path, read_json(path)

    def pack(self) -> Pack:
        found = self._content.get("format") if isinstance(self._content, dict) else None
        self._require(found == FORMAT, "format", found, FORMAT)
        names = {"format", *(field.name for field in dataclasses.fields(Pack))}
        self._require({*self._content} == names, "keys", [*self._content], ", ".join(sorted(names)))
        resolution = self._whole("resolution", MAX_RESOLUTION)
        classes = self._content["classes"]
        are_names = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        self._require(
            are_names and 2 <= len({*classes}) == len(classes),
            "classes",
            classes,
            "2 or more names, all different",
        )
        return Pack(
            resolution,
            tuple(classes),
            self._whole("rows_per_part", MAX_ROWS),
            self._files(resolution),
            self._origin(),
            self._left_out(),
        )

    def _files(self, resolution: int) -> dict[str, ArrayRecord]:
        content, files = self._content["files"], {}
        splits = [[file_name(split, kind) for kind in ("images", "labels")] for split in SPLITS]
        named = {*content} if isinstance(content, dict) else set()
        self._require(
            named in ({*splits[0]}, {*splits[0], *splits[1]}),
            "files",
            [*content] if isinstance(content, dict) else content,
            f"{', '.join(splits[0])}, optionally {' and '.join(splits[1])}",
        )
        for split in splits:
            if split[0] not in named:
                continue
            count = self._rows(split[0])
            for name, shape in (split[0], (count, resolution, resolution, 3)), (split[1], (count,)):
                found = content[name]
                self._require(
                    isinstance(found, dict)
                    and {*found} == {"dtype", "shape", "checksum"}
                    and found["dtype"] == dtype_of(name).name
                    and isinstance(found["shape"], list)
                    and all(type(length) is int for length in found["shape"])  # True is no 1
                    and found["shape"] == [*shape]
                    and isinstance(found["checksum"], str)
                    and _CHECKSUM.fullmatch(found["checksum"]) is not None,
                    name,
                    found,
                    f"dtype {dtype_of(name).name}, shape {[*shape]}, checksum of 64 hexadecimal "
                    "digits",
                )
                files[name] = ArrayRecord(shape, found["checksum"])
        return files

    def _rows(self, name: str) -> int:
        """Return the number of images that a file claims to have."""
        found = self._content["files"][name]
        shape = found.get("shape") if isinstance(found, dict) else None
        count = shape[0] if isinstance(shape, list) and shape else None
        self._require_whole(f"{name} shape", count, MAX_ROWS)
        return int(str(count))

    def _origin(self) -> dict[str, Any]:
        origin = self._content["origin"]
        known = isinstance(origin, dict) and {*origin} == {"source", "digest", "versions"}
        self._require(
            known
            and all(isinstance(origin[key], str) for key in ("source", "digest"))
            and isinstance(origin["versions"], dict),
            "origin",
            origin,
            "source, digest and versions",
        )
        return dict(origin)

    def _left_out(self) -> tuple[LeftOut, ...]:
        found = self._content["left_out"]
        self._require(isinstance(found, list), "left_out", found, "a list")
        for item in found:
            self._require(
                isinstance(item, dict)
                and {*item} == {"split", "index", "cause"}
                and item["split"] in SPLITS
                and type(item["index"]) is int
                and isinstance(item["cause"], str),
                "left_out",
                item,
                "objects of split, index and cause",
            )
        return tuple(LeftOut(**item) for item in found)

    def _whole(self, key: str, most: int) -> int:
        self._require_whole(key, self._content[key], most)
        return int(self._content[key])

    def _require_whole(self, key: str, value: Any, most: int) -> None:
        is_whole = type(value) is int and 1 <= value <= most
        self._require(is_whole, key, value, f"a whole number of 1 to {most:,}")

    def _require(self, holds: bool, key: str, value: Any, accepted: str) -> None:
        if not holds:
            raise UsageError(f"data: {self._path}: {key} = {shown(value)}; accepted: {accepted}")


def checked_offset(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> int:
    """Return where the data of a `.npy` file begin, in bytes.

    Raises UsageError where the file can't be read, is no array of this type and shape in C order,
    or has another size than such an array.
    """
    if not os.path.isfile(path):  # a pipe would block
        raise UsageError(f"data: {path} is missing; accepted: the files that {DESCRIPTION} names")
    expected = f"{dtype.name} {[*shape]} as {DESCRIPTION} says"
    try:
        with open(path, "rb") as file:
            if not file.read(len(_MAGIC)).startswith(_MAGIC):
                raise UsageError(f"data: {path} is no .npy file of version 1; accepted: {expected}")
            with warnings.catch_warnings(action="ignore"):
                try:
                    header = np.lib.format.read_array_header_1_0(file)
                except OSError:
                    raise
                except Exception:  # NumPy evaluates the header as Python: anything may be raised
                    raise UsageError(
                        f"data: {path} has a damaged header; accepted: {expected}"
                    ) from None
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise UsageError(f"data: {path} can't be read: {error.strerror}") from None
    found_shape, is_fortran, found_dtype = header
    if (found_shape, is_fortran, found_dtype) != (shape, False, dtype):
        order = " in Fortran order" if is_fortran else ""
        found = printable(f"{found_dtype} {shortened(found_shape)}", 80)
        raise UsageError(f"data: {path} is {found}{order}; accepted: {expected}")
    needed = offset + dtype.itemsize * int(np.prod(np.array(shape, object)))
    if size != needed:
        raise UsageError(f"data: {path} has {size:,} bytes; accepted: {needed:,}, {expected}")
    return offset


def _labels(path: Path, shape: tuple[int, ...], classes: int) -> np.ndarray:
    """Return the labels of a split, int32 [N]. Raises UsageError for one out of range."""
    dtype = np.dtype("<i4")
    offset = checked_offset(path, dtype, shape)
    labels = np.fromfile(path, dtype, offset=offset).astype(np.int32, copy=False)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise UsageError(
            f"data: {path} has the label {labels[wrong[0]]} at {wrong[0]:,}; accepted: 0 to "
            f"{classes - 1}"
        )
    return labels
