"""MNIST's idx files, as downloaded or unzipped, also those of Fashion-MNIST, KMNIST and EMNIST.

    PREFIXtrain-images-idx3-ubyte[.gz]    uint8 [N, H, W]
    PREFIXtrain-labels-idx1-ubyte[.gz]    uint8 [N]
    PREFIXt10k-..., or PREFIXtest-...     the test set, optional
    PREFIXmapping.txt                     EMNIST: in each line a label and codes of its characters

PREFIX is empty, or ends in a hyphen ("emnist-letters-"). The source is the folder or, where it
holds several sets, the training images of one. Of a file that is there twice, the unzipped one is
read. Labels are those of the mapping, in its order; without one, each of 0 to K - 1 or 1 to K
(`mnas.data.conversion`). Pixels stay as stored: EMNIST's images are transposed, and the description
says so.
"""

import functools
import os
import re
from pathlib import Path

import numpy as np

from mnas.data.archive import FolderFiles, unread
from mnas.data.conversion import labels_from_zero
from mnas.data.idx_file import IdxFile
from mnas.data.memory import ArraySplit
from mnas.data.source import array_digest, description, shortened, test_note
from mnas.errors import UsageError, printable

_TRAIN_IMAGES = re.compile(r"((?:.*-)?)train-images[-.]idx3-ubyte(?:\.gz)?")
KINDS = {"images": "idx3", "labels": "idx1"}
SPLITS = {"train": ("train",), "test": ("t10k", "test")}
MAX_MAPPING = 100_000  # bytes


def is_idx(name: str) -> bool:
    """Return whether a file of this name holds training images."""
    return _TRAIN_IMAGES.fullmatch(name) is not None


class IdxSource:
    """Data set in idx files (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        """Take a folder, or the path of training images."""
        is_folder = os.path.isdir(path)
        self._files = FolderFiles(path if is_folder else path.parent)
        named = self._files.names if is_folder else (path.name,)
        matches = [match for name in named if (match := _TRAIN_IMAGES.fullmatch(name))]
        prefixes = {match[1] for match in matches}
        if len(prefixes) != 1:
            shown = shortened([match.string for match in matches]) or "no training images"
            raise UsageError(
                f"data: {path} has {shown}; accepted: one set, or the path of its training images"
            )
        self._prefix = prefixes.pop()
        labels, self._train_images = self._opened("train")
        self.classes, self._indices = self._classes(labels)
        values = self._from_zero("train", labels)
        self.train = ArraySplit(values, self._train_images.read)

    @functools.cached_property
    def test(self) -> ArraySplit | None:
        """Test images; None if there are none."""
        if self._name("test", "labels") is None and self._name("test", "images") is None:
            return None
        labels, images = self._opened("test")
        return ArraySplit(self._from_zero("test", labels), images.read)

    def describe(self) -> str:
        """Return the line that says what was found."""
        notes = ["transposed, as EMNIST stores them"] if self._prefix.startswith("emnist") else []
        if first := int(np.flatnonzero(self._indices >= 0)[0]):
            notes.append(f"labels from {first}")
        size = self._train_images.shape[1:]
        names = {self._name(split, kind) for split in SPLITS for kind in KINDS}
        read = {f"{self._prefix}mapping.txt", *(name for name in names if name is not None)}
        return description(
            len(self.train.labels),
            self.classes,
            [(size[0], size[1])],
            unread(self._files, read),
            [*notes, *test_note(self)],
        )

    def digest(self) -> str:
        """Return a digest of training images, labels and class names."""
        return array_digest(self.classes, self.train.pixels, self.train.labels)

    def _name(self, split: str, kind: str) -> str | None:
        """Return the name of the file of a split; None if there is none."""
        for word in SPLITS[split]:
            for joint in "-", ".":
                name = f"{self._prefix}{word}-{kind}{joint}{KINDS[kind]}-ubyte"
                for candidate in (name, f"{name}.gz"):
                    if candidate in self._files.names:
                        return candidate
        return None

    def _path(self, split: str, kind: str) -> Path:
        name = self._name(split, kind)
        if name is None:
            expected = f"{self._prefix}{SPLITS[split][0]}-{kind}-{KINDS[kind]}-ubyte"
            raise UsageError(
                f"data: {self._files.path} has no {expected}; accepted: images and labels of "
                "each split"
            )
        return self._files.path / name

    def _opened(self, split: str) -> tuple[np.ndarray, IdxFile]:
        """Return the labels of a split as stored, uint8 [N], and the file of its images."""
        path = self._path(split, "labels")
        images, labels = IdxFile(self._path(split, "images"), 3), IdxFile(path, 1)
        if labels.shape != images.shape[:1]:
            raise UsageError(
                f"data: {path} has {labels.shape[0]:,} labels; accepted: {images.shape[0]:,}, one "
                "for each image"
            )
        return labels.read(), images

    def _classes(self, labels: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the names of the classes, and int32 [256]: the class of each label, or -1."""
        indices = np.full(256, -1, np.int32)
        name = f"{self._prefix}mapping.txt"
        if name not in self._files.names:
            known = labels_from_zero(labels, None, str(self._path("train", "labels")))
            indices[known.first : known.first + len(known.classes)] = range(len(known.classes))
            return known.classes, indices
        mapping = self._mapping(name)
        indices[[*mapping]] = range(len(mapping))
        return tuple(mapping.values()), indices

    def _mapping(self, name: str) -> dict[int, str]:
        """Return the class names by label of EMNIST's mapping."""
        content = self._files.read(name)
        lines = content.split(b"\n") if len(content) <= MAX_MAPPING else []
        mapping: dict[int, str] = {}
        for line in filter(None, map(bytes.split, lines)):
            numbers = [int(word) for word in line if word.isdigit() and len(word) <= 3]
            label, *codes = numbers or [256]
            if len(numbers) < len(line) or not codes or label > 255 or label in mapping:
                shown = printable(b" ".join(line).decode("latin-1"))
                raise UsageError(
                    f"data: {self._files.path}: {name} has the line {shown!r}; accepted: a label "
                    "and codes of characters, each label once"
                )
            mapping[label] = "".join(map(chr, codes))
        if len(mapping) < 2 or len({*mapping.values()}) < len(mapping):
            raise UsageError(
                f"data: {self._files.path}: {name} names {len(mapping)} classes "
                f"({shortened([*mapping.values()])}); accepted: 2 or more, all different"
            )
        return mapping

    def _from_zero(self, split: str, labels: np.ndarray) -> np.ndarray:
        """Return the classes of labels, int32 [N]. Raises UsageError where one is unknown."""
        values = self._indices[labels]
        if values.min() < 0:
            raise UsageError(
                f"data: {self._path(split, 'labels')} has the label {labels[values.argmin()]}; "
                f"accepted: those of the {len(self.classes)} classes "
                f"({shortened(np.flatnonzero(self._indices >= 0))})"
            )
        return values
