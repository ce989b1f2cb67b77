"""Batches read ahead by threads or reader processes (Grain), in an order drawn from a seed.

Nothing here imports JAX, nor depends on the number of threads and processes: which positions are in
a batch follows from its number alone.
"""

import dataclasses
import functools
import importlib.util
import signal
import weakref
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mnas.runtime.parent import end_with_parent
from mnas.runtime.pinning import usable_cores

if TYPE_CHECKING:
    from mnas.data.images import Subset

# Batches that wait to be used, beside those that are being read; of each process, where there are
# several.
AHEAD = 2
MAX_THREADS = 8
# A training's batches have no end: it may be continued with more epochs.
ENDLESS = 1 << 40


class BatchOrder(Protocol):
    """Positions of the images of each batch, by its number."""

    def __len__(self) -> int: ...

    def positions(self, number: int) -> np.ndarray:
        """Return the positions in batch `number`, counted from 0: int32 [B]."""
        ...


@dataclasses.dataclass(frozen=True)
class FixedOrder:
    """Batches of given positions, int32 [batches, B]."""

    batches: np.ndarray

    def __len__(self) -> int:
        return len(self.batches)

    def positions(self, number: int) -> np.ndarray:
        """Return the positions in batch `number`, int32 [B]."""
        return self.batches[number]


@dataclasses.dataclass(frozen=True)
class TrainingOrder:
    """Complete batches of `count` images, in an order drawn from the seed for each epoch."""

    count: int
    batch_size: int
    seed: int

    def __len__(self) -> int:
        return ENDLESS

    @property
    def steps(self) -> int:
        """Return the number of batches in an epoch."""
        return self.count // self.batch_size

    def positions(self, number: int) -> np.ndarray:
        """Return the positions in batch `number`, counted from 0 over all epochs: int32 [B]."""
        epoch, step = divmod(number, self.steps)
        first = step * self.batch_size
        return _permutation(self.count, self.seed, epoch + 1)[first : first + self.batch_size]


@functools.lru_cache(maxsize=2)  # two, for batches that are read ahead into the next epoch
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of an epoch, counted from 1: int32 [count]."""
    rng = np.random.default_rng([seed, *b"order", epoch])
    return rng.permutation(count).astype(np.int32)


class BatchReader:
    """Grain's data source: batches uint8 [B, R, R, 3] from number `first` on."""

    def __init__(self, subset: "Subset", order: BatchOrder, first: int) -> None:
        self._subset, self._order, self._first = subset, order, first

    def __len__(self) -> int:
        return len(self._order) - self._first

    def __getitem__(self, index: int) -> np.ndarray:
        return self._subset.take(self._order.positions(self._first + index))


def is_installed() -> bool:
    """Return whether Grain is installed."""
    return importlib.util.find_spec("grain") is not None


class Stream:
    """Iterator of batches uint8 [B, R, R, 3] from number `first` on, read ahead.

    They are read by threads of this process, or by as many reader processes as given, which end
    with this process, or with `close()`.
    """

    def __init__(self, subset: "Subset", order: BatchOrder, first: int = 0, readers: int = 0):
        import grain
        from absl import flags

        threads = 1 if readers else min(usable_cores(), MAX_THREADS)
        batches = grain.MapDataset.source(BatchReader(subset, order, first)).to_iter_dataset(
            grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + AHEAD)
        )
        if readers:
            if not flags.FLAGS.is_parsed():  # Grain reads its flags; ours are not absl's
                flags.FLAGS.mark_as_parsed()
            options = grain.MultiprocessingOptions(
                num_workers=readers, per_worker_buffer_size=AHEAD
            )
            batches = batches.mp_prefetch(options, worker_init_fn=_start_reader)
        self._is_shared = readers > 0
        # Held by the list only, and closed at the latest before the interpreter is taken apart.
        self._batches = [iter(batches)]
        self.close = weakref.finalize(self, _close, self._batches)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> np.ndarray:
        if not self._batches:
            raise StopIteration
        batch = next(self._batches[0])
        # Copied out of shared memory, which is freed with the array, before the process ends.
        return np.array(batch) if self._is_shared else batch


def _close(iterators: list[Any]) -> None:
    while iterators:
        iterators.pop().close()


def _start_reader(index: int, count: int) -> None:
    """Prepare a reader process: it ends with its parent, which alone handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Grain starts readers from a thread that ends at once, for which the kernel would take the
    # parent.
    end_with_parent(by_polling=True)
