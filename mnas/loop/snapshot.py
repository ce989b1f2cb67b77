"""Snapshots of a controller's state, which spare a resumed search its updates.

The journal is the state. Replaying it repeats every update of the controller, which takes minutes
where updates are costly and many. So the state is written beside the journal now and then, as
arrays: `journal.snapshot.npz` beside `journal.jsonl`. A resumed search takes it from there and
repeats only the updates after it. Where the snapshot is missing, or anything of it doesn't match,
all updates are repeated; the search is the same.

    record   int64 [], number of the journal's update record after which the state holds
    0, 1, …  leaves of the state in the order of `jax.tree.leaves`
    hmac     uint8 [32], HMAC-SHA-256 of all that the state is a function of, and of the leaves

The HMAC covers the journal's checksum at that record, the controller's settings and source files,
versions, processor, device and settings of XLA. Its key is the user's own
(`mnas.runtime.cache_directory`): nobody else can write a snapshot that is used.
"""

import contextlib
import functools
import hmac
import inspect
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mnas.controller import ControllerConfig, State
from mnas.errors import UsageError
from mnas.files import ArrayFile, remove_temporaries, write_arrays
from mnas.loop.journal import Journal
from mnas.loop.records import UpdateRecord
from mnas.runtime.cache_directory import user_key
from mnas.runtime.machine import package_versions, processor_features
from mnas.runtime.program_cache import source_digest
from mnas.runtime.provenance import provenance

# A snapshot is due when the updates since the last one took this many seconds, and this many times
# as long as writing it. So short searches write none, and others spend 2% of their updates' time.
LEAST_SECONDS = 2.0
LEAST_RATIO = 50.0


class Snapshots:
    """The snapshot of the controller of one journal, which is open in this process.

    config  the controller's settings

    Nothing is read or written for states with leaves that are no plain arrays of numbers, for
    controllers whose source files can't be found, and for users without a cache directory of their
    own.
    """

    def __init__(self, journal: Journal, config: ControllerConfig) -> None:
        self.path = journal.path.with_name(f"{journal.path.stem}.snapshot.npz")
        self._journal, self._config = journal, config
        self._layout: Any = None  # of the state; None: it can't be kept
        self._seconds = 0.0  # of updates since the last snapshot
        self._writing = 0.0  # seconds that writing it took
        self._compiled = False

    def restore(self, initial: State) -> tuple[State, int] | None:
        """Return (state, number of its updates); None without a snapshot that matches.

        initial  the controller's state before the first update, of the same structure
        """
        remove_temporaries(self.path)
        self._layout = _layout(initial)
        if self._layout is None:
            return None
        try:
            return self._read(ArrayFile(self.path), initial)
        except UsageError:  # missing or damaged
            return None

    def spent(self, seconds: float) -> None:
        """Count the time of an update; the first one compiles, and doesn't count."""
        self._seconds += seconds if self._compiled else 0.0
        self._compiled = True

    def write_if_due(self, state: State, record: int, checksum: bytes) -> None:
        """Write the state after an update record of the journal, if it is time to.

        A file that can't be written is left out: the search doesn't depend on it.
        """
        if self._seconds < max(LEAST_SECONDS, LEAST_RATIO * self._writing):
            return
        start, self._seconds = time.perf_counter(), 0.0
        if self._layout is None or _layout(state) != self._layout or not _replaceable(self.path):
            return
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(state)]
        digest = self._digest(leaves, record, checksum)
        if digest is None:
            return
        arrays = {str(index): leaf for index, leaf in enumerate(leaves)}
        arrays |= {"record": np.array(record), "hmac": np.frombuffer(digest, np.uint8)}
        with contextlib.suppress(OSError):
            write_arrays(self.path, arrays)
        self._writing = time.perf_counter() - start

    def _read(self, file: ArrayFile, initial: State) -> tuple[State, int] | None:
        like, structure = jax.tree.flatten(initial)
        expected = [((), np.dtype(np.int64)), ((32,), np.dtype(np.uint8))]
        expected += [(leaf.shape, leaf.dtype) for leaf in like]
        names = ["record", "hmac", *map(str, range(len(like)))]
        if {*file.names} != {*names}:
            return None
        # Before reading: a file of others may claim any size.
        for name, (shape, dtype) in zip(names, expected, strict=True):
            header = file.header(name)
            if (header.shape, header.dtype) != (shape, dtype):
                return None
        number, written, *leaves = map(file.read, names)
        record = int(number)
        if not 0 < record < len(self._journal.records):
            return None
        update = self._journal.records[record]
        digest = self._digest(leaves, record, self._journal.sums[record])
        if digest is None or not hmac.compare_digest(written.tobytes(), digest):
            return None
        assert isinstance(update, UpdateRecord)  # what was written under this checksum
        state = [
            jax.numpy.array(leaf) if isinstance(old, jax.Array) else leaf
            for leaf, old in zip(leaves, like, strict=True)
        ]
        return jax.tree.unflatten(structure, state), update.batch + 1

    def _digest(self, leaves: list[np.ndarray], record: int, checksum: bytes) -> bytes | None:
        """Return the HMAC of a snapshot; None without a key, or for unknown source files."""
        key, sources = user_key(), _sources(type(self._config))
        if key is None or sources is None:
            return None
        device = jax.local_devices()[0]
        identity = (
            *("mnas-snapshot/1", record, checksum, repr(self._layout)),
            *(type(self._config).__qualname__, repr(self._config), sources),
            *(package_versions(), provenance()["versions"], processor_features()),
            *(provenance()["cores"], device.platform, device.device_kind),
            *(os.environ.get(name) for name in ("XLA_FLAGS", "NPROC")),
        )
        authentication = hmac.new(key, repr(identity).encode(), "sha256")
        for leaf in leaves:
            authentication.update(np.ascontiguousarray(leaf).tobytes())
        return authentication.digest()


def _layout(state: State) -> Any:
    """Return structure, kinds, shapes and dtypes of a state of plain arrays; else None."""
    leaves, structure = jax.tree.flatten(state)
    kinds = []
    for leaf in leaves:
        is_array = isinstance(leaf, np.ndarray | jax.Array)
        # Keys of jax.random and 8-bit floats have dtypes of their own, and a file can't say that
        # a type is weak.
        if not is_array or getattr(leaf.dtype, "kind", "V") not in "biufc":
            return None
        if getattr(leaf, "weak_type", False):
            return None
        kinds.append((isinstance(leaf, jax.Array), leaf.shape, str(leaf.dtype)))
    return structure, tuple(kinds)


def _replaceable(path: Path) -> bool:
    """Return whether a path is missing or a regular file: no pipe or link of somebody else's."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return True
    except OSError:
        return False


@functools.cache
def _sources(kind: type) -> str | None:
    """Return the digest of the Python files that define a controller; None if they are unknown.

    kind  the class of its settings

    These are all modules in the folder of the class's module and in packages below it (the module
    alone where it belongs to no package), and those of this package and of the contracts.
    """
    ours = Path(__file__).parent
    try:
        path = Path(inspect.getfile(kind))
        if not sys.modules[kind.__module__].__package__:
            return source_digest([ours, ours.parent]) + path.read_text(encoding="utf-8")
        return source_digest([ours, ours.parent, *_packages(path.parent)])
    except (TypeError, KeyError, OSError, UnicodeDecodeError):  # of a notebook, or an archive
        return None


def _packages(folder: Path) -> Iterator[Path]:
    """Yield a folder and all packages below it."""
    yield folder
    for path in sorted(folder.iterdir()):
        if (path / "__init__.py").is_file():
            yield from _packages(path)
