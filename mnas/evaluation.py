"""The contract of an evaluator: a child's accuracy from its architecture.

An evaluator is any callable

    evaluate(architecture, seed, report=None) -> Evaluation

so a table, a simulator or a job on another machine qualifies as well as training does. `report`,
if not None, is called as `report(epoch, accuracy)` after each evaluated epoch, and may return
"stop": the evaluation then ends with that epoch. An evaluator that never calls it is never stopped.
An evaluator may raise any exception and return anything: `evaluate_safely` records an exception,
and whatever is no `Evaluation` of numbers in their ranges, as a failed evaluation.

Evaluators are described by frozen dataclasses with `build()` (`EvaluatorConfig`), so that a worker
in another process builds its own. A run is resumed with the same settings only, except for fields
whose metadata have "identifying": False, on which results don't depend. What else a configuration
or an evaluator can do is optional; a user of such a method checks the protocol with `isinstance`:

    ContentDependent    configuration: digests of the files that results depend on
    DataDescription     configuration: one line about the data that evaluations read
    MeasuredOnImages    configuration: size of the sample of accuracies (`mnas.experiment.sessions`)
    accuracy_word       class variable: "predicted" or what else accuracies are, if not measured
    ImageDescription    configuration: one line about where evaluations keep images
    ClassSource         configuration: number of classes of the data
    ArchitectureCheck   configuration: rejects an architecture before anything is started
    CostSource          configuration: names the settings that a measured cost needs
    DeviceDependent     configuration: settings that follow from the backend, 'cpu', 'gpu' or 'tpu'
    WrapperConfig       configuration: modifies the results of another configuration's evaluator
    PreparedConfig      configuration: makes what evaluations need (`mnas.preparation.evaluator`)
    BlockCompiler       evaluator: compiles the programs of single blocks ahead of a search
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol, Self, runtime_checkable

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError, cause_of, rejected, require_whole

# Limits of what an evaluation holds, so that no child can fill the journal.
MAX_REPORTS = 100_000
MAX_TIMINGS, MAX_NAME = 100, 100  # items, characters
MAX_WHOLE = 10**12
# Accuracies are means of floats: sums of weights may exceed 1 in the last digits.
ROUNDING = 1e-6

# Timings of an evaluation: its processor time, and that of what all evaluations of a run share.
CPU_SECONDS = "cpu_seconds"
SHARED_CPU_SECONDS = "shared_cpu_seconds"

Report = Callable[[int, float], Literal["stop"] | None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Result of evaluating one child. Mult-adds and parameters follow from its architecture.

    accuracy    top-1 on held-out images, 0 to 1; NaN if the evaluation failed. Any other value is
                an error, which the evaluation then has
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
        if self.error is None:
            try:
                _accuracy(self.accuracy)
            except UsageError as wrong:
                object.__setattr__(self, "error", cause_of(wrong))


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
class ContentDependent(Protocol):
    """Configuration whose results depend on the content of files, not on their paths."""

    def contents(self) -> dict[str, str]:
        """Return digests of contents by the setting that holds the path (`data.source`).

        A resumed run requires the same digests; the paths may have changed. Raises UsageError if a
        file can't be read.
        """
        ...


@runtime_checkable
class DataDescription(Protocol):
    """Configuration that can tell users what data evaluations read."""

    def describe_data(self) -> str | None:
        """Return one line: what was read and what was left out; None where there are no data.

        Raises UsageError if the data can't be read.
        """
        ...


@runtime_checkable
class ClassSource(Protocol):
    """Configuration whose data determine the number of classes.

    The command line takes it for the setting `classes` of the space, where that was not given.
    """

    def data_classes(self) -> int | None:
        """Return the number of classes; None where there are no data.

        Raises UsageError if the data can't be read.
        """
        ...


@runtime_checkable
class ArchitectureCheck(Protocol):
    """Configuration that rejects architectures which its evaluator can't evaluate."""

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if networks like this one can't be evaluated."""
        ...


@runtime_checkable
class CostSource(Protocol):
    """Configuration that knows which measured costs its evaluations have."""

    def missing_settings(self, cost: str) -> tuple[str, ...]:
        """Return the settings of which one would provide `cost`; () where evaluations have it.

        cost  `latency_ms`
        """
        ...


@runtime_checkable
class DeviceDependent(Protocol):
    """Configuration of evaluations that compute on a device; a run keeps to one backend."""

    def for_backend(self, backend: str) -> Self:
        """Return the configuration with its automatic settings set for a backend."""
        ...


@runtime_checkable
class ImageDescription(Protocol):
    """Configuration that can tell users where evaluations keep images."""

    def describe_images(self, architecture: Architecture, backend: str) -> str:
        """Return one line: where evaluations of networks like this one keep their images."""
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
    """Return a failed evaluation with the cause in one line of at most 300 characters."""
    return Evaluation(error=cause_of(error), seconds=seconds)


def evaluate_safely(
    evaluate: Evaluator, architecture: Architecture, seed: int, report: Report | None = None
) -> Evaluation:
    """Return the result of `evaluate`, or a failed `Evaluation` if it raises.

    All engines evaluate through this function. With a `report`, the reports and the stop are
    recorded in the evaluation. The result is checked (`plain_evaluation`). Of exceptions,
    KeyboardInterrupt propagates, because it ends the search, and so does the SystemExit by which
    Ray ends a worker.
    """
    start = time.perf_counter()
    recorder = None if report is None else _RecordingReport(report)
    try:
        evaluation: Any = evaluate(architecture, seed, recorder)  # whatever users return
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if hasattr(error, "ray_terminate_msg"):
            raise
        cause = error if recorder is None or recorder.wrong is None else recorder.wrong
        return failure(cause, time.perf_counter() - start)
    if recorder is not None and recorder.wrong is not None:
        return failure(recorder.wrong, time.perf_counter() - start)
    evaluation = plain_evaluation(evaluation)
    if recorder is not None and evaluation.error is None:
        history = _history(recorder.history)
        evaluation = dataclasses.replace(evaluation, history=history, stopped=recorder.stopped)
    return evaluation


