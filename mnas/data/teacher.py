"""Class probabilities of a teacher in place of labels (distillation, arXiv 1503.02531).

A file has the probabilities of all training images of a source, computed once, by `mnas evaluate
--predictions`; nothing of the teacher itself is needed in a search. `.npz`:

    probabilities  float32 [N, K], of the N training images of the source, in its order
    source         digest of the source (`Source.digest`), text
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

import jax
import numpy as np

from mnas.data.feeds import Feed
from mnas.data.images import Images
from mnas.data.streaming import BatchOrder
from mnas.errors import UsageError
from mnas.files import ArrayFile, write_arrays

ARRAYS = ("probabilities", "source")
# By how much a row's sum may differ from 1: rounding of thousands of float32 values.
TOLERANCE = 1e-3


class Teacher:
    """Probabilities of a file.

    path           of the file
    probabilities  float32 [N, K]
    source         digest of the source whose training images they are of
    """

    def __init__(self, path: Path, probabilities: np.ndarray, source: str) -> None:
        self.path, self.probabilities, self.source = path, probabilities, source

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the probabilities of a file. Raises UsageError, which names it, for any other."""
        file = ArrayFile(path)
        if set(file.names) != set(ARRAYS):
            raise cls._malformed(path, f"arrays {', '.join(sorted(file.names)) or 'none'}")
        headers = {name: file.header(name) for name in ARRAYS}
        values, source = headers["probabilities"], headers["source"]
        if values.dtype != np.float32 or len(values.shape) != 2 or not values.nbytes:
            raise cls._malformed(path, f"probabilities of {values}")
        if source.dtype.kind != "U" or source.shape:
            raise cls._malformed(path, f"source of {source}")
        probabilities = file.read("probabilities")
        # Comparisons with NaN are false.
        if not (probabilities.min() >= 0 and (abs(probabilities.sum(1) - 1) < TOLERANCE).all()):
            raise cls._malformed(path, "rows that are no probabilities: not of sum 1, or negative")
        return cls(path, probabilities, str(file.read("source")))

    @staticmethod
    def _malformed(path: Path, found: str) -> UsageError:
        return UsageError(
            f"{path} has {found}; accepted: class probabilities as of mnas evaluate --predictions"
        )

    def write(self) -> None:
        """Write the file. Raises OSError where it can't be written."""
        arrays = {"probabilities": self.probabilities, "source": np.array(self.source)}
        write_arrays(self.path, arrays)

    def require_images(self, images: Images) -> None:
        """Raise UsageError where the probabilities are of other images or classes."""
        shape = len(images.source.train.labels), len(images.classes)
        if self.source != images.source.digest() or self.probabilities.shape != shape:
            count, classes = self.probabilities.shape
            raise UsageError(
                f"{self.path} has probabilities of {count:,} images in {classes} classes, which "
                "are of another source; accepted: those of the same training images "
                "(mnas evaluate --predictions)"
            )

    def feed(self, feed: Feed, images: Images) -> "TaughtFeed":
        """Return the feed of the training images with these probabilities in place of labels.

        Raises UsageError as `require_images`.
        """
        self.require_images(images)
        return TaughtFeed(feed, self.probabilities[images.train.positions])


class TaughtFeed:
    """Feed whose batches have class probabilities in place of labels.

    `labels` are those of the images.
    """

    def __init__(self, feed: Feed, probabilities: np.ndarray) -> None:
        """Take the probabilities of the feed's images, float32 [N, K], in their order."""
        self._feed, self._probabilities = feed, probabilities
        self.labels, self.resolution = feed.labels, feed.resolution
        self.mean, self.std = feed.mean, feed.std

    def __len__(self) -> int:
        return len(self._feed)

    def batches(self, order: BatchOrder, first: int = 0) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield images uint8 [B, R, R, 3] and probabilities float32 [B, K] from `first` on."""
        for number, (images, _) in enumerate(self._feed.batches(order, first), start=first):
            yield images, jax.device_put(self._probabilities[order.positions(number)])

    def stop(self) -> None:
        """Stop reading ahead. Batches can be asked for again."""
        self._feed.stop()
