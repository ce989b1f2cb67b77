"""Batches of an epoch as a `TrainingConfig` asks for them."""

from collections.abc import Iterator, Sized

import jax

from mnas.data.augmentation import Augmentation
from mnas.data.batches import calibration_batches, epoch_batches
from mnas.data.feeds import Feed
from mnas.training.config import TrainingConfig, epoch_resolution


def training_batches(
    feed: Feed, config: TrainingConfig, classes: int, seed: int, epoch: int, *, start: int = 0
) -> Iterator[tuple[jax.Array, jax.Array]]:
    """Yield the batches of an epoch, counted from 1, from step `start` on (`epoch_batches`).

    Their size is `batch_size_of(feed, config)`; `classes` is the number of the network's.
    """
    augmentation = augmentation_of(config, classes, feed.resolution, epoch)
    return epoch_batches(feed, batch_size_of(feed, config), seed, epoch, augmentation, start=start)


def statistics_batches(
    feed: Feed, config: TrainingConfig, classes: int, seed: int, batch_size: int, max_batches: int
) -> Iterator[jax.Array]:
    """Yield the batches for BatchNorm's final statistics (`calibration_batches`).

    They are augmented as in the last epoch, like those that running averages would be over: the
    weights were trained with statistics of such images. With statistics of plain ones, networks
    trained with shifts and flips were up to 0.7 points worse (docs/results/training.md).
    """
    augmentation = augmentation_of(config, classes, feed.resolution, config.epochs)
    return calibration_batches(feed, batch_size, seed, max_batches, augmentation)


def batch_size_of(images: Sized, config: TrainingConfig) -> int:
    """Return the batch size: as configured, at most the number of images."""
    return min(config.batch_size, len(images))


def augmentation_of(
    config: TrainingConfig, classes: int, resolution: int, epoch: int
) -> Augmentation:
    """Return the augmentation in an epoch, counted from 1, of images of this resolution."""
    size = epoch_resolution(config, resolution, epoch)
    operations, mixes = config.randaugment, config.mixup > 0 or config.cutmix > 0
    return Augmentation(
        flip=config.flip,
        padding=config.crop_padding,
        crop=config.random_crop,
        operations=operations,
        magnitude=config.randaugment_magnitude if operations else 0.0,
        erasing=config.erasing,
        mixup=config.mixup,
        cutmix=config.cutmix,
        resolution=None if size == resolution else size,
        classes=classes if mixes else 0,
    )
