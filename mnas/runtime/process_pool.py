"""Worker processes of a long work, which end with it."""

import concurrent.futures
import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

from mnas.runtime.parent import end_with_parent
from mnas.runtime.signals import SIGNALS


@contextlib.contextmanager
def process_pool(
    workers: int, initialize: Callable[..., None] | None = None, *arguments: Any
) -> Iterator[concurrent.futures.Executor]:
    """Start up to `workers` processes; each first calls `initialize(*arguments)`, if given.

    An exception within the context, KeyboardInterrupt among them, kills them: what they are at may
    take a minute. So they must write their files whole.
    """
    context = multiprocessing.get_context("spawn")  # JAX cannot be used after a fork
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, _initialize, (initialize, *arguments)
    ) as pool:
        try:
            yield pool
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.kill()
            raise


def _initialize(initialize: Callable[..., None] | None, *arguments: Any) -> None:
    end_with_parent()
    for number in SIGNALS:  # they are for the driver, which ends this process
        signal.signal(number, signal.SIG_IGN)
    if initialize is not None:
        initialize(*arguments)
