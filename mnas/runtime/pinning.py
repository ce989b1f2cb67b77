"""Exclusive CPU cores for worker processes.

Workers of one machine do not know each other: they may belong to several searches, run on any node
of a cluster, or replace a killed one. A core is therefore claimed by a lock on its number, which
the system releases when the process ends, in whatever way it ends.
"""

import os
import socket
import sys
import time

from mnas.runtime import control_group

PATIENCE_SECONDS = 5.0
"""Wait for the core of a killed worker that has not ended yet."""

_locks: list[socket.socket] = []  # held until this process ends


def allowed_cores() -> list[int]:
    """Return the numbers of the cores that this process may use, in ascending order."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores() -> int:
    """Return how many cores this process can keep busy, at least 1.

    The allowed ones, or fewer where a container or batch job has a quota of processor time: more
    processes than that would wait for each other.
    """
    allowed, quota = len(allowed_cores()), control_group.cpu_quota()
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def pin(count: int) -> list[int]:
    """Pin this thread, and all threads it starts later, to `count` exclusive cores.

    Returns the cores, which no other process that calls `pin` gets. Returns an empty list, and pins
    nothing, if fewer are free within `PATIENCE_SECONDS` or the system cannot pin. Must be called
    before XLA is first used, since it creates its threads then.
    """
    if sys.platform != "linux":
        return []
    allowed, deadline = allowed_cores(), time.monotonic() + PATIENCE_SECONDS
    while count <= len(allowed):
        taken: dict[int, socket.socket] = {}
        for core in allowed:
            if len(taken) < count and (lock := _lock(core)) is not None:
                taken[core] = lock
        if len(taken) == count:
            _locks.extend(taken.values())
            os.sched_setaffinity(0, taken)
            return [*taken]
        for lock in taken.values():  # another process may be waiting for these
            lock.close()
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return []


def _lock(core: int) -> socket.socket | None:
    """Return the lock of a core, or None if another process holds it."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0mnas-core-{core}")  # abstract address: no file is left behind
    except OSError:
        lock.close()
        return None
    return lock
