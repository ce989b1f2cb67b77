"""The embedded data set: UCI's handwritten digits as shipped with scikit-learn."""

from collections import Counter

import numpy as np

from mnas.data.memory import ArraySplit
from mnas.data.source import description, test_note

# The digits are ordered by their 13 writers; the last 297 are the test set, nearly all of them by
# writers who do not occur in the rest.
TRAINING = 1500


class DigitsSource:
    """1,797 digits of 8×8 pixels, grey, 0 to 16 (`mnas.data.source.Source`)."""

    def __init__(self) -> None:
        from sklearn.datasets import load_digits  # takes a second to import

        digits = load_digits()
        grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
        labels = digits.target.astype(np.int32)
        self.train = ArraySplit(labels[:TRAINING], lambda: grey[:TRAINING])
        self.test = ArraySplit(labels[TRAINING:], lambda: grey[TRAINING:])
        self.classes = tuple(map(str, digits.target_names))

    def describe(self) -> str:
        """Return the line that says what was found."""
        sizes = [self.train.pixels.shape[1:]]
        return description(len(self.train.labels), self.classes, sizes, Counter(), test_note(self))

    def digest(self) -> str:
        """Return the name of the set, which never changes."""
        return "digits"
