"""Data sets at one resolution, and their training and validation split.

All images are RGB, uint8 [N, R, R, 3]. Normalisation and augmentation happen on the device
(`mnas.data.batches`).
"""

import dataclasses

import numpy as np

from mnas.data.source import array_digest, require_memory
from mnas.data.sources import EMBEDDED, absolute_source, open_source
from mnas.errors import UsageError, is_number, rejected, require_whole


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set, and its training and validation split."""

    source: str = EMBEDDED
    """Data set: 'digits' (embedded: scikit-learn's 1,797 handwritten digits), a .npz file, or a
    folder of class folders. Paths become absolute."""
    validation: float = 0.2
    """Images held out of the training set to compute the reward: a fraction, or a number."""
    train_images: int | None = None
    """Maximum number of training images; all by default."""
    split_seed: int = 0
    """Seed of the split, shared by all children of a search."""

    def __post_init__(self) -> None:
        held_out = self.validation
        if not is_number(held_out) or not held_out > 0 or (held_out >= 1 and held_out % 1):
            accepted = "a fraction between 0 and 1, or a whole number of images"
            raise rejected("data", "validation", held_out, accepted)
        if self.train_images is not None:
            require_whole("data", "train_images", self.train_images)
        require_whole("data", "split_seed", self.split_seed, least=0)
        if not isinstance(self.source, str) or not self.source or "\0" in self.source:
            raise rejected("data", "source", self.source, "digits, a .npz file or a folder")
        # So that a run can be resumed from any directory.
        object.__setattr__(self, "source", absolute_source(self.source))


@dataclasses.dataclass(frozen=True)
class Images:
    """Data set at one resolution R: images uint8 [N, R, R, 3], labels int32 [N].

    `test_images` and `test_labels` are None if the source has no test set or it was not asked for;
    a search never uses them. `classes` are the names of the classes, in order of the labels.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    validation_images: np.ndarray
    validation_labels: np.ndarray
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    classes: tuple[str, ...]

    def digest(self) -> str:
        """Return a digest of classes, training and validation images and labels, as loaded."""
        train, validation = self.train_labels, self.validation_labels
        return array_digest(
            self.classes, self.train_images, train, self.validation_images, validation
        )


def load(config: DataConfig, resolution: int, *, test: bool = False) -> Images:
    """Load the images of `config`, resized to `resolution` × `resolution` pixels.

    Validation images come from the training set, never from the test set, which is read only if
    `test` is set. Raises UsageError for missing or malformed data.
    """
    source = open_source(config.source)
    total = len(source.train.labels)
    order = np.random.default_rng(config.split_seed).permutation(total)
    held_out = config.validation
    count = int(held_out) if held_out >= 1 else round(held_out * total)
    if not 0 < count < total:
        raise UsageError(
            f"data: validation = {held_out} of {total} training images leaves "
            f"{total - count} to train on; accepted: at least one image in each split"
        )
    validation, train = order[:count], order[count:][: config.train_images]
    number = len(validation) + len(train)
    require_memory(
        f"{number:,} images of {resolution} × {resolution} pixels", number * resolution**2 * 3
    )
    test_split = source.test if test else None
    test_images = test_labels = None
    if test_split is not None:
        test_labels = test_split.labels
        test_images = test_split.images(np.arange(len(test_labels)), resolution)
    return Images(
        train_images=source.train.images(train, resolution),
        train_labels=source.train.labels[train],
        validation_images=source.train.images(validation, resolution),
        validation_labels=source.train.labels[validation],
        test_images=test_images,
        test_labels=test_labels,
        classes=source.classes,
    )
