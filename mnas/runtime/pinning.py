"""Gives every worker process cores of its own.

Workers of a machine don't know of each other: they may be of several searches, on any node of a
cluster, or take the place of one that was killed. So a core is taken by a lock of its number, which
the system frees when the process ends, however it ends.
"""

import os
import socket
import sys
import time

PATIENCE_SECONDS = 5.0  # for a core whose worker was killed but has not ended yet

_locks: list[socket.socket] = []  # held as long as this process lives


def allowed_cores() -> list[int]:
    """Numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(count: int) -> list[int]:
    """Pins this thread, and those that it starts from now on, to `count` cores of its own.

    The cores, which no other process that asked so has; none, and nothing is pinned, where so many
    are not free within `PATIENCE_SECONDS`, or the system can't pin. XLA makes its threads at first
    use, so call this before.
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
        for lock in taken.values():  # others may be waiting for just these
            lock.close()
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return []


def _lock(core: int) -> socket.socket | None:
    """Whoever holds it, holds the core; None where somebody does."""
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(f"\0mnas-core-{core}")  # an abstract name: no file that could be left behind
    except OSError:
        lock.close()
        return None
    return lock
