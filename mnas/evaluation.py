"""The contract of an evaluator. Two ship: `mnas.evaluators.proxy` trains, `mnas.evaluators.surrogate` predicts.

An evaluator is any callable

    evaluate(architecture, seed, report=None) -> Evaluation

so a table, a simulator or a job on another machine serves as well as training does. `report`, where
given, is called as `report(epoch, accuracy)` after each epoch that was evaluated, and may answer
"stop": the evaluation then ends with that epoch. An evaluator that never calls it is never stopped.
An evaluator may raise: whoever calls it records the failure (`failure`).

Evaluators are described by frozen dataclasses with `build()`, so that a worker in another process
builds its own.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Literal, Protocol

from mnas.architecture.architecture import Architecture

Report = Callable[[int, float], Literal["stop"] | None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is known of one child after evaluating it. Its mult-adds and params need no evaluator.

    accuracy    on held-out images, 0 to 1; NaN where the evaluation failed
    latency_ms  of one image, where the evaluator measures it
    epochs      trained
    seconds     in all; `timings` has parts of it by name
    error       None, or what went wrong, in one line; such a child gets the failed reward
    history     (epoch, accuracy) as reported; empty where nobody asked for reports
    stopped     by the answer to a report; `accuracy` and `epochs` are those of then
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


Evaluator = Callable[..., Evaluation]


class EvaluatorConfig(Protocol):
    """A frozen dataclass of an evaluator's settings."""

    def build(self) -> Evaluator: ...


def failure(error: BaseException | str, seconds: float = 0.0) -> Evaluation:
    """The evaluation of a child that could not be evaluated, with the cause in one line."""
    if isinstance(error, BaseException):
        lines = str(error).strip().splitlines() or [""]
        error = f"{type(error).__name__}: {lines[0]}" if lines[0] else type(error).__name__
    return Evaluation(error=error, seconds=seconds)


def evaluate_safely(
    evaluate: Evaluator, architecture: Architecture, seed: int, report: Report | None = None
) -> Evaluation:
    """`evaluate`, with an exception turned into a failed `Evaluation`. What every engine calls.

    What was reported, and whether it was stopped, is noted in the evaluation.
    Interrupts (`KeyboardInterrupt`, `SystemExit`) go through: they are about the search.
    """
    start = time.perf_counter()
    noted = None if report is None else _Noted(report)
    try:
        evaluation = evaluate(architecture, seed, noted)
    except Exception as error:
        return failure(error, time.perf_counter() - start)
    if not isinstance(evaluation, Evaluation):
        return failure(f"the evaluator returned {type(evaluation).__name__}, not an Evaluation")
    if noted is not None and evaluation.error is None:
        history = tuple(noted.history)
        evaluation = dataclasses.replace(evaluation, history=history, stopped=noted.stopped)
    return evaluation


class _Noted:
    """A report that keeps what it was told, and whether its last answer was to stop."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.history: list[tuple[int, float]] = []
        self.stopped = False

    def __call__(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        answer = self._report(epoch, accuracy)
        self.history.append((epoch, accuracy))
        self.stopped = answer == "stop"
        return answer
