"""Hugging Face data sets of images, saved on disk or from the Hub (`mnas.data.hub`).

Columns that the source does not name are found by their types: one of images, one of ClassLabel;
where there are several, the source must name them. A named label may also be text, whose sorted
values are the classes, or an integer (`mnas.data.conversion`). Splits are named as folders are
(`mnas.data.folders.SPLITS`); the test set is `test`, or the validation split where there is no test
split with labels. Labels of the test set are matched by the names of classes.

Images are decoded by the rules of `mnas.data.pixels`. Those that are paths of files, as in sets
that were made of files of this machine, are read from there.
"""

import contextlib
import functools
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mnas.data import hub
from mnas.data.conversion import labels_from_zero, require_range
from mnas.data.folders import SPLITS
from mnas.data.pixels import image_header, read_image
from mnas.data.source import counted, description, shortened, test_note
from mnas.errors import UsageError, printable

if TYPE_CHECKING:
    import pyarrow as pa

# Label of an image without one, by the convention of ClassLabel.
UNLABELLED = -1


class HuggingFaceSource:
    """Data set of the package `datasets` (`mnas.data.source.Source`)."""

    def __init__(self, source: str) -> None:
        self._source = source
        named = hub.parsed(source)
        self._splits = hub.load_splits(named)
        self._roles = self._read_roles()
        self._image, self._label = named.columns or self._found_columns()
        values, names = self._labels("train")
        self._first = 0
        if names is None:
            known = labels_from_zero(values, None, self._where("train"))
            self._first, names = known.first, known.classes
        require_range(values, self._first, len(names), self._where("train"))
        if len(names) < 2:
            raise UsageError(f"data: {self._where('train')} has 1 class; accepted: 2 or more")
        self.classes = names
        self.train = self._split("train", values)

    @functools.cached_property
    def test(self) -> "TableSplit | None":
        """Test images; None if there are none with labels."""
        if self._test_role is None:
            return None
        values, names = self._labels(self._test_role)
        where = self._where(self._test_role)
        if names is not None and names != self.classes:
            require_range(values, 0, len(names), where)
            if unknown := [name for name in names if name not in self.classes]:
                raise UsageError(
                    f"data: {where} has the class {printable(unknown[0])}; accepted: those of the "
                    f"training set ({shortened(self.classes)})"
                )
            values = np.array([self.classes.index(name) for name in names])[values]
        require_range(values, self._first, len(self.classes), where)
        return self._split(self._test_role, values)

    def describe(self) -> str:
        """Return the line that says what was found; reads the header of each image."""
        headers = [image_header(path, content) for path, content in self.train.files()]
        deep = sum(is_deep for _, is_deep in headers)
        notes = [f"{deep:,} scaled from 16 bits to 8"] if deep else []
        notes += [f"columns {printable(self._image)} and {printable(self._label)}"]
        if self._first:
            notes.append(f"labels from {self._first}")
        notes += test_note(self)
        sizes = [size for size, _ in headers]
        return description(len(headers), self.classes, sizes, self._left_out(), notes)

    def _left_out(self) -> Counter[str]:
        """Return the numbers of splits and of the training set's columns that are not read."""
        read = {self._roles["train"]}
        with contextlib.suppress(UsageError):  # the note about the test set says so
            if self._test_role is not None:
                read.add(self._roles[self._test_role])
        splits = [name for name in self._splits if name not in read]
        names = self._splits[self._roles["train"]].column_names
        columns = [name for name in names if name not in (self._image, self._label)]
        return +Counter(
            {
                f"split of other images ({shortened(splits)})": len(splits),
                f"column of other data ({shortened(columns)})": len(columns),
            }
        )

    def digest(self) -> str:
        """Return a digest of the images' encoded contents, their labels and the class names."""
        digest = hashlib.sha256(json.dumps([self.classes, self.train.labels.tolist()]).encode())
        for path, content in self.train.files():
            digest.update(hashlib.sha256(_bytes(path) if content is None else content).digest())
        return digest.hexdigest()

    # --- splits and columns ---

    def _read_roles(self) -> dict[str, str]:
        """Return the names of splits by their use: train, and test or validation if there are."""
        roles: dict[str, str] = {}
        for name in self._splits:
            role = SPLITS.get(name.lower())
            if role in roles:
                raise self._rejected(f"both {roles[role]} and {name}", "one of the two")
            if role is not None:
                roles[role] = name
        if "train" not in roles:
            raise self._rejected(f"the splits {shortened([*self._splits])}", "one named train")
        return roles

    @functools.cached_property
    def _test_role(self) -> str | None:
        """Return "test", or "validation" where no image of the test split has a label."""
        for role in "test", "validation":
            if role in self._roles:
                values, _ = self._labels(role)
                if (values != UNLABELLED).any():
                    return role
        return None

    def _found_columns(self) -> tuple[str, str]:
        """Return the image and the label column of the training set by their types."""
        features = self._splits[self._roles["train"]].features
        found = []
        for kind in "Image", "ClassLabel":
            names = [name for name, feature in features.items() if type(feature).__name__ == kind]
            if len(names) != 1:
                has = f"{counted(len(names), 'column')} of type {kind}"
                raise self._rejected(
                    f"{has} ({shortened(names or [*features])})",
                    "one of each type, or their names as hf:NAME[:CONFIG]#IMAGE,LABEL",
                )
            found += names
        return found[0], found[1]

    def _column(self, role: str, name: str) -> "pa.ChunkedArray":
        """Return a column of a split without missing values."""
        dataset, where = self._splits[self._roles[role]], f"{self._source}: {self._roles[role]}"
        if name not in dataset.column_names:
            raise self._rejected(f"the columns {shortened(dataset.column_names)}", name)
        column = hub.column(dataset, name, where)
        if not len(column) or column.null_count:
            what = f"{column.null_count:,} missing values" if len(column) else "no rows"
            raise UsageError(f"data: {where}: {printable(name)} has {what}; accepted: one a row")
        return column

    def _labels(self, role: str) -> tuple[np.ndarray, tuple[str, ...] | None]:
        """Return the labels of a split, integers [N], and names of classes from 0, if any."""
        column = self._column(role, self._label)
        feature = self._splits[self._roles[role]].features[self._label]
        kind = str(column.type)
        if re.fullmatch(r"u?int\d+", kind):
            values = column.to_numpy()
            if type(feature).__name__ != "ClassLabel":
                return values, None
            names = tuple(map(str, feature.names))
            if len({*names}) < len(names):
                raise self._rejected(f"a class name twice ({shortened(names)})", "different ones")
            return values, names
        if kind in ("string", "large_string"):
            texts, values = np.unique(column.to_numpy().astype(str), return_inverse=True)
            return values, tuple(map(str, texts))
        raise self._rejected(f"labels of type {kind}", "ClassLabel, integers or text")

    def _split(self, role: str, labels: np.ndarray) -> "TableSplit":
        column = self._column(role, self._image)
        if str(column.type) != "struct<bytes: binary, path: string>":
            raise self._rejected(f"images of type {column.type}", "columns of type Image")
        values = (labels - labels.dtype.type(self._first)).astype(np.int32)
        return TableSplit(column, values, f"{self._source}: {self._roles[role]}")

    def _where(self, role: str) -> str:
        return f"{self._source}: {printable(self._label)} of {self._roles[role]}"

    def _rejected(self, what: str, accepted: str) -> UsageError:
        return UsageError(f"data: {self._source} has {printable(what, 200)}; accepted: {accepted}")


