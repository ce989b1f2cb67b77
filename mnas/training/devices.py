"""All devices as one axis, over which batches are split; several processes as one program.

A program whose arguments are split over devices runs on all of them (`jax.sharding`). With several
processes (`jax.distributed`), each runs the same Python program on the same data, and the devices
are those of all processes; only one, the writer, writes files.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mnas.data.feeds import Feed
from mnas.data.streaming import BatchOrder
from mnas.errors import UsageError


class Devices:
    """The devices of all processes.

    batch       sharding of arrays [B, ...] that splits B equally; None for a single device
    replicated  sharding with a copy on every device; None for a single device
    """

    def __init__(self, count: int | None = None) -> None:
        """Use the first `count` devices, all by default."""
        devices = jax.devices()
        self.count = len(devices) if count is None else count
        if not 0 < self.count <= len(devices):
            raise ValueError(f"count = {count}; accepted: 1 to {len(devices)}")
        self.batch: NamedSharding | None = None
        self.replicated: NamedSharding | None = None
        if self.count > 1:
            mesh = Mesh(np.array(devices[: self.count]), ("batch",))
            self.batch = NamedSharding(mesh, PartitionSpec("batch"))
            self.replicated = NamedSharding(mesh, PartitionSpec())

    @functools.cached_property
    def processes(self) -> int:
        """Number of processes."""
        return jax.process_count()

    @functools.cached_property
    def writes(self) -> bool:
        """Whether this process is the one that writes files."""
        return jax.process_index() == 0

    def require_divisible(self, what: str, images: int) -> None:
        """Raise UsageError if a batch of `images` images can't be split equally."""
        if images % self.count:
            nearest = max(1, round(images / self.count)) * self.count
            raise UsageError(
                f"{what} = {images} on {self.count} devices; accepted: a multiple of "
                f"{self.count}, such as {nearest}"
            )

    def split(self, array: Any) -> jax.Array:
        """Return an array [B, ...], equal in all processes, split over the devices."""
        return self._placed(array, self.batch)

    def replicate(self, tree: Any) -> Any:
        """Return a pytree of arrays, equal in all processes, with a copy on every device."""
        if self.replicated is None:
            return jax.device_put(tree)
        return jax.tree.map(lambda leaf: self._placed(leaf, self.replicated), tree)

    def _placed(self, array: Any, sharding: NamedSharding | None) -> jax.Array:
        if sharding is None or self.processes == 1 or _is_global(array):
            return jax.device_put(array, sharding)
        # `device_put` would compare the arrays of all processes each time.
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def any(self, *conditions: bool) -> tuple[bool, ...]:
        """Return for each condition whether it is true in any process; all must call this."""
        if self.processes == 1:
            return conditions
        everywhere = multihost_utils.process_allgather(np.array(conditions))
        return tuple(bool(condition) for condition in everywhere.any(0))


class SplitFeed:
    """Feed whose batches are split over devices before they are augmented, there, in parts.

    Every process reads whole batches, of which its devices take their part.
    """

    def __init__(self, feed: Feed, devices: Devices) -> None:
        self._feed, self._devices = feed, devices
        self.labels, self.resolution = feed.labels, feed.resolution
        self.mean, self.std = feed.mean, feed.std

    def __len__(self) -> int:
        return len(self._feed)

    def batches(self, order: BatchOrder, first: int = 0) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield images uint8 [B, R, R, 3] and labels int32 [B] from batch number `first` on."""
        for images, labels in self._feed.batches(order, first):
            yield self._devices.split(images), self._devices.split(labels)

    def stop(self) -> None:
        """Stop reading ahead. Batches can be asked for again."""
        self._feed.stop()


def _is_global(array: Any) -> bool:
    return isinstance(array, jax.Array) and not array.is_fully_addressable
