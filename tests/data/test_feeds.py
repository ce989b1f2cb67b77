"""Feeds: the same batches from images on the device and from a stream; the choice between them."""

import types

import numpy as np
import pytest

from mnas.data import feeds, streaming
from mnas.data.augmentation import Augmentation
from mnas.data.batches import calibration_batches, epoch_batches, ordered_batches
from mnas.data.feeds import DeviceImages, Feeding, StreamedImages
from mnas.data.images import DataConfig, Subset, load
from mnas.data.streaming import TrainingOrder
from mnas.errors import UsageError

IMAGES = np.random.default_rng(0).integers(0, 256, (22, 6, 6, 3), np.uint8)
SUBSET = Subset.of(IMAGES, np.arange(22))
AUGMENTATION = Augmentation(flip=True, padding=1, crop=0.5, mixup=0.2, classes=22)


@pytest.fixture(scope="module")
def resident():
    return DeviceImages(SUBSET)


@pytest.fixture
def streamed():
    feed = StreamedImages(SUBSET)
    yield feed
    feed.stop()


def assert_same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        for array, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(array, same)


def test_both_feeds_give_the_same_batches(resident, streamed):
    assert len(streamed) == len(resident) == 22
    np.testing.assert_array_equal(streamed.labels, resident.labels)
    np.testing.assert_array_equal(streamed.mean, resident.mean)
    np.testing.assert_array_equal(streamed.std, resident.std)
    for epoch in (1, 2, 3):
        expected = list(epoch_batches(resident, 4, 7, epoch, AUGMENTATION))
        assert_same(epoch_batches(streamed, 4, 7, epoch, AUGMENTATION), expected)
        calibration = [calibration_batches(feed, 4, 0, 3) for feed in (resident, streamed)]
        np.testing.assert_array_equal(*map(list, calibration))
        assert_same(*(ordered_batches(feed, 4) for feed in (resident, streamed)))


def test_a_training_is_entered_anywhere(resident, streamed):
    for epoch, start in [(3, 2), (1, 4), (1, 0), (2, 5)]:
        expected = epoch_batches(resident, 4, 7, epoch, AUGMENTATION, start=start)
        found = epoch_batches(streamed, 4, 7, epoch, AUGMENTATION, start=start)
        assert_same(found, expected)


def test_the_next_epoch_goes_on_with_the_same_stream(streamed, monkeypatch):
    opened = []

    class Counted(streaming.Stream):
        def __init__(self, subset, order, *rest):
            opened.append(type(order))
            super().__init__(subset, order, *rest)

    monkeypatch.setattr(streaming, "Stream", Counted)
    for epoch in (1, 2, 3):
        list(epoch_batches(streamed, 4, 0, epoch))
        list(ordered_batches(streamed, 4))
    assert opened.count(TrainingOrder) == 1
    list(epoch_batches(streamed, 4, 1, 4))  # another seed
    assert opened.count(TrainingOrder) == 2


def test_given_statistics_are_taken(resident):
    statistics = np.full(3, 5, np.float32), np.full(3, 2, np.float32)
    for feed in (DeviceImages(SUBSET, statistics), StreamedImages(SUBSET, statistics)):
        images, _ = next(ordered_batches(feed, 22))
        np.testing.assert_array_equal(images, (IMAGES.astype(np.float32) - 5) / 2)


@pytest.fixture(scope="module")
def images():
    return load(DataConfig(), 8)  # 1,500 images of 192 bytes


def test_images_are_kept_on_the_device_if_they_fit(images, monkeypatch):
    def chosen(**settings):
        return Feeding.of(DataConfig(**settings), images)

    monkeypatch.setattr(feeds, "available_bytes", lambda: 16 * 288_000)
    assert chosen().where == "device"
    assert chosen().describe() == "288.0 kB of images on the device"
    assert isinstance(chosen().feed(images.train), DeviceImages)
    assert (
        chosen(feeding="stream", readers=1).describe() == "288.0 kB of images streamed by 1 process"
    )
    monkeypatch.setattr(feeds, "available_bytes", lambda: 16 * 287_999)
    assert chosen().describe() == "288.0 kB of images streamed by threads"
    assert chosen(readers=3).describe() == "288.0 kB of images streamed by 3 processes"
    assert isinstance(chosen().feed(images.train), StreamedImages)
    assert chosen(feeding="device").where == "device"
    monkeypatch.setattr(streaming, "is_installed", lambda: False)
    with pytest.raises(
        UsageError, match=r"needs Grain; accepted: pip install 'mnas\[stream\]', or"
    ):
        chosen()
    assert chosen(feeding="device").where == "device"


def test_half_of_the_free_memory_of_an_accelerator_may_be_used(monkeypatch):
    memory = {"bytes_limit": 10_000, "bytes_in_use": 4_000}
    device = types.SimpleNamespace(platform="gpu", memory_stats=lambda: memory)
    monkeypatch.setattr(feeds.jax, "local_devices", lambda: [device])
    assert feeds.room() == 3_000
    device.memory_stats = lambda: None
    assert feeds.room() == 0
