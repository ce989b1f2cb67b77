"""Arrays of other forms as uint8 images with channels last and labels from 0.

A form is converted where it can be read in one way only, and `mnas.data.source.description` says
so; all others are rejected:

    images [N, C, H, W], C of 1 or 3    channels moved last; rejected where W is 1 or 3, too
    float images from 0 to 1            round(value · 255); rejected where a value lies outside, is
                                        NaN, or the largest training value is below 0.5: the images
                                        were divided by 255 twice
    labels [N, K], K of 2 or more       one-hot: the index of the 1; rejected where a row is
                                        anything but one 1 and zeros
    labels from 1 to K, each occurring  minus 1, with the numbers 1 to K as names where there are
                                        no others; with K names, labels from 1 to K as well where
                                        the largest is K, which no label from 0 can be
"""

from typing import NamedTuple

import numpy as np

from mnas.data.source import shortened
from mnas.errors import UsageError
from mnas.files import ArrayHeader

ACCEPTED_IMAGES = (
    "uint8, or float from 0 to 1: [N, H, W], or [N, H, W, C] or [N, C, H, W] of 1 or 3 channels"
)
# Below, images are not from black to white, but scaled by mistake.
LEAST_MAXIMUM = 0.5
CHUNK = 1024  # images


class ImageForm(NamedTuple):
    """Form of images in a file: (height, width), memory order of channels, kind of number."""

    size: tuple[int, int]
    channels_first: bool
    is_float: bool

    def notes(self, dtype: np.dtype) -> list[str]:
        """Return the parts of a description that say what is converted."""
        notes = [f"{dtype} from 0 to 1 scaled to 8 bits"] if self.is_float else []
        return [*notes, "channels moved last"] if self.channels_first else notes


def image_form(header: ArrayHeader, name: str) -> ImageForm:
    """Return the form of an array of images, from its header. Raises UsageError that has `name`."""
    shape, kind = header.shape, header.dtype.kind
    hint = ""
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] in (1, 3):
        hint = "; which of the two are the channels, can't be told"
    elif 0 not in shape and (header.dtype == np.uint8 or kind == "f"):
        if len(shape) == 3:
            return ImageForm((shape[1], shape[2]), False, kind == "f")
        if len(shape) == 4 and shape[3] in (1, 3):
            return ImageForm((shape[1], shape[2]), False, kind == "f")
        if len(shape) == 4 and shape[1] in (1, 3):
            return ImageForm((shape[2], shape[3]), True, kind == "f")
    raise UsageError(f"data: {name} is {header}; accepted: {ACCEPTED_IMAGES}{hint}")


def converted_images(
    images: np.ndarray, form: ImageForm, name: str, least_maximum: float
) -> np.ndarray:
    """Return images as uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]; UsageError by `name`.

    least_maximum  smallest accepted value of the largest float: LEAST_MAXIMUM of training images
    """
    if form.channels_first:
        images = images.transpose(0, 2, 3, 1)
    if not form.is_float:
        return images
    low, high = images.min(), images.max()  # NaN if there is one
    if not (low >= 0 and least_maximum <= high <= 1):
        hint = "; values from 0 to 255 become uint8 by images.round().astype('uint8')"
        raise UsageError(
            f"data: {name} is {images.dtype} from {low:g} to {high:g}; accepted: uint8, or float "
            f"from 0 to 1{hint if 1 < high <= 255 else ''}"
        )
    result = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), CHUNK):  # no second array of floats
        part = images[start : start + CHUNK].astype(np.float64)
        result[start : start + CHUNK] = np.round(part * 255)
    return result


class Labels(NamedTuple):
    """Training labels int32 [N] from 0 to K - 1.

    classes  names of the K classes
    first    smallest label of the file: 0, or 1
    """

    values: np.ndarray
    classes: tuple[str, ...]
    first: int


def one_hot_indices(labels: np.ndarray, name: str) -> np.ndarray:
    """Return the index of the 1 in each row of labels [N, K]. Raises UsageError by `name`."""
    ones = labels == 1
    if not (ones.sum(1) == 1).all() or not (ones | (labels == 0)).all():
        raise UsageError(
            f"data: {name} is {labels.dtype} {labels.shape} with rows that are not one 1 and "
            "zeros; accepted: integers [N], or one-hot labels [N, K]"
        )
    return ones.argmax(1)


def labels_from_zero(labels: np.ndarray, names: tuple[str, ...] | None, name: str) -> Labels:
    """Return the training labels of a file, integers [N] of 0 to K - 1 or 1 to K, from 0.

    names  of the K classes, where the file has them

    Raises UsageError, which has `name`, where labels are neither or there are fewer than 2 classes.
    """
    if names is None:
        unique = np.unique(labels)
        first = 1 if unique[0] == 1 else 0
        if not np.array_equal(unique, np.arange(first, first + len(unique))):
            raise UsageError(
                f"data: {name} has the {len(unique):,} labels {shortened(unique)}; accepted: each "
                f"of 0 to {len(unique) - 1} or 1 to {len(unique)}, or classes with the name of "
                "each label"
            )
        names = tuple(map(str, unique.tolist()))
    else:
        first = 1 if labels.min() == 1 and labels.max() == len(names) else 0
        require_range(labels, first, len(names), name)
    if len(names) < 2:
        raise UsageError(f"data: {name} has {len(names)} class; accepted: 2 or more")
    return Labels((labels - labels.dtype.type(first)).astype(np.int32), names, first)


def require_range(labels: np.ndarray, first: int, classes: int, name: str) -> None:
    """Raise UsageError, which has `name`, unless labels are `first` to `first + classes - 1`."""
    if labels.min() < first or labels.max() > first + classes - 1:
        raise UsageError(
            f"data: {name} has labels from {labels.min()} to {labels.max()}; accepted: {first} to "
            f"{first + classes - 1}, those of the {classes} classes"
        )
