"""Batches for training, calibration and evaluation: order, augmentation, normalisation."""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.augmentation import NONE, Augmentation, augmented, mixed
from mnas.data.feeds import Feed
from mnas.data.images import Subset
from mnas.data.streaming import FixedOrder, TrainingOrder
from mnas.errors import UsageError


def check_images(architecture: Architecture, images: Subset | Feed) -> None:
    """Check that a network can be trained on images.

    Raises ValueError for another resolution, UsageError for labels beyond the network's classes.
    """
    if images.resolution != architecture.resolution:
        raise ValueError(
            f"images: resolution {images.resolution}; accepted: {architecture.resolution}"
        )
    labels = images.labels
    if labels.min() < 0 or labels.max() >= architecture.classes:
        raise UsageError(
            f"labels: {labels.min()} to {labels.max()}; accepted: 0 to {architecture.classes - 1}"
        )


def epoch_batches(
    feed: Feed,
    batch_size: int,
    seed: int,
    epoch: int,
    augmentation: Augmentation = NONE,
    *,
    start: int = 0,
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yield the complete batches of an epoch, in an order drawn from the seed and the epoch.

    Images are float32 [B, R, R, 3], normalised and augmented. Targets are labels int32 [B], or
    probabilities float32 [B, classes] where images are mixed. Epochs are counted from 1; `start` is
    the first step yielded, for a training that was stopped within the epoch.
    """
    order = TrainingOrder(len(feed), batch_size, seed)
    draws = _draws(augmentation, batch_size, seed, epoch)
    batches = feed.batches(order, (epoch - 1) * order.steps + start)
    for step in range(order.steps):
        moves, key = next(draws)
        if step >= start:
            images, labels = next(batches)
            yield _prepared(augmentation, images, labels, feed.mean, feed.std, moves, key)


def _draws(augmentation: Augmentation, batch_size: int, seed: int, epoch: int):
    """Yield for each batch its random moves and the key of the rest, as `_prepared` takes them."""
    rng = np.random.default_rng([seed, *b"augment", epoch])
    keys = np.random.default_rng([seed, *b"pixels", epoch])
    while True:
        moves = None
        if augmentation.flip or augmentation.padding:
            mirrored = rng.integers(0, 2, batch_size, np.int8) * augmentation.flip > 0
            most = 2 * augmentation.padding
            moves = mirrored, rng.integers(0, most + 1, (batch_size, 2), np.int32)
        yield moves, keys.integers(0, 2**32, 2, np.uint32) if augmentation.draws else None


@functools.partial(jax.jit, static_argnums=0)
def _prepared(augmentation: Augmentation, images, labels, mean, std, moves, key):
    """Return normalised images [B, R, R, 3] and targets; images moved off a border show the mean.

    moves   mirrored, bool [B], and shift, int [B, 2] of 0 to 2 · padding pixels (rows, columns)
    key     uint32 [2], for whatever else is random
    """
    inside = None
    if moves is not None:
        mirrored, shift = moves
        images, inside = _moved(images, mirrored, shift, augmentation.padding)
    if not augmentation.draws and augmentation.resolution is None:
        normalised = (images.astype(jnp.float32) - mean) / std
        return (normalised if inside is None else jnp.where(inside, normalised, 0)), labels
    pixels = images.astype(jnp.float32)
    if inside is not None:
        pixels = jnp.where(inside, pixels, mean)
    data = jnp.zeros(2, jnp.uint32) if key is None else key  # resizing alone draws nothing
    pixel_key, mix_key = jax.random.split(jax.random.wrap_key_data(data, impl="threefry2x32"))
    pixels = augmented(pixels, pixel_key, augmentation)
    return mixed((pixels - mean) / std, labels, mix_key, augmentation)


def _moved(images, mirrored, shift, padding):
    """Return shifted, then mirrored images, and which of their pixels show the image."""
    size = images.shape[1]
    rows = jnp.arange(size) + shift[:, :1] - padding
    columns = jnp.arange(size) + shift[:, 1:] - padding
    columns = jnp.where(mirrored[:, None], columns[:, ::-1], columns)
    rows_inside, columns_inside = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
    inside = rows_inside[:, :, None] & columns_inside[:, None]
    pixels = images[
        jnp.arange(len(images))[:, None, None],
        jnp.clip(rows, 0, size - 1)[:, :, None],
        jnp.clip(columns, 0, size - 1)[:, None],
    ]
    return pixels, inside[..., None]


def calibration_batches(
    feed: Feed,
    batch_size: int,
    seed: int,
    max_batches: int,
    augmentation: Augmentation = NONE,
) -> Iterator[jax.Array]:
    """Yield up to `max_batches` complete batches of images, equal for equal seeds."""
    order = np.random.default_rng([seed, *b"calibrate"]).permutation(len(feed))
    count = min(max_batches, len(order) // batch_size)
    batches = order[: count * batch_size].astype(np.int32).reshape(count, batch_size)
    draws = _draws(augmentation, batch_size, seed, epoch=0)  # those of training begin at 1
    for (images, labels), (moves, key) in zip(
        feed.batches(FixedOrder(batches)), draws, strict=False
    ):
        yield _prepared(augmentation, images, labels, feed.mean, feed.std, moves, key)[0]


def ordered_batches(feed: Feed, batch_size: int) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yield all images and labels in order, without augmentation.

    One batch size for all: the last batch is filled up with copies of the first image.
    """
    count = len(feed)
    positions = np.zeros((-(-count // batch_size), batch_size), np.int32)
    positions.flat[:count] = np.arange(count)
    for images, labels in feed.batches(FixedOrder(positions)):
        yield _prepared(NONE, images, labels, feed.mean, feed.std, None, None)
