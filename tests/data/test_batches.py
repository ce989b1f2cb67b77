"""Batches on the device: normalisation, augmentation, order, checks."""

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.batches import (
    DeviceImages,
    calibration_batches,
    check_images,
    epoch_batches,
    pixel_statistics,
)
from mnas.errors import UsageError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 4, 4, 3), np.uint8)
LABELS = np.arange(10) % 3
NETWORK = Architecture((Block(kernel=3, stride=1, filters=8),), resolution=4, classes=3)


@pytest.fixture(scope="module")
def data():
    return DeviceImages.of(IMAGES, LABELS, *pixel_statistics(IMAGES))


def labels_of(batches):
    return [np.asarray(labels).tolist() for _, labels in batches]


def epoch_labels(data, seed, epoch, **augmentation):
    settings = {"flip": False, "padding": 0} | augmentation
    return labels_of(epoch_batches(data, 4, seed, epoch, **settings))


def test_pixel_statistics_equal_mean_and_standard_deviation():
    mean, std = pixel_statistics(IMAGES)
    np.testing.assert_allclose(mean, IMAGES.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, IMAGES.std((0, 1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(pixel_statistics(np.zeros_like(IMAGES))[1], np.ones(3))


def test_batches_are_normalised(data):
    images, labels = data.batch(np.array([7, 2], np.int32))
    np.testing.assert_allclose(images, (IMAGES[[7, 2]] - data.mean) / data.std, rtol=1e-5)
    np.testing.assert_array_equal(labels, LABELS[[7, 2]])


def test_augmentation_mirrors_and_shifts_filling_with_the_mean(data):
    mirrored, shift = np.array([True, False]), np.array([[1, 1], [2, 0]], np.int32)
    images, _ = data.batch(np.array([3, 3], np.int32), (mirrored, shift), padding=1)
    original = (IMAGES[3] - data.mean) / data.std
    np.testing.assert_allclose(images[0], original[:, ::-1], rtol=1e-5)
    # Up by one pixel, right by one: a row and a column of the mean colour come in.
    np.testing.assert_allclose(images[1][:3, 1:], original[1:, :3], rtol=1e-5)
    assert not np.any(images[1][3]) and not np.any(images[1][:, 0])


def test_epochs_have_complete_batches_in_an_order_of_their_own(data):
    first = epoch_labels(data, seed=0, epoch=1)
    assert [len(labels) for labels in first] == [4, 4]
    assert first == epoch_labels(data, seed=0, epoch=1)
    orders = [epoch_labels(data, seed=seed, epoch=epoch) for seed, epoch in [(0, 2), (1, 1)]]
    assert first not in orders
    assert first == epoch_labels(data, seed=0, epoch=1, flip=True, padding=1)


def test_calibration_batches_are_equal_for_equal_seeds(data):
    first, again = (list(calibration_batches(data, 4, 0, max_batches=9)) for _ in range(2))
    assert len(first) == 2
    np.testing.assert_array_equal(first, again)
    assert len(list(calibration_batches(data, 4, 0, max_batches=1))) == 1


def test_wrong_arrays_are_programming_errors_and_wrong_labels_usage_errors():
    with pytest.raises(ValueError, match=r"float64.*accepted: uint8 \[N, 4, 4, 3\]") as error:
        check_images(NETWORK, IMAGES / 255, LABELS)
    assert not isinstance(error.value, UsageError)
    with pytest.raises(ValueError, match=r"labels: int64 \[9\]; accepted: integers \[10\]"):
        check_images(NETWORK, IMAGES, LABELS[:9])
    with pytest.raises(UsageError, match="labels: 0 to 3; accepted: 0 to 2"):
        check_images(NETWORK, IMAGES, np.arange(10) % 4)
