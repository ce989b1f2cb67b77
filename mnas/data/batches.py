"""Images on the device, and the batches of them that a child is trained and calibrated on."""

import dataclasses
import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError


def check_images(architecture: Architecture, images: np.ndarray, labels: np.ndarray) -> None:
    """ValueError for images and labels that a network like this one can't be trained on."""
    side = architecture.resolution
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3) or not len(images):
        raise UsageError(
            f"images: {images.dtype} {list(images.shape)}; "
            f"accepted: uint8 [N, {side}, {side}, 3] with N of at least 1"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise UsageError(
            f"labels: {labels.dtype} {list(labels.shape)}; accepted: whole numbers [{len(images)}]"
        )
    if labels.min() < 0 or labels.max() >= architecture.classes:
        raise UsageError(
            f"labels: {labels.min()} to {labels.max()}; accepted: 0 to {architecture.classes - 1}"
        )


def pixel_statistics(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel, [3]; a deviation of 1 at least."""
    # From the histogram of each channel: exact, and faster than sums over so many bytes.
    counts = [np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)]
    shares, values = np.array(counts) / images[..., 0].size, np.arange(256)
    mean = shares @ values
    variance = (shares * (values - mean[:, None]) ** 2).sum(1)
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class DeviceImages:
    """Images [N, R, R, 3] and labels [N] on the device, and what to normalise them by, [3]."""

    images: jax.Array
    labels: jax.Array
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, images, labels, mean, std) -> "DeviceImages":
        return cls(*jax.device_put((images, labels.astype(np.int32))), mean, std)

    def batch(self, chosen: np.ndarray, augment=None, padding: int = 0):
        """Images and labels of the indices `chosen` [B]; see `_load_batch`."""
        return _load_batch(self.images, self.labels, self.mean, self.std, chosen, augment, padding)


@functools.partial(jax.jit, static_argnums=6)
def _load_batch(images, labels, mean, std, chosen, augment, padding):
    """Images [B, R, R, 3] and labels [B] of the indices `chosen` [B], normalised and augmented.

    augment is None or (mirrored [B], shift [B, 2] of 0 to 2 · padding pixels). What is shifted in
    is the mean colour, 0.
    """
    if augment is None:
        batch = images[chosen].astype(jnp.float32)
        return (batch - mean) / std, labels[chosen]
    mirrored, shift = augment
    side = images.shape[1]
    rows = jnp.arange(side) + shift[:, :1] - padding
    columns = jnp.arange(side) + shift[:, 1:] - padding
    columns = jnp.where(mirrored[:, None], columns[:, ::-1], columns)
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[
        :, None
    ]
    picked = images[
        chosen[:, None, None],
        jnp.clip(rows, 0, side - 1)[:, :, None],
        jnp.clip(columns, 0, side - 1)[:, None],
    ]
    batch = (picked.astype(jnp.float32) - mean) / std
    return jnp.where(inside[..., None], batch, 0), labels[chosen]


def epoch_batches(
    data: DeviceImages, batch_size: int, seed: int, epoch: int, *, flip: bool, padding: int
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """The whole batches of one epoch, in an order of its own.

    Half of the images are mirrored with `flip`, all shifted by up to `padding` pixels each way.
    """
    count = len(data.images)
    order = np.random.default_rng([seed, *b"order", epoch]).permutation(count).astype(np.int32)
    rng = np.random.default_rng([seed, *b"augment", epoch])
    for first in range(0, count - batch_size + 1, batch_size):
        augment = None
        if flip or padding:
            mirrored = rng.integers(0, 2, batch_size, np.int8) * flip > 0
            augment = mirrored, rng.integers(0, 2 * padding + 1, (batch_size, 2), np.int32)
        chosen = order[first : first + batch_size]
        yield data.batch(chosen, augment, padding)


def calibration_batches(
    data: DeviceImages, batch_size: int, seed: int, most: int
) -> Iterator[jax.Array]:
    """At most so many whole batches, not augmented; the same ones after every epoch."""
    order = np.random.default_rng([seed, *b"calibrate"]).permutation(len(data.images))
    count = min(most, len(order) // batch_size)
    for chosen in order[: count * batch_size].astype(np.int32).reshape(count, batch_size):
        yield data.batch(chosen)[0]
