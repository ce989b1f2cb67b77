"""Several processes that train together (`jax.distributed`): how they meet, and how they end.

Where a coordinator is given, the processes first meet at its address, which JAX's coordination
service then takes over: JAX itself would wait for a process that is missing, and abort.

A process that ends otherwise than all others ends them too. JAX notices a killed coordinator at
once, another process within `HEARTBEAT_SECONDS`, and then aborts; here the abort becomes one last
line and exit status 1. A process that an error ends keeps its own line and status, and does not
wait for the others, who may be waiting for it.
"""

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import jax

from mnas.errors import UsageError
from mnas.runtime import signals
from mnas.training import meeting

HEARTBEAT_SECONDS = 20  # a process that is silent for longer has ended
LEAVE_SECONDS = 5  # a process that ends by an error waits as long for the others to end too
LOST = (
    "mnas: JAX aborted this process, as it does when another process of the training has ended or "
    "can't be reached; the same commands in all processes continue from the last checkpoint\n"
)


@contextlib.contextmanager
def together(
    coordinator: str | None,
    processes: int | None,
    index: int | None,
    exit_status: Callable[[BaseException], int],
) -> Iterator[None]:
    """Be one of several processes that train together, within the context and to the end.

    exit_status  status with which an exception ends the process

    Arguments and errors are otherwise those of `join`.
    """
    join(coordinator, processes, index)
    try:
        yield
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError):
            # Of a collective operation, probably: JAX aborts in a moment if a process has ended.
            time.sleep(2 * HEARTBEAT_SECONDS)
        _status.value = exit_status(error)
        atexit.register(_leave)  # before JAX's, which would wait for minutes
        raise


def join(
    coordinator: str | None = None, processes: int | None = None, index: int | None = None
) -> None:
    """Make this process one of several that train together; before anything else of JAX.

    coordinator  address of process 0, "host:port"
    processes    number of processes
    index        number of this process, from 0

    Without arguments, JAX asks the cluster (Slurm, Open MPI, Kubernetes). Raises UsageError where
    that is impossible, or the processes do not meet (`mnas.training.meeting`).
    """
    if coordinator is None or processes is None or index is None:
        if (coordinator, processes, index) != (None, None, None):
            raise UsageError(
                f"coordinator = {coordinator!r}, processes = {processes}, index = {index}; "
                "accepted: all three, or none"
            )
    else:
        meeting.meet(coordinator, processes, index)
    ctypes.pythonapi.PyOS_setsig(int(signal.SIGABRT), _on_abort)
    try:
        jax.distributed.initialize(
            coordinator, processes, index, heartbeat_timeout_seconds=HEARTBEAT_SECONDS
        )
    except (RuntimeError, ValueError) as error:
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"processes can't be joined: {cause}") from None
    signals.reinstall()  # JAX has taken SIGTERM for itself


class _Status:
    """Exit status of this process, once an exception ends it."""

    value: int | None = None


_status = _Status()


@ctypes.CFUNCTYPE(None, ctypes.c_int)
def _on_abort(number: int) -> None:
    """End the process instead of dumping core."""
    if _status.value is None:
        os.write(2, LOST.encode())
    os._exit(1 if _status.value is None else _status.value)


def _leave() -> None:
    """Leave the coordination service, and end without the others if they do not leave too."""
    thread = threading.Thread(target=jax.distributed.shutdown, daemon=True)
    thread.start()
    thread.join(LEAVE_SECONDS)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(_status.value or 0)
