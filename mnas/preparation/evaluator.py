"""Preparation of an evaluator before the first trial, in a process with a worker's settings."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

from mnas.engines.config import EngineConfig
from mnas.engines.environment import pinned_cores, process_environment
from mnas.errors import RunFailure
from mnas.evaluation import WrapperConfig
from mnas.runtime import signals
from mnas.runtime.jax_settings import default_settings
from mnas.runtime.machine import available_bytes
from mnas.runtime.pinning import pin
from mnas.runtime.process_pool import process_pool

Progress = tuple[int, int, str]
"""Steps done, steps in all, and a line about them; parts with steps of their own may follow."""


@runtime_checkable
class PreparedConfig(Protocol):
    """Configuration of an evaluator that needs something made before the first trial."""

    def located(self, directory: Path) -> Self:
        """Return the configuration with the path of what is made; by default, in `directory`.

        directory  of the run
        """
        ...

    def prepare(self, space: Any) -> Iterator[Progress]:
        """Make it, or what is left of it, and yield the progress; nothing where it is made.

        Files are written whole, since the process may be killed.

        space  configuration of the search space
        """
        ...


def prepared(
    evaluator: Any,
    space: Any,
    directory: Path,
    engine: EngineConfig,
    observe: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> Any:
    """Return the configuration that a search's workers build from, after making what it needs.

    evaluator  any configuration; wrappers are prepared with what they wrap
    space      configuration of the search space
    directory  of the run
    engine     of the search: what is made is made by this process for the inline engine, else by
               one with the environment and pinning of a worker
    observe    called with steps done, steps in all and a line about them

    Raises what `prepare` raises, and RunFailure where the process is killed.
    """
    if isinstance(evaluator, WrapperConfig):
        inner = prepared(evaluator.evaluator, space, directory, engine, observe)
        wrapper: Any = evaluator
        return dataclasses.replace(wrapper, evaluator=inner)
    if not isinstance(evaluator, PreparedConfig):
        return evaluator
    located = evaluator.located(directory)
    if engine.kind == "inline":
        with default_settings(other_threads=True):
            for progress in located.prepare(space):
                signals.check()
                observe(*progress)
    else:
        for progress in _in_worker(located, space, engine):
            observe(*progress)
    return located


def _in_worker(config: PreparedConfig, space: Any, engine: EngineConfig) -> Iterator[Progress]:
    arguments = (config, space, pinned_cores(engine))
    try:
        with process_environment(engine), process_pool(1, _initialize, *arguments) as pool:
            while (progress := pool.submit(_advance).result()) is not None:
                yield progress
    except BrokenProcessPool:
        raise RunFailure(
            "the process that prepares the evaluator was killed, probably for lack of memory "
            f"({available_bytes() / 2**30:.1f} GiB are free now)"
        ) from None


# The preparation of a worker process, begun by `_initialize`.
_preparation: Iterator[Progress]


def _initialize(config: PreparedConfig, space: Any, cores: int) -> None:
    global _preparation
    if cores:
        pin(cores)
    _preparation = config.prepare(space)


def _advance() -> Progress | None:
    return next(_preparation, None)
