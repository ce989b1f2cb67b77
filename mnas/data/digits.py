"""The embedded data set: UCI's handwritten digits as shipped with scikit-learn."""

from collections import Counter

import numpy as np

from mnas.data.pixels import resized
from mnas.data.source import Labelled, description

# The digits are ordered by their 13 writers; the last 297 are the test set, nearly all of them by
# writers who do not occur in the rest.
TRAINING = 1500


class DigitsSource:
    """1,797 digits of 8×8 pixels, grey, 0 to 16 (`mnas.data.source.Source`)."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits  # takes a second to import

        digits = load_digits()
        grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
        self._images = np.ascontiguousarray(np.broadcast_to(grey[..., None], (*grey.shape, 3)))
        self._labels = digits.target.astype(np.int32)
        self.labels = self._labels[:TRAINING]
        self.classes = tuple(map(str, digits.target_names))

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the training images at `indices` [M], uint8 RGB [M, R, R, 3]."""
        return resized(self._images[indices], resolution)

    def test(self, resolution: int) -> Labelled:
        """Return the test set at resolution R."""
        return resized(self._images[TRAINING:], resolution), self._labels[TRAINING:]

    def describe(self) -> str:
        """Return the line that says what was found."""
        return description(len(self.labels), self.classes, [self._images.shape[1:3]], Counter())

    def digest(self) -> str:
        """Return the name of the set, which never changes."""
        return "digits"
