"""Exit status of a command."""

import os
import sys
from collections.abc import Callable

from mnas.errors import UsageError

USAGE_ERROR = 2
BROKEN_PIPE = 141  # a shell's status for a program that SIGPIPE ended


def run_command(program: str, command: Callable[[], int | None]) -> int:
    """Call `command` and return the exit status of the process.

    The status is what `command` returns, or 0 for None. A `UsageError` is printed in one line on
    standard error, as "PROGRAM: message", with status 2. Where the reader of standard output is
    gone, as after `| head`, the remaining output is dropped and the status is 141. Any other
    exception propagates.
    """
    try:
        status = command() or 0
        sys.stdout.flush()
        return status
    except UsageError as error:
        message = " ".join(str(error).split())
        print(f"{program}: {message}", file=sys.stderr)
        return USAGE_ERROR
    except BrokenPipeError:
        try:
            print(flush=True)  # fails too where the broken pipe is standard output
        except BrokenPipeError:
            # The interpreter flushes standard output at exit and would report the error again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return BROKEN_PIPE
        raise
