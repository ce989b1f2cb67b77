"""The contract of an evaluator: a child's accuracy from its architecture.

An evaluator is any callable

    evaluate(architecture, seed, report=None) -> Evaluation

so a table, a simulator or a job on another machine qualifies as well as training does. `report`,
if not None, is called as `report(epoch, accuracy)` after each evaluated epoch, and may return
"stop": the evaluation then ends with that epoch. An evaluator that never calls it is never stopped.
An evaluator may raise any exception: `evaluate_safely` records it as a failed evaluation.

Evaluators are described by frozen dataclasses with `build()` (`EvaluatorConfig`), so that a worker
in another process builds its own. What else a configuration or an evaluator can do is optional; a
user of such a method checks the protocol with `isinstance`:

    FileDependent       configuration: names the files that results depend on
    ArchitectureCheck   configuration: rejects an architecture before anything is started
    WrapperConfig       configuration: modifies the results of another configuration's evaluator
    BlockCompiler       evaluator: compiles the programs of single blocks ahead of a search
"""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

from mnas.architecture.architecture import Architecture

Report = Callable[[int, float], Literal["stop"] | None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Result of evaluating one child. Mult-adds and parameters follow from its architecture.

    accuracy    top-1 on held-out images, 0 to 1; NaN if the evaluation failed
    latency_ms  of one image; None if the evaluator doesn't provide it
    epochs      epochs trained
    seconds     total time; `timings` holds parts of it by name
    error       None, or the cause of the failure in one line; the child gets the failed reward
    history     (epoch, accuracy) of every report; empty without a `report` callable
    stopped     whether a report returned "stop"; `accuracy` and `epochs` are those of that epoch
    """

    accuracy: float = math.nan
    latency_ms: float | None = None
    epochs: int = 0
    seconds: float = 0.0
    error: str | None = None
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    history: tuple[tuple[int, float], ...] = ()
    stopped: bool = False

    def __post_init__(self) -> None:
        if self.error is None and not math.isfinite(self.accuracy):
            object.__setattr__(self, "error", f"accuracy is not a number: {self.accuracy}")


class Evaluator(Protocol):
    """Function of a child's architecture and seed."""

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Return the evaluation of one child; the same for the same architecture and seed.

        seed is a whole number from 0 to 2^32 - 1. Only `seconds` and `timings`, and a latency
        measured on the device, may differ between two calls.
        """
        ...


class EvaluatorConfig(Protocol):
    """Frozen dataclass of an evaluator's settings."""

    def build(self) -> Evaluator:
        """Return a new evaluator. Raises UsageError if a setting or file can't be used."""
        ...


@runtime_checkable
class FileDependent(Protocol):
    """Configuration whose results depend on the content of files."""

    def files(self) -> dict[str, Path]:
        """Return the files by setting (`data.source`); a resumed run requires the same content."""
        ...


@runtime_checkable
class ArchitectureCheck(Protocol):
    """Configuration that rejects architectures which its evaluator can't evaluate."""

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if networks like this one can't be evaluated."""
        ...


@runtime_checkable
class WrapperConfig(Protocol):
    """Configuration of an evaluator that modifies the results of another one.

    `evaluator` is a dataclass field: the inner configuration, of any kind.
    """

    evaluator: Any

    @classmethod
    def around(cls, evaluator: Any) -> Self:
        """Return this wrapper with default settings around the configuration `evaluator`."""
        ...


@runtime_checkable
class BlockCompiler(Protocol):
    """Evaluator whose children are chains of separately compiled blocks."""

    def compile_batches(self, architecture: Architecture) -> None:
        """Compile what all children of this resolution need besides their blocks."""
        ...

    def compile_block(self, architecture: Architecture, index: int) -> None:
        """Compile all programs of one block, by its index in the child (stem first, head last)."""
        ...


def unwrapped(config: Any) -> Any:
    """Return the configuration inside all wrappers; `config` itself if it is no wrapper."""
    while isinstance(config, WrapperConfig):
        config = config.evaluator
    return config


def failure(error: BaseException | str, seconds: float = 0.0) -> Evaluation:
    """Return a failed evaluation with the cause in one line."""
    if isinstance(error, BaseException):
        lines = str(error).strip().splitlines() or [""]
        error = f"{type(error).__name__}: {lines[0]}" if lines[0] else type(error).__name__
    return Evaluation(error=error, seconds=seconds)


def evaluate_safely(
    evaluate: Evaluator, architecture: Architecture, seed: int, report: Report | None = None
) -> Evaluation:
    """Return the result of `evaluate`, or a failed `Evaluation` if it raises.

    All engines evaluate through this function. With a `report`, the reports and the stop are
    recorded in the evaluation. KeyboardInterrupt and SystemExit propagate: they end the search.
    """
    start = time.perf_counter()
    recorder = None if report is None else _RecordingReport(report)
    try:
        evaluation: Any = evaluate(architecture, seed, recorder)  # whatever users return
    except Exception as error:
        return failure(error, time.perf_counter() - start)
    if not isinstance(evaluation, Evaluation):
        return failure(f"the evaluator returned {type(evaluation).__name__}, not an Evaluation")
    if recorder is not None and evaluation.error is None:
        history = tuple(recorder.history)
        evaluation = dataclasses.replace(evaluation, history=history, stopped=recorder.stopped)
    return evaluation


class _RecordingReport:
    """Report that records its calls, and whether the last one returned "stop"."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.history: list[tuple[int, float]] = []
        self.stopped = False

    def __call__(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        answer = self._report(epoch, accuracy)
        self.history.append((epoch, accuracy))
        self.stopped = answer == "stop"
        return answer
