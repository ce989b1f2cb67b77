"""Exceptions of a command as one line on standard error and an exit status.

2    a mistake of the user: `UsageError`, a file or directory that can't be read or written, a full
     standard output, a device that JAX can't use; printed in one line
1    a run that can't go on: `RunFailure`, divergence, out of memory; printed in one line
130  Ctrl-C, 143 SIGTERM; one line, with the command that continues the run
141  the reader of standard output is gone, as after `| head`; nothing printed
1    a defect, which is any other exception: its traceback
"""

import contextlib
import errno
import logging
import os
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from mnas.cli.streams import OutputError, usable_streams
from mnas.errors import RunFailure, UsageError, printable
from mnas.reports import log
from mnas.runtime.jax_settings import without_shell_variables
from mnas.runtime.signals import Terminated, interruptible

logger = logging.getLogger(__name__)

FAILED = 1
USAGE_ERROR = 2
INTERRUPTED = 130  # a shell's status for a program that Ctrl-C ended
BROKEN_PIPE = 141  # that SIGPIPE ended
TERMINATED = 143  # that SIGTERM ended
MESSAGE_LENGTH = 2000  # a path may have 4,096 characters

HIDDEN = (
    "MPLBACKEND",  # matplotlib can't be imported where that of a notebook is not installed
    "PYTHONOPTIMIZE",  # Ray does not start without docstrings
    "PYTHONWARNINGS",  # as errors, the warnings of libraries would end a run
)
SILENT = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)

ADVICE = "mnas_advice"  # attribute of an exception
REPORT = (
    "This is a defect of mnas. Please report it to the maintainers (CONTRIBUTING.md), with this "
    "traceback, the command and the output of `mnas --version`."
)


@contextlib.contextmanager
def _own_environment() -> Iterator[None]:
    """Hide variables of the user's shell that libraries, here and in workers, do not survive."""
    hidden = {name: os.environ.pop(name) for name in HIDDEN if name in os.environ}
    try:
        with warnings.catch_warnings():
            if "PYTHONWARNINGS" in hidden:  # which has taken effect here: to Python's defaults
                warnings.resetwarnings()
                for category in SILENT:
                    warnings.simplefilter("ignore", category)
            yield
    finally:
        os.environ.update(hidden)


def run_command(
    program: str,
    command: Callable[[], int | None],
    tracebacks: bool = False,
    config: log.LogConfig = log.DEFAULT,
) -> int:
    """Call `command` and return the exit status of the process.

    The status is what `command` returns, or 0 for None. An exception of the table above is logged
    as "PROGRAM: message", its control characters escaped, and becomes its status; a defect
    propagates, with a note that asks for a report. Where the reader of standard output is gone, the
    remaining output is dropped.

    tracebacks  print the traceback of every error
    config      what is shown of the log

    JAX's settings in the user's shell do not apply (`mnas.runtime.jax_settings`), nor do `HIDDEN`.
    """
    with (
        usable_streams(),
        without_shell_variables(),
        _own_environment(),
        log.shown(config, program),
        interruptible(),
    ):
        try:
            try:
                status = command() or 0
            except SystemExit:  # the help was printed
                sys.stdout.flush()
                raise
            sys.stdout.flush()
            return status
        except BaseException as error:
            explained = _explanation(error)
            if explained is None:
                if isinstance(error, Exception):
                    error.add_note(REPORT)
                raise
            message, status = explained
            if tracebacks:
                traceback.print_exc()
            if message:
                message = "; ".join(filter(None, [message, getattr(error, ADVICE, None)]))
                line = printable(" ".join(message.split()), MESSAGE_LENGTH)
                logger.error("%s", line, extra={"fields": {"status": status}})
            return status


@contextlib.contextmanager
def stop_advice(text: str) -> Iterator[None]:
    """Add how to go on to what ends the command within the context.

    Not to what would end it again: a `UsageError` or a training that diverged.
    """
    try:
        yield
    except (UsageError, FloatingPointError, SystemExit):
        raise
    except BaseException as error:
        error.add_note(text)  # for tracebacks
        setattr(error, ADVICE, text)
        raise


def exit_status(error: BaseException) -> int:
    """Return the exit status of a command that an exception ends."""
    explained = _explanation(error)
    return FAILED if explained is None else explained[1]


def _explanation(error: BaseException) -> tuple[str, int] | None:
    """Return the message and the exit status of an error; None for a defect."""
    if isinstance(error, UsageError):
        return str(error), USAGE_ERROR
    if isinstance(error, RunFailure | FloatingPointError):  # the latter: a training diverged
        return str(error), FAILED
    if isinstance(error, KeyboardInterrupt):
        status = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        return "stopped", status
    if isinstance(error, MemoryError):
        return ": ".join(filter(None, ["out of memory", str(error)])), FAILED
    if not isinstance(error, Exception):
        return None
    if isinstance(error, OutputError):
        if error.errno == errno.EPIPE:
            return "", BROKEN_PIPE
        return f"standard output can't be written: {error.strerror}", USAGE_ERROR
    return _file_error(error) or _device_error()


def _file_error(error: Exception) -> tuple[str, int] | None:
    """Return the explanation of an error at a file of the user, not one of the installation."""
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return None
    path = Path(os.fsdecode(error.filename))
    installed = [Path(__file__).parents[1], Path(sysconfig.get_path("stdlib"))]
    if any(path.is_relative_to(directory) for directory in installed):
        return None
    return f"{path}: {error.strerror}", USAGE_ERROR


def _device_error() -> tuple[str, int] | None:
    """Return the explanation where JAX has no device, whatever the error was that this has led to.

    JAX raises errors of several classes, one of them without a message.
    """
    platforms = os.environ.get("JAX_PLATFORMS")
    if not platforms or "jax" not in sys.modules:
        return None
    import jax

    try:
        jax.devices()
    except Exception as error:
        cause = (str(error).strip() or "it has no device").splitlines()[0]
        return f"JAX_PLATFORMS = {platforms!r}: {cause}; accepted: cpu", USAGE_ERROR
    return None
