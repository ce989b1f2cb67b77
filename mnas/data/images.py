"""Data sets at one resolution, and their training and validation split.

Nothing is read before images are asked for (`Subset.take`). Normalisation and augmentation happen
on the device (`mnas.data.batches`).
"""

import dataclasses
import functools
import hashlib
import json
from typing import Any, Literal, Self

import numpy as np

from mnas.data.memory import ArraySplit
from mnas.data.source import ACCEPTED, Source, Split, require_memory
from mnas.data.sources import EMBEDDED, absolute_source, open_source
from mnas.errors import UsageError, is_number, rejected, require_one_of, require_whole

FEEDING = ("auto", "device", "stream")
# Metadata of a setting that results don't depend on (`mnas.evaluation`).
NOT_IDENTIFYING = {"identifying": False}
# Images that are read at once where all are read.
CHUNK_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Data set, and its training and validation split."""

    source: str = EMBEDDED
    """Data set: 'digits' (embedded: scikit-learn's 1,797 handwritten digits), a .npz file, a folder
    of class folders, CIFAR's binary archive, a folder of MNIST's idx files, or hf:NAME of Hugging
    Face. Paths become absolute."""
    validation: float = 0.2
    """Images held out of the training set to compute the reward: a fraction, or a number."""
    train_images: int | None = None
    """Maximum number of training images; all by default."""
    split_seed: int = 0
    """Seed of the split, shared by all children of a search."""
    feeding: Literal["auto", "device", "stream"] = dataclasses.field(
        default="auto", metadata=NOT_IDENTIFYING
    )
    """Where images are kept: 'device', all on the device; 'stream', read batch by batch, ahead;
    'auto', on the device if they fit. Results don't depend on it."""
    readers: int = dataclasses.field(default=0, metadata=NOT_IDENTIFYING)
    """Processes that read images where they are streamed; 0: threads of the training process."""

    def __post_init__(self) -> None:
        held_out = self.validation
        if not is_number(held_out) or not held_out > 0 or (held_out >= 1 and held_out % 1):
            accepted = "a fraction between 0 and 1, or a whole number of images"
            raise rejected("data", "validation", held_out, accepted)
        if self.train_images is not None:
            require_whole("data", "train_images", self.train_images)
        require_whole("data", "split_seed", self.split_seed, least=0)
        require_one_of("data", "feeding", self.feeding, FEEDING)
        require_whole("data", "readers", self.readers, least=0, most=1_000)
        if not isinstance(self.source, str) or not self.source or "\0" in self.source:
            raise rejected("data", "source", self.source, ACCEPTED)
        # So that a run can be resumed from any directory.
        object.__setattr__(self, "source", absolute_source(self.source))


@dataclasses.dataclass(frozen=True, eq=False)
class Subset:
    """Images of a split, by their positions in it, at one resolution R.

    split       where they are read from, when they are asked for
    positions   int [N]
    origin      name of the source and attribute of the split, by which another process opens it;
                None if its images are in memory, and travel with it
    """

    split: Split
    positions: np.ndarray
    resolution: int
    origin: tuple[str, str] | None = None

    @classmethod
    def of(cls, images: np.ndarray, labels: np.ndarray) -> Self:
        """Return a subset of all images of an array, uint8 [N, R, R, 3], with labels [N].

        Raises ValueError for another shape or type.
        """
        square = images.ndim == 4 and images.shape[1] == images.shape[2] and images.shape[3] == 3
        if images.dtype != np.uint8 or not square or not len(images):
            raise ValueError(
                f"images: {images.dtype} {list(images.shape)}; "
                "accepted: uint8 [N, R, R, 3] with N of at least 1"
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(
                f"labels: {labels.dtype} {list(labels.shape)}; accepted: integers [{len(images)}]"
            )
        split = ArraySplit(labels.astype(np.int32), lambda: images)
        return cls(split, np.arange(len(images)), images.shape[1])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.positions)

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """Labels of the images, int32 [N]."""
        return self.split.labels[self.positions]

    @property
    def nbytes(self) -> int:
        """Size of all images, bytes."""
        return len(self) * self.resolution**2 * 3

    def take(self, positions: np.ndarray) -> np.ndarray:
        """Return the images at `positions` [M] among these, uint8 RGB [M, R, R, 3].

        Raises UsageError where one can't be read.
        """
        return self.split.images(self.positions[positions], self.resolution)

    def parts(self) -> list[np.ndarray]:
        """Return the positions of all images in parts of some megabytes."""
        size = max(1, CHUNK_BYTES // (self.resolution**2 * 3))
        return np.split(np.arange(len(self)), range(size, len(self), size))

    def read(self) -> np.ndarray:
        """Return all images, uint8 RGB [N, R, R, 3].

        Raises UsageError if they exceed the memory, or one can't be read.
        """
        what = f"{len(self):,} images of {self.resolution} × {self.resolution} pixels"
        require_memory(what, self.nbytes)
        images = np.empty((len(self), self.resolution, self.resolution, 3), np.uint8)
        for part in self.parts():
            images[part] = self.take(part)
        return images

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: the split itself only where it has no origin."""
        split = self.split if self.origin is None else None
        return {**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, "split": split}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state["origin"] is not None:
            state = {**state, "split": _opened(*state["origin"])}
        self.__dict__.update(state)


@functools.lru_cache(maxsize=4)
def _opened(source: str, split: str) -> Split:
    """Return a split of a source, opened once for a process that was sent subsets of it."""
    return getattr(open_source(source), split)


@dataclasses.dataclass(frozen=True)
class Images:
    """Data set at one resolution.

    `test` is None if the source has no test set or it was not asked for; a search never uses it.
    `classes` are the names of the classes, in order of the labels.
    """

    train: Subset
    validation: Subset
    test: Subset | None
    classes: tuple[str, ...]
    source: Source

    def digest(self) -> str:
        """Return a digest of the source's content and of the split, whatever the source's path."""
        digest = hashlib.sha256(json.dumps([self.source.digest(), [*self.classes]]).encode())
        for subset in (self.train, self.validation):
            digest.update(f"{subset.resolution} {len(subset)}".encode())
            digest.update(subset.positions.astype("<i8").tobytes())
        return digest.hexdigest()


def validation_count(config: DataConfig, total: int) -> int:
    """Return how many of `total` training images are held out for validation."""
    held_out = config.validation
    return int(held_out) if held_out >= 1 else round(held_out * total)


def load(config: DataConfig, resolution: int, *, test: bool = False) -> Images:
    """Open the images of `config`, to be resized to `resolution` × `resolution` pixels.

    Validation images come from the training set, never from the test set, which is opened only if
    `test` is set. Raises UsageError for missing or malformed data.
    """
    source = open_source(config.source)
    total = len(source.train.labels)
    order = np.random.default_rng(config.split_seed).permutation(total)
    count = validation_count(config, total)
    if not 0 < count < total:
        raise UsageError(
            f"data: validation = {config.validation} of {total} training images leaves "
            f"{total - count} to train on; accepted: at least one image in each split"
        )
    validation, train = order[:count], order[count:][: config.train_images]
    test_split = source.test if test else None
    return Images(
        train=Subset(source.train, train, resolution, (config.source, "train")),
        validation=Subset(source.train, validation, resolution, (config.source, "train")),
        test=None
        if test_split is None
        else Subset(
            test_split, np.arange(len(test_split.labels)), resolution, (config.source, "test")
        ),
        classes=source.classes,
        source=source,
    )
