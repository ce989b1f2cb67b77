"""Images of `.npz` files, with the key names of this project and MedMNIST, or of Keras.

    train_images, x_train    uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]
    train_labels, y_train    integers [N] or [N, 1], 0 to K - 1
    test_images, x_test, test_labels, y_test    the same, optional
    classes                  names [K], text or integers, optional

Without `classes`, every label from 0 to K - 1 occurs in the training set; other labels (from 1, or
codes with gaps) are rejected rather than counted as classes of no image. Nothing is converted but
grey to RGB. Arrays of other names are not read.
"""

import functools
import os
from collections import Counter
from pathlib import Path

import numpy as np

from mnas.data.memory import ArraySplit
from mnas.data.source import (
    array_digest,
    description,
    require_memory,
    shortened,
)
from mnas.errors import UsageError, printable
from mnas.files import ArrayFile

KEYS = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}
ACCEPTED = (
    "train_images and train_labels (or x_train and y_train), optionally test_images with "
    "test_labels, and classes"
)


class ArraySource:
    """Data set in a `.npz` file (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        if not os.path.isfile(path):
            raise UsageError(f"data: no file {path}; accepted: digits, a .npz file or a folder")
        self.path = path
        self._file = ArrayFile(path)
        labels = self._labels("train")
        self.classes = self._classes(labels)
        self._train_labels = labels.astype(np.int32)

    @functools.cached_property
    def train(self) -> ArraySplit:
        """Training images."""
        return ArraySplit(self._train_labels, lambda: self._images("train"))

    @functools.cached_property
    def test(self) -> ArraySplit | None:
        """Test images; None if the file has none."""
        if not {self._key("test_images"), self._key("test_labels")} & {*self._file.names}:
            return None
        labels = self._labels("test")
        self._check_range("test_labels", labels, len(self.classes))
        return ArraySplit(labels.astype(np.int32), lambda: self._images("test"))

    def describe(self) -> str:
        """Return the line that says what was found."""
        shape = self._image_shape("train")
        read = {self._key("train_images"), self._key("train_labels"), "classes"}
        others = [printable(name) for name in self._file.names if name not in read]
        left_out = Counter({f"array of other names or splits ({shortened(others)})": len(others)})
        return description(
            len(self._train_labels),
            self.classes,
            [(shape[1], shape[2])],
            left_out if others else Counter(),
        )

    def digest(self) -> str:
        """Return a digest of training images, labels and class names."""
        return array_digest(self.classes, self.train.pixels, self.train.labels)

    def _key(self, name: str) -> str:
        """Return the key that the file has for an array; the project's own one if it has none."""
        keys = [key for key in (name, KEYS[name]) if key in self._file.names]
        if len(keys) > 1:
            raise UsageError(
                f"data: {self.path} has {' and '.join(keys)}; accepted: one of the two"
            )
        return keys[0] if keys else name

    def _required_key(self, name: str) -> str:
        key = self._key(name)
        if key not in self._file.names:
            names = shortened(self._file.names) or "nothing"
            raise UsageError(f"data: {self.path} has {names}; accepted: {ACCEPTED}")
        return key

    def _labels(self, split: str) -> np.ndarray:
        """Return the labels of a split as they are in the file, integers [N]."""
        key = self._required_key(f"{split}_labels")
        header = self._file.header(key)
        shape = self._image_shape(split)
        one_each = header.shape in ((shape[0],), (shape[0], 1))
        if header.dtype.kind not in "iu" or not one_each:
            hint = ""
            if len(header.shape) == 2 and header.shape[1] > 1:
                hint = "; one-hot labels become integers by labels.argmax(1)"
            raise UsageError(
                f"data: {self.path}: {key} is {header}; accepted: integers from 0, "
                f"[{shape[0]}] or [{shape[0]}, 1]{hint}"
            )
        return self._file.read(key).reshape(-1)

    def _classes(self, labels: np.ndarray) -> tuple[str, ...]:
        """Return the names of all classes, and check that the training labels are among them."""
        if "classes" not in self._file.names:
            unique = np.unique(labels)
            if not np.array_equal(unique, np.arange(len(unique))):
                raise UsageError(
                    f"data: {self.path}: {self._key('train_labels')} has the {len(unique):,} "
                    f"labels {shortened(unique)}; accepted: each of 0 to {len(unique) - 1}, or "
                    "classes with the name of each label"
                )
            names = tuple(map(str, range(len(unique))))
        else:
            header = self._file.header("classes")
            if len(header.shape) != 1 or header.dtype.kind not in "USiu":
                raise UsageError(
                    f"data: {self.path}: classes is {header}; accepted: the name of each class, "
                    "text or integers [K]"
                )
            names = tuple(
                name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
                for name in self._file.read("classes").tolist()
            )
            self._check_range("train_labels", labels, len(names))
            if len({*names}) < len(names):
                raise UsageError(
                    f"data: {self.path}: classes has the same name twice ({shortened(names)}); "
                    "accepted: one name for each class"
                )
        if len(names) < 2:
            raise UsageError(f"data: {self.path} has 1 class; accepted: 2 or more")
        return names

    def _check_range(self, name: str, labels: np.ndarray, classes: int) -> None:
        if labels.min() < 0 or labels.max() >= classes:
            raise UsageError(
                f"data: {self.path}: {self._key(name)} has labels from {labels.min()} to "
                f"{labels.max()}; accepted: 0 to {classes - 1}, those of the {classes} classes"
            )

    def _image_shape(self, split: str) -> tuple[int, ...]:
        """Return the shape of the images of a split, [N, H, W] or [N, H, W, C]."""
        key = self._required_key(f"{split}_images")
        header = self._file.header(key)
        shape = header.shape
        grey_or_rgb = len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3))
        if header.dtype != np.uint8 or not grey_or_rgb or 0 in shape:
            hint = ""
            if len(shape) == 4 and not grey_or_rgb and shape[1] in (1, 3):
                hint = "; channels go last, by images.transpose(0, 2, 3, 1)"
            elif header.dtype.kind == "f":
                hint = "; values from 0 to 1 become uint8 by (images * 255).round().astype('uint8')"
            raise UsageError(
                f"data: {self.path}: {key} is {header}; "
                f"accepted: uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]{hint}"
            )
        return shape

    def _images(self, split: str) -> np.ndarray:
        """Return all images of a split as they are in the file."""
        key = self._required_key(f"{split}_images")
        self._image_shape(split)
        require_memory(f"{self.path}: {key}", self._file.header(key).nbytes)
        return self._file.read(key)
