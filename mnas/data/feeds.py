"""Feeds: images as batches on the device, from all images on it, or read ahead and streamed to it.

Batches are uint8, as the images are; for the same order they are the same from either feed, bit for
bit. `Feeding` chooses.
"""

import contextlib
import dataclasses
from collections import deque
from collections.abc import Iterator
from typing import Literal, Protocol

import jax
import numpy as np

from mnas.data import streaming
from mnas.data.images import DataConfig, Images, Subset
from mnas.data.statistics import pixel_statistics
from mnas.data.streaming import BatchOrder, TrainingOrder
from mnas.errors import UsageError
from mnas.runtime.machine import available_bytes

Statistics = tuple[np.ndarray, np.ndarray]
"""Mean and standard deviation of the channels, float32 [3] each, on the scale of 0 to 255."""

# Images are kept on the device up to this share of its free memory. Several workers may share the
# host's, each with images of its own there.
DEVICE_SHARE, HOST_SHARE = 1 / 2, 1 / 16
# Batches that are copied to the device ahead of the one in use.
AHEAD_ON_DEVICE = 2


class Feed(Protocol):
    """Labelled images of one resolution, as batches on the device.

    labels      int32 [N], on the host
    resolution  height and width R of the images, pixels
    mean, std   float32 [3], by which images are normalised (`Statistics`)
    """

    labels: np.ndarray
    resolution: int
    mean: np.ndarray
    std: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""
        ...

    def batches(self, order: BatchOrder, first: int = 0) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield images uint8 [B, R, R, 3] and labels int32 [B] from batch number `first` on."""
        ...

    def stop(self) -> None:
        """Stop reading ahead. Batches can be asked for again."""
        ...


class DeviceImages:
    """Feed of images that are all on the device."""

    def __init__(self, subset: Subset, statistics: Statistics | None = None) -> None:
        """Copy the images to the device. `statistics` normalise them; their own by default."""
        self.labels, self.resolution = subset.labels, subset.resolution
        images = subset.read()
        self.mean, self.std = statistics or pixel_statistics([images])
        self._on_device = jax.device_put((images, self.labels))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: BatchOrder, first: int = 0) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield images uint8 [B, R, R, 3] and labels int32 [B] from batch number `first` on."""
        for number in range(first, len(order)):
            yield _taken(*self._on_device, order.positions(number))

    def stop(self) -> None:
        """Do nothing: nothing is read ahead."""


@jax.jit
def _taken(images: jax.Array, labels: jax.Array, positions: jax.Array):
    return images[positions], labels[positions]


