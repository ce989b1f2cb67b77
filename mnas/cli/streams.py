"""Standard streams of a command, whatever the shell has made of them.

A closed stream reads as empty and drops its output; characters that the locale can't print are
replaced. A full or broken standard error drops its output from there on, because progress and
messages must not end a run. A full or broken standard output is an error: it has the results.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


class OutputError(OSError):
    """Standard output can't be written."""


@contextlib.contextmanager
def usable_streams() -> Iterator[None]:
    """Open what is closed of the standard streams, and make the others print what they can.

    Within the context, `sys.stdout` raises `OutputError`, once, and drops later output.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file that is opened would get this number and the output of others.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
    sys.stdout = _printing(sys.stdout, 1)
    sys.stderr = _printing(sys.stderr, 2)
    output, messages = _Output(sys.stdout, OutputError), _Output(sys.stderr, None)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages):
        yield


def _printing(stream: TextIO | None, descriptor: int) -> TextIO:
    """Return a stream that replaces characters it can't encode; `descriptor` where it is None."""
    if stream is None:
        return open(descriptor, "w", encoding="utf-8", errors="replace", closefd=False)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    return stream


class _Output:
    """Text stream that drops its output from the first error on.

    error  class of what is raised at the first error; None raises nothing
    """

    def __init__(self, stream: TextIO, error: type[OutputError] | None) -> None:
        self._stream, self._error = stream, error

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        # What is buffered must go somewhere when the interpreter flushes at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)
        if self._error is not None:
            raise self._error(error.errno, error.strerror) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