class _RecordingReport:
    """Report that records its calls, and whether the last one returned "stop".

    wrong  the first call that was no epoch and accuracy; it raises UsageError
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self.history: list[tuple[int, float]] = []
        self.stopped = False
        self.wrong: str | None = None

    def __call__(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        try:
            plain = checked_report(epoch, accuracy)
            require_whole("report", "number of reports", len(self.history) + 1, most=MAX_REPORTS)
        except (Exception, SystemExit) as error:  # of conversions of foreign objects
            self.wrong = self.wrong or f"report: {cause_of(error).removeprefix('evaluation: ')}"
            raise UsageError(self.wrong) from None
        answer = self._report(*plain)
        self.history.append(plain)
        self.stopped = answer == "stop"
        return answer


# --- whatever an evaluator returns, as plain data ---


def plain_evaluation(result: Any) -> Evaluation:
    """Return an evaluator's result in Python's own numbers, as the journal gives it back.

    Scalars of NumPy and JAX become Python's. Values of `timings` and `history` that are not finite
    are left out; such a latency becomes None. Everything else that isn't of the field's kind and
    range makes the evaluation a failed one that names the field. Raises nothing.
    """
    if not isinstance(result, Evaluation):
        return failure(f"the evaluator returned {type(result).__name__}, not an Evaluation")
    try:
        error = None if result.error is None else cause_of(result.error)
    except (Exception, SystemExit) as wrong:
        return failure(f"evaluation: {cause_of(wrong)}")
    try:
        return Evaluation(
            accuracy=_accuracy(result.accuracy, failed=error is not None),
            latency_ms=_latency(result.latency_ms),
            epochs=_whole("epochs", result.epochs),
            seconds=_seconds(result.seconds),
            error=error,
            timings=_timings(result.timings),
            history=_history(result.history),
            stopped=_flag("stopped", result.stopped),
        )
    except (Exception, SystemExit) as wrong:  # of conversions of foreign objects
        return failure(cause_of(wrong) if error is None else error)


def _wrong(field: str, value: Any, accepted: str) -> UsageError:
    return rejected("evaluation", field, value, accepted)


def _number(field: str, value: Any) -> float:
    """Return a real number of Python, NumPy or JAX as a float, which may be NaN or infinite."""
    # Arrays of one element, texts and booleans would be converted, too.
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if isinstance(value, bool | str | bytes | None) or kind in tuple("bcSUOMm"):
        raise _wrong(field, value, "a number")
    if getattr(value, "shape", ()) != ():
        raise _wrong(field, value, "one number")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise _wrong(field, value, "a number") from None


def _accuracy(value: Any, failed: bool = False) -> float:
    """Return an accuracy; NaN is accepted of failed evaluations."""
    number = _number("accuracy", value)
    if math.isnan(number) and failed:
        return number
    if not math.isfinite(number):
        raise UsageError(f"accuracy is not a number: {number}")
    if not -ROUNDING <= number <= 1 + ROUNDING:
        raise _wrong("accuracy", number, "0 to 1")
    return min(max(number, 0.0), 1.0)


def _latency(value: Any) -> float | None:
    number = math.nan if value is None else _number("latency_ms", value)
    if not math.isfinite(number):
        return None
    if number <= 0:
        raise _wrong("latency_ms", number, "a number above 0, or None")
    return number


def _whole(field: str, value: Any) -> int:
    number = _number(field, value)
    if not (number.is_integer() and 0 <= number <= MAX_WHOLE):
        raise _wrong(field, value, f"a whole number from 0 to {MAX_WHOLE}")
    return int(number)


def _seconds(value: Any) -> float:
    number = _number("seconds", value)
    if not (math.isfinite(number) and number >= 0):
        raise _wrong("seconds", number, "a number of at least 0")
    return number


def _flag(field: str, value: Any) -> bool:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if not (isinstance(value, bool) or (kind == "b" and value.shape == ())):
        raise _wrong(field, value, "True or False")
    return bool(value)


def _timings(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or len(value) > MAX_TIMINGS:
        raise _wrong("timings", value, f"at most {MAX_TIMINGS} numbers by name")
    for name in value:
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise _wrong("timings", name, f"names of at most {MAX_NAME} characters")
    numbers = {str(name): _number(f"timings[{name!r}]", item) for name, item in value.items()}
    return {name: number for name, number in numbers.items() if math.isfinite(number)}


def _history(value: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_REPORTS:
        raise _wrong("history", value, f"at most {MAX_REPORTS} pairs of epoch and accuracy")
    pairs = []
    for pair in value:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise _wrong("history", pair, "pairs of epoch and accuracy")
        pairs.append(checked_report(*pair))
    return tuple(pair for pair in pairs if math.isfinite(pair[1]))


def checked_report(epoch: Any, accuracy: Any) -> tuple[int, float]:
    """Return the epoch and the accuracy of a report in Python's own numbers.

    The accuracy may be no number: a child that diverged. Raises UsageError for what is none.
    """
    number = _number("accuracy", accuracy)
    return _whole("epoch", epoch), _accuracy(number) if math.isfinite(number) else number
