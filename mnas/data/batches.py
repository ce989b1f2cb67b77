"""Images on the device, and batches of them for training, calibration and evaluation."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError

Augmentation = tuple[np.ndarray, np.ndarray]
"""Mirrored, bool [B], and shift, int [B, 2] of 0 to 2 · padding pixels (rows, columns)."""


def check_images(architecture: Architecture, images: np.ndarray, labels: np.ndarray) -> None:
    """Check that a network can be trained on images and labels.

    Raises ValueError for wrong shapes or types, UsageError for labels beyond the network's classes.
    """
    resolution = architecture.resolution
    expected = (resolution, resolution, 3)
    if images.dtype != np.uint8 or images.shape[1:] != expected or not len(images):
        raise ValueError(
            f"images: {images.dtype} {list(images.shape)}; "
            f"accepted: uint8 [N, {resolution}, {resolution}, 3] with N of at least 1"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels: {labels.dtype} {list(labels.shape)}; accepted: integers [{len(images)}]"
        )
    if labels.min() < 0 or labels.max() >= architecture.classes:
        raise UsageError(
            f"labels: {labels.min()} to {labels.max()}; accepted: 0 to {architecture.classes - 1}"
        )


def pixel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel, float32 [3]; the latter at least 1."""
    # From the histogram of each channel: exact, and faster than sums over all pixels.
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    fractions, values = np.array(counts) / images[..., 0].size, np.arange(256)
    mean = fractions @ values
    variance = (fractions * (values - mean[:, None]) ** 2).sum(1)
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class DeviceImages:
    """Images on the device with the statistics that normalise them.

    images      uint8 [N, R, R, 3]
    labels      int32 [N]
    mean, std   [3], on the scale of 0 to 255
    """

    images: jax.Array
    labels: jax.Array
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(
        cls, images: np.ndarray, labels: np.ndarray, mean: np.ndarray, std: np.ndarray
    ) -> "DeviceImages":
        """Copy images [N, R, R, 3] and labels [N] to the device."""
        on_device = jax.device_put((images, labels.astype(np.int32)))
        return cls(on_device[0], on_device[1], mean, std)

    def batch(
        self, indices: np.ndarray, augmentation: Augmentation | None = None, padding: int = 0
    ) -> tuple[jax.Array, jax.Array]:
        """Return normalised images [B, R, R, 3] and labels [B] at `indices` [B].

        Shifted images are filled up with the mean colour, 0. `padding` is the maximum shift.
        """
        return _load_batch(
            self.images, self.labels, self.mean, self.std, indices, augmentation, padding
        )


@functools.partial(jax.jit, static_argnums=6)
def _load_batch(images, labels, mean, std, indices, augmentation, padding):
    if augmentation is None:
        batch = images[indices].astype(jnp.float32)
        return (batch - mean) / std, labels[indices]
    mirrored, shift = augmentation
    size = images.shape[1]
    rows = jnp.arange(size) + shift[:, :1] - padding
    columns = jnp.arange(size) + shift[:, 1:] - padding
    columns = jnp.where(mirrored[:, None], columns[:, ::-1], columns)
    rows_inside, columns_inside = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
    inside = rows_inside[:, :, None] & columns_inside[:, None]
    pixels = images[
        indices[:, None, None],
        jnp.clip(rows, 0, size - 1)[:, :, None],
        jnp.clip(columns, 0, size - 1)[:, None],
    ]
    batch = (pixels.astype(jnp.float32) - mean) / std
    return jnp.where(inside[..., None], batch, 0), labels[indices]


def epoch_batches(
    data: DeviceImages, batch_size: int, seed: int, epoch: int, *, flip: bool, padding: int
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yield the complete batches of an epoch, in an order drawn from the seed and the epoch.

    With `flip`, images are mirrored with probability 1/2; all are shifted by up to `padding` pixels
    in each direction.
    """
    count = len(data.images)
    order = np.random.default_rng([seed, *b"order", epoch]).permutation(count).astype(np.int32)
    rng = np.random.default_rng([seed, *b"augment", epoch])
    for first in range(0, count - batch_size + 1, batch_size):
        augmentation = None
        if flip or padding:
            mirrored = rng.integers(0, 2, batch_size, np.int8) * flip > 0
            augmentation = mirrored, rng.integers(0, 2 * padding + 1, (batch_size, 2), np.int32)
        yield data.batch(order[first : first + batch_size], augmentation, padding)


def calibration_batches(
    data: DeviceImages, batch_size: int, seed: int, max_batches: int
) -> Iterator[jax.Array]:
    """Yield up to `max_batches` complete batches without augmentation, equal for equal seeds."""
    order = np.random.default_rng([seed, *b"calibrate"]).permutation(len(data.images))
    count = min(max_batches, len(order) // batch_size)
    for indices in order[: count * batch_size].astype(np.int32).reshape(count, batch_size):
        yield data.batch(indices)[0]
