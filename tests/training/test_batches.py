"""Batches as a training's settings ask for them."""

import dataclasses

import numpy as np
import pytest

from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.errors import UsageError
from mnas.training.batches import augmentation_of, batch_size_of, training_batches
from mnas.training.config import TrainingConfig, epoch_resolution

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), np.uint8)
FEED = DeviceImages(Subset.of(IMAGES, np.arange(10)))


def test_every_setting_reaches_the_augmentation():
    config = TrainingConfig(
        epochs=3,
        flip=True,
        crop_padding=2,
        random_crop=0.3,
        randaugment=2,
        randaugment_magnitude=7.0,
        erasing=0.25,
        mixup=0.2,
        cutmix=1.0,
        progressive=8,
    )
    found = dataclasses.astuple(augmentation_of(config, 10, 16, 1))
    assert found == (True, 2, 0.3, 2, 7.0, 0.25, 0.2, 1.0, 8, 10)
    plain = augmentation_of(TrainingConfig(), 10, 16, 1)
    assert not plain.draws and plain.resolution is None


def test_batches_have_the_configured_size_and_the_epochs_resolution():
    config = TrainingConfig(epochs=3, batch_size=4, progressive=8, cutmix=1.0)
    shapes = [
        [(images.shape[1], targets.shape) for images, targets in found]
        for found in (training_batches(FEED, config, 10, 0, epoch) for epoch in (1, 2, 3))
    ]
    assert shapes == [[(size, (4, 10))] * 2 for size in (8, 16, 16)]
    assert batch_size_of(FEED, config) == 4
    assert batch_size_of(FEED, TrainingConfig()) == 10


@pytest.mark.parametrize(
    "first, resolution, epochs, expected",
    [
        (None, 32, 3, [32, 32, 32]),
        (16, 32, 5, [16, 24, 24, 32, 32]),  # of 16, 20, 24, 28, 32
        (128, 224, 5, [128, 152, 176, 200, 224]),
        (20, 32, 3, [24, 24, 32]),
        (32, 32, 2, [32, 32]),
        (16, 32, 1, [32]),
    ],
)
def test_resolution_rises_linearly_in_few_steps(first, resolution, epochs, expected):
    config = TrainingConfig(epochs=epochs, progressive=first)
    found = [epoch_resolution(config, resolution, epoch) for epoch in range(1, epochs + 1)]
    assert found == expected


def test_resolution_rises_in_at_most_four_steps():
    for first, resolution in [(1, 224), (64, 299), (130, 600)]:
        config = TrainingConfig(epochs=350, progressive=first)
        found = [epoch_resolution(config, resolution, epoch) for epoch in range(1, 351)]
        assert found == sorted(found) and found[0] >= first and found[-1] == resolution
        assert 2 <= len({*found}) <= 5
        assert all((resolution - size) % 8 == 0 for size in found)


def test_first_resolution_above_the_networks_is_rejected():
    config = TrainingConfig(progressive=33)
    with pytest.raises(UsageError, match=r"training: progressive = 33; accepted: .* at most 32"):
        epoch_resolution(config, 32, 1)


@pytest.mark.parametrize(
    "field, value",
    [
        *(("random_crop", value) for value in (0, 1.1, float("nan"))),
        *(("randaugment", value) for value in (-1, 2.0, 17)),
        *(("randaugment_magnitude", value) for value in (-1, 11)),
        *(("erasing", value) for value in (-0.1, 1.1)),
        *(("mixup", -1), ("cutmix", float("inf")), ("progressive", 0), ("progressive", 8.0)),
    ],
)
def test_settings_out_of_range_are_rejected(field, value):
    with pytest.raises(UsageError, match=rf"training: {field} = .*; accepted: "):
        TrainingConfig(**{field: value})
