"""CIFAR-10 and CIFAR-100: the official binary version, as downloaded or extracted.

    cifar-10-binary.tar.gz, cifar-10-batches-bin/     data_batch_1.bin to data_batch_5.bin,
                                                      test_batch.bin, batches.meta.txt
    cifar-100-binary.tar.gz, cifar-100-binary/        train.bin, test.bin, fine_label_names.txt

A record is one byte for the label (CIFAR-100: coarse label, fine label) and 3,072 for the image,
uint8 [3, 32, 32] (https://www.cs.toronto.edu/~kriz/cifar.html). Classes are the fine ones, named by
the lines of the text file. The Python version is rejected: pickles can run code.
"""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np

from mnas.data.archive import Files, FolderFiles, TarFiles, unread
from mnas.data.memory import ArraySplit
from mnas.data.source import array_digest, description, shortened, test_note
from mnas.errors import UsageError, printable

SIZE = 32
SUFFIXES = (".tar.gz", ".tgz", ".tar")


@dataclasses.dataclass(frozen=True)
class Version:
    """Files of one of the two sets.

    coarse  number of coarse labels, which come first in each record; None if there are none
    """

    name: str
    train: tuple[str, ...]
    test: str
    class_names: str
    coarse: int | None = None

    @property
    def label_bytes(self) -> int:
        """Number of labels at the start of a record; the last one is read."""
        return 1 if self.coarse is None else 2


VERSIONS = (
    Version(
        "cifar-10",
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
    ),
    Version("cifar-100", ("train.bin",), "test.bin", "fine_label_names.txt", coarse=20),
)
# Files that only other versions have, by the version to use instead.
PYTHON = {"batches.meta": "cifar-10", "data_batch_1": "cifar-10", "meta": "cifar-100"}
MATLAB = {"batches.meta.mat": "cifar-10", "train.mat": "cifar-100"}


def is_cifar(names: set[str]) -> bool:
    """Return whether files of these names are CIFAR's, in any version."""
    binary = any(names & {*version.train} for version in VERSIONS)
    python = {"batches.meta", "data_batch_1"} <= names or {"train", "test", "meta"} <= names
    return binary or python or bool(names & {"batches.meta.mat", "data_batch_1.mat"})


class CifarSource:
    """Data set in CIFAR's binary format (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        self._files: Files = FolderFiles(path) if os.path.isdir(path) else TarFiles(path)
        self._version = _version(self._files)
        self.classes = self._class_names()

    @functools.cached_property
    def train(self) -> ArraySplit:
        """Training images."""
        return self._split(self._version.train)

    @functools.cached_property
    def test(self) -> ArraySplit:
        """Test images."""
        return self._split((self._version.test,))

    def describe(self) -> str:
        """Return the line that says what was found."""
        version = self._version
        read = {*version.train, version.test, version.class_names}
        notes = [] if version.coarse is None else ["fine labels"]
        count = len(self.train.labels)
        left_out = unread(self._files, read)
        notes += test_note(self)
        return description(count, self.classes, [(SIZE, SIZE)], left_out, notes)

    def digest(self) -> str:
        """Return a digest of training images, labels and class names."""
        return array_digest(self.classes, self.train.pixels, self.train.labels)

    def _class_names(self) -> tuple[str, ...]:
        name = self._version.class_names
        text = self._files.read(name)
        lines = text.decode("utf-8", "replace").splitlines() if len(text) < 100_000 else []
        names = tuple(line.strip() for line in lines if line.strip())
        if not 2 <= len(names) <= 256 or len({*names}) < len(names):
            raise UsageError(
                f"data: {self._files.path}: {name} has {len(names):,} lines "
                f"({shortened(names)}); accepted: 2 to 256 class names, all different"
            )
        return names

    def _split(self, names: tuple[str, ...]) -> ArraySplit:
        """Return the records of files, one after another."""
        records = np.concatenate([self._records(name) for name in names])
        self._files.forget(names)
        count = self._version.label_bytes
        labels = records[:, count - 1].astype(np.int32)
        planes = records[:, count:].reshape(-1, 3, SIZE, SIZE)
        return ArraySplit(labels, lambda: planes.transpose(0, 2, 3, 1))

    def _records(self, name: str) -> np.ndarray:
        """Return the records of a file, uint8 [N, labels and pixels], whose labels are checked."""
        content = self._files.read(name)
        version, where = self._version, f"data: {self._files.path}: {name}"
        size = version.label_bytes + 3 * SIZE * SIZE
        if not content or len(content) % size:
            raise UsageError(
                f"{where} has {len(content):,} bytes; accepted: records of {size:,} bytes, as "
                f"{version.name}-binary.tar.gz has them"
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, size)
        limits = [*filter(None, [version.coarse]), len(self.classes)]
        for column, (limit, labels) in enumerate(zip(limits, records.T, strict=False)):
            if labels.max() >= limit:
                record = int(np.argmax(labels >= limit))
                kind = "label" if column == version.label_bytes - 1 else "coarse label"
                raise UsageError(
                    f"{where} has the {kind} {labels[record]} in record {record:,}; accepted: 0 "
                    f"to {limit - 1}"
                )
        return records


def _version(files: Files) -> Version:
    """Return which set files are of. Raises UsageError where they are none, or not complete."""
    names, path = {*files.names}, files.path
    for version in VERSIONS:
        if not names & {*version.train}:
            continue
        needed = (*version.train, version.test, version.class_names)
        if missing := [name for name in needed if name not in names]:
            raise UsageError(
                f"data: {path} has no {missing[0]}; accepted: all files of "
                f"{version.name}-binary.tar.gz"
            )
        return version
    for kind, found in ("Python", PYTHON), ("MATLAB", MATLAB):
        if hint := [version for name, version in found.items() if name in names]:
            raise UsageError(
                f"data: {path} is the {kind} version of CIFAR; accepted: {hint[0]}-binary.tar.gz, "
                "the binary version"
            )
    shown = shortened([printable(name) for name in files.names]) or "no file"
    raise UsageError(
        f"data: {path} has {shown}; accepted: cifar-10-binary.tar.gz or cifar-100-binary.tar.gz"
    )