class TableSplit:
    """Encoded images of a column, decoded when they are asked for (`mnas.data.source.Split`)."""

    def __init__(self, column: "pa.ChunkedArray", labels: np.ndarray, where: str) -> None:
        """Take a column of structures `bytes`, `path`, and labels int32 [N].

        where  name of the split in messages
        """
        self.labels = labels
        self._column = column
        self._where = where

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the images at `indices` [M], uint8 RGB [M, R, R, 3]."""
        images = np.empty((len(indices), resolution, resolution, 3), np.uint8)
        for image, index in zip(images, indices, strict=True):
            path, content = self.file(int(index))
            image[:] = read_image(path, resolution, content)
        return images

    def files(self) -> Iterator[tuple[Path, bytes | None]]:
        """Yield the path or name in messages, and the content if it is no file, of each image."""
        return map(self.file, range(len(self.labels)))

    def file(self, index: int) -> tuple[Path, bytes | None]:
        """Return the path of an image on disk and None, or its name in messages and its bytes."""
        value = self._column[index].as_py()
        if value["bytes"] is not None:
            return Path(f"{self._where}: image {index}"), value["bytes"]
        path = value["path"] or ""
        if not os.path.isfile(path):
            raise UsageError(
                f"data: {self._where}: image {index} is {printable(path) or 'empty'}; accepted: "
                "image files within the data set, or files of this machine"
            )
        return Path(path), None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"data: {path} can't be read: {error.strerror}") from None
