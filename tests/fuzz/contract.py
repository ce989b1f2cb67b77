"""The contract of every reader of files and text that people bring.

A reader returns a right result, or raises `UsageError` with one short line; it raises nothing else,
ends within seconds, and takes no more memory than its input justifies.
"""

import contextlib
import resource
import signal
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mnas.errors import UsageError

T = TypeVar("T")

SECONDS = 10  # a machine with other work included
MESSAGE_LENGTH = 500
MEMORY_BYTES = 2 << 30


class Quiet(tuple[Any, ...]):
    """Values of a fixture that failures do not show."""

    def __repr__(self) -> str:
        return "..."


class _TookTooLong(BaseException):
    """A reader that has not ended in time; no reader catches it."""


def read(reader: Callable[[], T], *named: object) -> T | None:
    """Return the result of a reader; None where it raises UsageError that has one of `named`."""
    with limited():
        try:
            return reader()
        except UsageError as error:
            message = str(error)
    line = " ".join(message.split())  # as the command line prints it
    assert len(line) < MESSAGE_LENGTH, f"{len(line)} characters: {line[:300]} ..."
    assert any(str(name) in message for name in named), message
    return None


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise within the context after `SECONDS`, and for allocations beyond `MEMORY_BYTES`."""

    def stop(*_: object) -> None:
        raise _TookTooLong

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except _TookTooLong:
        raise AssertionError(f"has not ended within {SECONDS} seconds") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, handler)