class StreamedImages:
    """Feed of images that are read batch by batch, ahead of their use, by Grain.

    A training's batches are read by `readers` processes, or by threads for 0; those of other orders
    by threads. What is read ahead at the end of an epoch is used in the next one.
    """

    def __init__(
        self,
        subset: Subset,
        statistics: Statistics | None = None,
        *,
        readers: int = 0,
    ) -> None:
        """Read all images once for their statistics, where none are given."""
        self.labels, self.resolution = subset.labels, subset.resolution
        self._subset, self._readers = subset, readers
        self._training: _Stream | None = None
        self.mean, self.std = statistics or pixel_statistics(map(subset.take, subset.parts()))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: BatchOrder, first: int = 0) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield images uint8 [B, R, R, 3] and labels int32 [B] from batch number `first` on."""
        if isinstance(order, TrainingOrder):
            batches = self._training_from(order, first)
            for _ in range(first, len(order)):  # `yield from` would close the stream with this
                yield next(batches)
        else:
            with contextlib.closing(_Stream(self._subset, order, first, 0)) as passing:
                yield from passing

    def stop(self) -> None:
        """Stop reading ahead. Batches can be asked for again."""
        if self._training is not None:
            self._training.close()
        self._training = None

    def _training_from(self, order: TrainingOrder, first: int) -> "_Stream":
        """Return the open stream if its next batch is number `first` of the order, else another."""
        current = self._training
        if current is None or (current.order, current.number) != (order, first):
            self.stop()
            current = _Stream(self._subset, order, first, self._readers)
            self._training = current
        return current


class _Stream:
    """Iterator of batches on the device; `number` is that of the next one."""

    def __init__(self, subset: Subset, order: BatchOrder, first: int, readers: int) -> None:
        self.order, self.number = order, first
        self._labels = subset.labels
        self._host = streaming.Stream(subset, order, first, readers)
        self._copied: deque[tuple[jax.Array, jax.Array]] = deque()
        self._next_copied = first

    def __iter__(self) -> "_Stream":
        return self

    def __next__(self) -> tuple[jax.Array, jax.Array]:
        while len(self._copied) < AHEAD_ON_DEVICE and self._next_copied < len(self.order):
            labels = self._labels[self.order.positions(self._next_copied)]
            # Copied before another batch is waited for: the device copies while the host reads.
            self._copied.append(jax.device_put((next(self._host), labels)))
            self._next_copied += 1
        if not self._copied:
            raise StopIteration
        self.number += 1
        return self._copied.popleft()

    def close(self) -> None:
        """End the threads or processes that read ahead."""
        self._copied.clear()
        self._host.close()


@dataclasses.dataclass(frozen=True)
class Feeding:
    """Choice of the feed of a training.

    where     "device", all images on it, or "stream"
    readers   processes that read images where they are streamed; 0 for threads
    nbytes    size of training and validation images, bytes
    """

    where: Literal["device", "stream"]
    readers: int
    nbytes: int

    @classmethod
    def of(cls, config: DataConfig, images: Images) -> "Feeding":
        """Return the feeding that a configuration asks for, or the one that suits the memory.

        Raises UsageError where images are to be streamed, and Grain is not installed.
        """
        nbytes = images.train.nbytes + images.validation.nbytes
        where = config.feeding
        if where == "auto":
            where = "device" if nbytes <= room() else "stream"
        if where == "stream" and not streaming.is_installed():
            raise UsageError(
                f"data: {_size(nbytes)} of images are streamed, which needs Grain; accepted: "
                "pip install 'mnas[stream]', or feeding = 'device' if they fit into the memory"
            )
        return cls(where, config.readers, nbytes)

    def feed(self, subset: Subset, statistics: Statistics | None = None) -> Feed:
        """Return the feed of a subset; `statistics` normalise it, by default its own."""
        if self.where == "device":
            return DeviceImages(subset, statistics)
        return StreamedImages(subset, statistics, readers=self.readers)

    def describe(self) -> str:
        """Return one line: the size of the images, and where they are kept."""
        if self.where == "device":
            return f"{_size(self.nbytes)} of images on the device"
        by = {0: "threads", 1: "1 process"}.get(self.readers, f"{self.readers} processes")
        return f"{_size(self.nbytes)} of images streamed by {by}"


def expected_feeding(config: DataConfig, images: Images, backend: str) -> str:
    """Return one line: where trainings in other processes, on devices of a backend, keep images.

    What is chosen by the memory of a device that this process does not use, is said as a choice.
    """
    feeding = Feeding.of(config, images)
    if config.feeding != "auto" or backend == jax.local_devices()[0].platform:
        return feeding.describe()
    return f"{_size(feeding.nbytes)} of images on the device, or streamed if they do not fit"


def room() -> int:
    """Return how many bytes of images may be kept on the device.

    Half of a device's own free memory; a sixteenth of the host's, where the device is the CPU.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return int(available_bytes() * HOST_SHARE)
    statistics = device.memory_stats() or {}  # none of some plug-ins, which then stream
    free = statistics.get("bytes_limit", 0) - statistics.get("bytes_in_use", 0)
    return int(free * DEVICE_SHARE)


def _size(nbytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if nbytes >= size:
            return f"{nbytes / size:,.1f} {unit}"
    return f"{nbytes / 1e3:,.1f} kB"
