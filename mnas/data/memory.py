"""Splits whose images are one array in memory."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from mnas.data.pixels import resized


class ArraySplit:
    """Images of one size in one array (`mnas.data.source.Split`)."""

    def __init__(self, labels: np.ndarray, read: Callable[[], np.ndarray]) -> None:
        """Take the labels, int32 [N], and a function that reads the pixels.

        The pixels are uint8 [N, H, W], [N, H, W, 1] or [N, H, W, 3]; they are read once, when the
        first images are asked for.
        """
        self.labels = labels
        self._read = read

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """All images as they were read."""
        return self._read()

    def __getstate__(self) -> dict[str, Any]:
        """Return labels and pixels; a function that reads them can't be sent to a process."""
        return {"labels": self.labels, "pixels": self.pixels}

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the images at `indices` [M], uint8 RGB [M, R, R, 3]."""
        return resized(_as_rgb(self.pixels[indices]), resolution)


def _as_rgb(images: np.ndarray) -> np.ndarray:
    """Return images [N, H, W], [N, H, W, 1] or [N, H, W, 3] as [N, H, W, 3]."""
    if images.ndim == 3:
        images = images[..., None]
    return np.ascontiguousarray(np.broadcast_to(images, (*images.shape[:3], 3)))
