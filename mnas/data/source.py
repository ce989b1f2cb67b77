"""The contracts of a data set's source and its splits; the line that says what was found in it."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from mnas.errors import UsageError, printable
from mnas.runtime.machine import available_bytes

ACCEPTED = (
    "digits, a .npz file, a folder of images, CIFAR's binary or MNIST's idx files, a pack, or "
    "hf:NAME"
)


class Split(Protocol):
    """Labelled images of one split.

    labels  int32 [N], 0 to K - 1
    """

    labels: np.ndarray

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the images at `indices` [M], in that order, uint8 RGB [M, R, R, 3].

        Raises UsageError where one can't be read.
        """
        ...


class Source(Protocol):
    """Training images with labels, and a test set that is opened when it is asked for.

    classes  names of the K classes, in order of the labels

    `train` and `test` are opened at the first access, which raises UsageError where the split is
    malformed; `test` is None if there is none. A malformed test set spoils nothing else.
    """

    classes: tuple[str, ...]

    @property
    def train(self) -> Split:
        """Training images."""
        ...

    @property
    def test(self) -> Split | None:
        """Test images; their labels are those of the training set's classes."""
        ...

    def describe(self) -> str:
        """Return one line: images, classes, smallest and largest size, and what was left out."""
        ...

    def digest(self) -> str:
        """Return a digest of training images, labels and class names, whatever their path."""
        ...


def description(
    count: int,
    classes: Sequence[str],
    sizes: Sequence[tuple[int, int]],
    left_out: Counter[str],
    notes: Sequence[str] = (),
) -> str:
    """Return the line that says what was found.

    sizes     (height, width) of the images
    left_out  number of left-out things by kind: a suffix (".txt", or "" for none), or a noun
    """
    small, large = (
        f"{height}×{width}"
        for height, width in (
            pick(sizes, key=lambda size: size[0] * size[1]) for pick in (min, max)
        )
    )
    parts = [
        f"{counted(count, 'image')}, {counted(len(classes), 'class')} ({shortened(classes)})",
        small if small == large else f"{small} to {large}",
        *notes,
    ]
    line = ", ".join(parts)
    return f"{line}; left out: {_kinds(left_out)}" if left_out else line


def test_note(source: Source) -> list[str]:
    """Return the note of `description` about the test set; none where there is none.

    A malformed test set is named: it matters to nothing but the test.
    """
    try:
        test = source.test
    except UsageError as error:
        return [f"unusable test set ({str(error).removeprefix('data: ')})"]
    return [] if test is None else [counted(len(test.labels), "test image")]


def shortened(names: Sequence[object] | np.ndarray, most: int = 10) -> str:
    """Return names separated by commas, the middle of a long list as "..."."""
    shown = [*names] if len(names) <= most else [*names[: most // 2], "...", names[-1]]
    return ", ".join(printable(str(name)) for name in shown)


def counted(count: int, noun: str) -> str:
    """Return "1 image", "2 images", "2 classes", "2 folders without images"."""
    noun, *rest = re.split(r"(?= (?:of|to|without) )", noun, maxsplit=1)
    if count != 1:
        noun += "es" if noun.endswith("s") else "s"
    return "".join([f"{count:,} {noun}", *rest])


def _kinds(left_out: Counter[str]) -> str:
    """Return "3 files (2 .txt, 1 .csv), 1 hidden folder"."""
    suffixes = {kind: n for kind, n in left_out.items() if kind.startswith(".") or not kind}
    others = [counted(n, kind) for kind, n in sorted(left_out.items()) if kind not in suffixes]
    if not suffixes:
        return ", ".join(others)
    total = counted(sum(suffixes.values()), "file")
    common = Counter(suffixes).most_common(5)
    named = [f"{n} {printable(kind) or 'without suffix'}" for kind, n in common]
    if len(suffixes) == 1:
        named = [printable(kind) or "without suffix" for kind, _ in common]
    more = ["..."] if len(suffixes) > len(common) else []
    return ", ".join([f"{total} ({', '.join([*named, *more])})", *others])


def array_digest(classes: Sequence[str], *arrays: np.ndarray) -> str:
    """Return the SHA-256 of class names and arrays, whatever their memory order."""
    digest = hashlib.sha256(json.dumps([*classes]).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def require_memory(what: str, nbytes: int) -> None:
    """Raise UsageError if `nbytes` bytes for `what` are more than this machine has available."""
    available = available_bytes()
    if nbytes > available:
        raise UsageError(
            f"data: {what} need {nbytes / 1e6:,.0f} MB of memory, and {available / 1e6:,.0f} MB "
            "are available; accepted: fewer images (train_images), or a lower resolution"
        )
