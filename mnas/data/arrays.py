"""Images of `.npz` files, with the key names of this project and MedMNIST, or of Keras.

    train_images, x_train    uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]
    train_labels, y_train    integers [N] or [N, 1], 0 to K - 1
    test_images, x_test, test_labels, y_test    the same, optional
    classes                  names [K], text or integers, optional

Channels first, float images from 0 to 1, one-hot labels and labels from 1 are converted by the
rules of `mnas.data.conversion`, and named in the description. Without `classes`, every label occurs
in the training set; labels with gaps are rejected rather than counted as classes of no image. The
test set has labels of the same form. Arrays of other names are not read.
"""

import contextlib
import functools
from collections import Counter
from pathlib import Path

import numpy as np

from mnas.data.conversion import (
    LEAST_MAXIMUM,
    converted_images,
    image_form,
    labels_from_zero,
    one_hot_indices,
    require_range,
)
from mnas.data.memory import ArraySplit
from mnas.data.source import array_digest, description, require_memory, shortened, test_note
from mnas.errors import UsageError, printable
from mnas.files import ArrayFile

KEYS = {
    "train_images": "x_train",
    "train_labels": "y_train",
    "test_images": "x_test",
    "test_labels": "y_test",
}
ACCEPTED_KEYS = (
    "train_images and train_labels (or x_train and y_train), optionally test_images with "
    "test_labels, and classes"
)


class ArraySource:
    """Data set in a `.npz` file (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = ArrayFile(path)
        labels = self._labels("train")
        name = self._name("train_labels")
        self._train_labels = labels_from_zero(labels, self._class_names(), name)
        self.classes = self._train_labels.classes

    @functools.cached_property
    def train(self) -> ArraySplit:
        """Training images."""
        return ArraySplit(self._train_labels.values, lambda: self._images("train"))

    @functools.cached_property
    def test(self) -> ArraySplit | None:
        """Test images; None if the file has none with labels."""
        if self._key("test_labels") not in self._file.names:
            return None
        labels, first = self._labels("test"), self._train_labels.first
        columns, needed = self._columns("test"), self._columns("train")
        if columns != needed:
            form = "integers" if needed is None else f"one-hot labels of {needed} classes"
            raise UsageError(
                f"data: {self._name('test_labels')} has another form than the training labels; "
                f"accepted: {form}"
            )
        require_range(labels, first, len(self.classes), self._name("test_labels"))
        return ArraySplit(
            (labels - labels.dtype.type(first)).astype(np.int32), lambda: self._images("test")
        )

    def describe(self) -> str:
        """Return the line that says what was found and converted."""
        header = self._file.header(self._key("train_images"))
        form = image_form(header, self._name("train_images"))
        notes = form.notes(header.dtype)
        if self._columns("train") is not None:
            notes.append("one-hot labels")
        elif self._train_labels.first:
            notes.append("labels from 1")
        read = {*KEYS, *KEYS.values(), "classes"}  # also where the test set is there twice
        others = [printable(name) for name in self._file.names if name not in read]
        left_out = Counter({f"array of other names ({shortened(others)})": len(others)})
        left_out += self._unlabelled()
        return description(
            len(self._train_labels.values),
            self.classes,
            [form.size],
            left_out,
            [*notes, *test_note(self)],
        )

    def _unlabelled(self) -> Counter[str]:
        """Return what is left out because it has no labels."""
        with contextlib.suppress(UsageError):  # the note about the test set says so
            images, labels = self._key("test_images"), self._key("test_labels")
            if images in self._file.names and labels not in self._file.names:
                return Counter({f"array of images without labels ({images})": 1})
        return Counter()

    def digest(self) -> str:
        """Return a digest of training images, labels and class names, as converted."""
        return array_digest(self.classes, self.train.pixels, self.train.labels)

    def _name(self, name: str) -> str:
        """Return the name of an array in messages."""
        return f"{self.path}: {self._key(name)}"

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
            raise UsageError(f"data: {self.path} has {names}; accepted: {ACCEPTED_KEYS}")
        return key

    def _columns(self, split: str) -> int | None:
        """Return the number of columns of one-hot labels; None of integers."""
        shape = self._file.header(self._key(f"{split}_labels")).shape
        return shape[1] if len(shape) == 2 and shape[1] > 1 else None

    def _labels(self, split: str) -> np.ndarray:
        """Return the labels of a split, integers [N]; of one-hot labels, from 0."""
        key = self._required_key(f"{split}_labels")
        header = self._file.header(key)
        images = self._file.header(self._required_key(f"{split}_images"))
        image_form(images, self._name(f"{split}_images"))
        count = images.shape[0]
        name = self._name(f"{split}_labels")
        one_hot = self._columns(split) is not None and header.shape[0] == count
        if one_hot and header.dtype.kind in "biuf":
            return one_hot_indices(self._file.read(key), name)
        if header.dtype.kind not in "iu" or header.shape not in ((count,), (count, 1)):
            raise UsageError(
                f"data: {name} is {header}; accepted: integers from 0, [{count}] or [{count}, 1], "
                f"or one-hot labels [{count}, K]"
            )
        return self._file.read(key).reshape(-1)

    def _class_names(self) -> tuple[str, ...] | None:
        """Return the names of all classes; None if there are none."""
        columns = self._columns("train")
        if "classes" not in self._file.names:
            return None if columns is None else tuple(map(str, range(columns)))
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
        if len({*names}) < len(names):
            raise UsageError(
                f"data: {self.path}: classes has the same name twice ({shortened(names)}); "
                "accepted: one name for each class"
            )
        if columns is not None and columns != len(names):
            raise UsageError(
                f"data: {self.path}: classes has {len(names)} names; accepted: {columns}, one for "
                "each column of the labels"
            )
        return names

    def _images(self, split: str) -> np.ndarray:
        """Return all images of a split, uint8 with channels last."""
        key = self._required_key(f"{split}_images")
        header, name = self._file.header(key), self._name(f"{split}_images")
        form = image_form(header, name)
        floats = header.nbytes // header.dtype.itemsize if form.is_float else 0
        require_memory(name, header.nbytes + floats)
        least = LEAST_MAXIMUM if split == "train" else 0
        return converted_images(self._file.read(key), form, name, least)
