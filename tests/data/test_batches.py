"""Batches on the device: normalisation, augmentation, order, checks."""

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.augmentation import Augmentation
from mnas.data.batches import (
    calibration_batches,
    check_images,
    epoch_batches,
    ordered_batches,
)
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.errors import UsageError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 4, 4, 3), np.uint8)
LABELS = np.arange(10) % 3
NETWORK = Architecture((Block(kernel=3, stride=1, filters=8),), resolution=4, classes=3)


@pytest.fixture(scope="module")
def feed():
    return DeviceImages(Subset.of(IMAGES, np.arange(10)))


def normalised(feed, images):
    return (images - feed.mean) / feed.std


def epoch_labels(feed, seed, epoch, **settings):
    batches = epoch_batches(feed, 4, seed, epoch, Augmentation(**settings))
    return [np.asarray(labels).tolist() for _, labels in batches]


def test_batches_are_normalised(feed):
    for images, labels in epoch_batches(feed, 4, 0, 1):
        np.testing.assert_allclose(images, normalised(feed, IMAGES[labels]), rtol=1e-5)


def test_augmentation_mirrors_and_shifts_filling_with_the_mean(feed):
    seen = set()
    for epoch in range(1, 9):
        batches = epoch_batches(feed, 4, 0, epoch, Augmentation(flip=True, padding=1))
        for image, label in zip(*map(np.concatenate, zip(*batches, strict=True)), strict=True):
            original = normalised(feed, IMAGES[label])
            padded = np.pad(original, ((1, 1), (1, 1), (0, 0)))
            for move in np.ndindex(2, 3, 3):
                mirrored, row, column = move
                shifted = padded[row : row + 4, column : column + 4]
                if np.allclose(image, shifted[:, ::-1] if mirrored else shifted, atol=1e-5):
                    seen.add(move)
                    break
            else:
                pytest.fail("neither mirrored nor shifted")
    assert len(seen) == 18  # each combination, in 64 images


def test_epochs_have_complete_batches_in_an_order_of_their_own(feed):
    first = epoch_labels(feed, seed=0, epoch=1)
    assert [len(labels) for labels in first] == [4, 4]
    assert first == epoch_labels(feed, seed=0, epoch=1)
    orders = [epoch_labels(feed, seed=seed, epoch=epoch) for seed, epoch in [(0, 2), (1, 1)]]
    assert first not in orders
    assert first == epoch_labels(feed, seed=0, epoch=1, flip=True, padding=1)


def test_epoch_can_be_entered_at_any_step(feed):
    augmentation = Augmentation(flip=True, padding=1)
    whole = list(epoch_batches(feed, 2, 0, 3, augmentation))
    for start in range(6):
        rest = list(epoch_batches(feed, 2, 0, 3, augmentation, start=start))
        assert len(rest) == 5 - start
        for batch, expected in zip(rest, whole[start:], strict=True):
            for array, other in zip(batch, expected, strict=True):
                np.testing.assert_array_equal(array, other)


def test_calibration_batches_are_equal_for_equal_seeds(feed):
    first, again = (list(calibration_batches(feed, 4, 0, max_batches=9)) for _ in range(2))
    assert len(first) == 2
    np.testing.assert_array_equal(first, again)
    assert len(list(calibration_batches(feed, 4, 0, max_batches=1))) == 1


def test_calibration_batches_are_augmented(feed):
    plain = np.array(list(calibration_batches(feed, 4, 0, max_batches=9)))
    augmentation = Augmentation(flip=True, padding=1)
    moved, again = (
        np.array(list(calibration_batches(feed, 4, 0, 9, augmentation))) for _ in range(2)
    )
    np.testing.assert_array_equal(moved, again)
    assert moved.shape == plain.shape and not np.array_equal(moved, plain)
    # An image moved by a pixel in either direction shows the mean, 0, along two of its edges.
    edges = (moved[:, :, [0, -1]] == 0).all((-1, -2)), (moved[:, :, :, [0, -1]] == 0).all((-1, 2))
    assert all(edge.any() for edge in edges)


def test_ordered_batches_have_all_images_and_one_size(feed):
    batches = list(ordered_batches(feed, 4))
    assert [images.shape for images, _ in batches] == [(4, 4, 4, 3)] * 3
    images, labels = map(np.concatenate, zip(*batches, strict=True))
    assert labels.tolist() == [*range(10), 0, 0]
    np.testing.assert_allclose(images, normalised(feed, IMAGES[labels]), rtol=1e-5)


def test_images_that_do_not_fit_the_network_are_rejected(feed):
    check_images(NETWORK, Subset.of(IMAGES, LABELS))
    with pytest.raises(ValueError, match="resolution 4; accepted: 8") as error:
        check_images(NETWORK.replace(resolution=8), feed)
    assert not isinstance(error.value, UsageError)
    with pytest.raises(UsageError, match="labels: 0 to 9; accepted: 0 to 2"):
        check_images(NETWORK, feed)
