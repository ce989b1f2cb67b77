"""SIGINT (Ctrl-C) and SIGTERM: end a process at a safe point, and at once when asked again.

Python raises KeyboardInterrupt between any two bytecodes, also within libraries that do not survive
it: Ray's core then ends in a segmentation fault, or prints a dump and loses the exception. Within
`deferred`, a signal is only noted, and `check` raises it where the caller says so.

A second signal ends the process without further cleaning up, even if its main thread waits in a
library. `timeout` and some schedulers send every signal twice, to the process and to its group, so
the repetition counts from `REPEAT_SECONDS` after the first one.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
REPEAT_SECONDS = 0.5
RETRY_SECONDS = 0.05
COLLECTION = ("__del__", "_xla_gc_callback")  # functions that the garbage collection calls


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command in the same way as Ctrl-C, but for the exit status."""


class _State:
    """Signals of this process: the first one received, and the number of open contexts."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.contexts = 0
        self.deferrals = 0


_state = _State()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at SIGINT and `Terminated` at SIGTERM within the context.

    Signals that are ignored, as under `nohup`, stay ignored. Without effect outside the main
    thread, which alone receives signals, and within another such context.
    """
    if _state.contexts or not _in_main_thread():
        yield
        return
    before = _install()
    _state.contexts += 1
    try:
        yield
    finally:
        _state.contexts -= 1
        _state.received = None
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Note SIGINT and SIGTERM within the context; `check`, or the context's end, raises them."""
    if not _in_main_thread():
        yield
        return
    with interruptible():
        _state.deferrals += 1
        try:
            yield
        finally:
            _state.deferrals -= 1
        check()


def check() -> None:
    """Raise the exception of a signal that was received within the context, if any."""
    if _state.received is not None and _in_main_thread():
        raise _exception(_state.received)


def reinstall() -> None:
    """Set the handlers of the context again, after a library that has set its own."""
    if _state.contexts and _state.received is None and _in_main_thread():
        _install()


def _install() -> dict[int, Any]:
    """Set the handlers and return those before, by number."""
    before: dict[int, Any] = {}
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN:
            before[number] = signal.signal(number, _handle)
    return before


def end_of_program() -> None:
    """Let the system end the process at a signal, which Python's exit would print and ignore."""
    if _in_main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _exception(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _handle(number: int, frame: Any) -> None:
    if _state.received is None:
        if not _state.deferrals and _ignores_exceptions(frame):
            retry = threading.Timer(RETRY_SECONDS, os.kill, (os.getpid(), number))
            retry.daemon = True
            retry.start()
            return
        _state.received = number
        threading.Thread(target=_end_at_repetition, daemon=True).start()
        if not _state.deferrals:
            raise _exception(number)


def _ignores_exceptions(frame: Any) -> bool:
    """Return whether Python would print and ignore an exception here: in the garbage collection."""
    while frame is not None:
        if frame.f_code.co_name in COLLECTION:
            return True
        frame = frame.f_back
    return False


def _end_at_repetition() -> None:
    """Let the system end the process at the next signal."""
    time.sleep(REPEAT_SECONDS)
    for number in SIGNALS:
        # Python allows `signal.signal` in the main thread only, which may never get to it.
        if _state.received is not None and signal.getsignal(number) is _handle:
            ctypes.pythonapi.PyOS_setsig(number, ctypes.c_void_p(None))  # SIG_DFL
