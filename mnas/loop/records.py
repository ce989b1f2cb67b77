"""Typed records of the journal: the one module that knows its keys.

A journal begins with one `ExperimentRecord`. Then, for each batch: one `ProposalsRecord`, one
`ResultRecord` for each of its trials in order of arrival, one `UpdateRecord`. Where the best
networks are measured again (`mnas.loop.remeasuring`), a `RemeasureRecord` and a `RemeasuredRecord`
for each measurement in order of arrival.

A record's JSON form (`to_json`, `from_json`) is an object of its `kind` and its fields. Numbers are
read back bit for bit; NaN and infinities, which JSON cannot represent, are null.

Letters: N proposals of a batch, D decisions.
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from importlib import metadata
from time import time as now
from typing import Any, ClassVar

from mnas.errors import UsageError, is_finite, rejected, shown
from mnas.evaluation import Evaluation
from mnas.loop.trial import Result
from mnas.runtime.provenance import provenance

FORMAT = "mnas-journal/1"
# In `timings`, though not a time: the number of the worker that made the evaluation, from 0, where
# the engine of Ray actors evaluates. Which one it is depends on chance, as all of `timings` does. A
# worker in the place of a lost one has its number.
WORKER = "worker"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """First record of a journal.

    format      version of the journal's format
    version     version of mnas that began the search
    name        the experiment's name
    settings    settings that determine the search (`mnas.experiment.run.identity`); empty in the
                journal of a `Search` without an experiment
    reference   published network that reports compare the best network with
    provenance  versions, machine, commit and command of the process that began the search
                (`mnas.runtime.provenance`)
    """

    kind: ClassVar[str] = "experiment"
    format: str = FORMAT
    version: str = dataclasses.field(default_factory=lambda: metadata.version("mnas"))
    name: str = "search"
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    reference: str | None = None
    provenance: dict[str, Any] = dataclasses.field(default_factory=provenance)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProposalsRecord:
    """A batch of proposed networks.

    batch        number of the batch, from 0
    first_trial  number of the batch's first trial
    decisions    canonical vectors, int [N, D]
    log_probs    float [N]; None where not finite
    time         seconds since the epoch
    """

    kind: ClassVar[str] = "proposals"
    batch: int
    first_trial: int
    decisions: tuple[tuple[int, ...], ...]
    log_probs: tuple[float | None, ...]
    time: float = dataclasses.field(default_factory=now)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultRecord:
    """The result of a trial.

    hash          canonical hash of the network
    seed          seed of the evaluation
    duplicate_of  earlier trial of the same network, whose evaluation this record copies
    architecture  the network, as `Architecture.from_dict` reads it
    accuracy      on held-out images, 0 to 1; None where the evaluation failed
    latency_ms    of one image; None where not measured
    error         cause of the failure in one line; None where the evaluation succeeded
    seconds       time of the evaluation; 0 for a duplicate
    timings       parts of `seconds` by name, and `WORKER`
    history       (epoch, accuracy) as reported; empty where early stopping is off
    stopped       whether early stopping ended the training
    time          seconds since the epoch
    """

    kind: ClassVar[str] = "result"
    trial: int
    hash: str
    seed: int
    duplicate_of: int | None = None
    architecture: dict[str, Any]
    reward: float
    accuracy: float | None
    params: int
    mult_adds: int
    latency_ms: float | None = None
    epochs: int = 0
    error: str | None = None
    seconds: float = 0.0
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    history: tuple[tuple[int, float], ...] = ()
    stopped: bool = False
    time: float = dataclasses.field(default_factory=now)

    @classmethod
    def of(cls, result: Result) -> "ResultRecord":
        """Return the record of a result, with the present time."""
        trial, evaluation = result.trial, result.evaluation
        return cls(
            trial=trial.number,
            hash=trial.hash,
            seed=trial.seed,
            duplicate_of=result.duplicate_of,
            architecture=trial.architecture.to_dict(),
            reward=result.reward,
            accuracy=finite_or_none(evaluation.accuracy),
            params=result.cost.params,
            mult_adds=result.cost.mult_adds,
            latency_ms=evaluation.latency_ms,
            epochs=evaluation.epochs,
            error=evaluation.error,
            seconds=evaluation.seconds,
            timings=evaluation.timings,
            history=evaluation.history,
            stopped=evaluation.stopped,
        )

    @property
    def evaluation(self) -> Evaluation:
        """Return the evaluation as `Search.tell` recorded it."""
        return Evaluation(
            accuracy=number_or_nan(self.accuracy),
            latency_ms=self.latency_ms,
            epochs=self.epochs,
            seconds=self.seconds,
            error=self.error,
            timings=self.timings,
            history=self.history,
            stopped=self.stopped,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class UpdateRecord:
    """An update of the controller with a complete batch.

    mean_reward    mean reward of the batch
    mean_log_prob  mean log-probability of its proposals; None where not finite
    controller     `Controller.summary` after the update; None where not finite
    time           seconds since the epoch
    """

    kind: ClassVar[str] = "update"
    batch: int
    mean_reward: float
    mean_log_prob: float | None = None
    controller: dict[str, float | None] = dataclasses.field(default_factory=dict)
    time: float = dataclasses.field(default_factory=now)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemeasureRecord:
    """Beginning of a round of measurements of the best networks so far.

    selection  how they were selected
    top        number of networks that were wanted
    seeds      number of measurements of each, those of earlier rounds included
    results    number of results of the search so far
    trials     the networks' trials, best first; fewer than `top` where the search has fewer
    time       seconds since the epoch
    """

    kind: ClassVar[str] = "remeasure"
    selection: str
    top: int
    seeds: int
    results: int
    trials: tuple[int, ...]
    time: float = dataclasses.field(default_factory=now)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RemeasuredRecord:
    """A further measurement of a trial's network; fields as of `ResultRecord`.

    number  of the measurement, from 0
    """

    kind: ClassVar[str] = "remeasured"
    trial: int
    number: int
    seed: int
    reward: float
    accuracy: float | None
    latency_ms: float | None = None
    epochs: int = 0
    error: str | None = None
    seconds: float = 0.0
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    time: float = dataclasses.field(default_factory=now)

    @classmethod
    def of(cls, result: Result, number: int) -> "RemeasuredRecord":
        """Return the record of a measurement's result, with the present time."""
        evaluation = result.evaluation
        return cls(
            trial=result.trial.number,
            number=number,
            seed=result.trial.seed,
            reward=result.reward,
            accuracy=finite_or_none(evaluation.accuracy),
            latency_ms=evaluation.latency_ms,
            epochs=evaluation.epochs,
            error=evaluation.error,
            seconds=evaluation.seconds,
            timings=evaluation.timings,
        )

    @property
    def evaluation(self) -> Evaluation:
        """Return the evaluation as it was recorded."""
        return Evaluation(
            accuracy=number_or_nan(self.accuracy),
            latency_ms=self.latency_ms,
            epochs=self.epochs,
            seconds=self.seconds,
            error=self.error,
            timings=self.timings,
        )


Record = (
    ExperimentRecord
    | ProposalsRecord
    | ResultRecord
    | UpdateRecord
    | RemeasureRecord
    | RemeasuredRecord
)

KINDS: dict[str, type[Record]] = {kind.kind: kind for kind in typing.get_args(Record)}


def to_json(record: Record) -> dict[str, Any]:
    """Return the JSON object of a record, `kind` first."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {"kind": record.kind, **fields}


def from_json(data: Any) -> Record:
    """Return the record of a JSON object; all its fields must be present and of their types.

    Raises UsageError that names an unknown kind, or a missing, unknown or ill-typed key.
    """
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise UsageError(f"kind = {shown(kind)}; accepted: an object of kind {', '.join(KINDS)}")
    converters = _CONVERTERS[kind]
    for key in data.keys() - converters.keys() - {"kind"}:
        raise UsageError(f"{kind}: unknown key {shown(key)}; accepted: {', '.join(converters)}")
    values = {}
    for key, convert in converters.items():
        if key not in data:
            raise UsageError(f"{kind}: no key {key!r}")
        try:
            values[key] = convert(data[key])
        except TypeError:
            annotation = _FIELDS[kind][key]
            plain = isinstance(annotation, type) and not typing.get_args(annotation)
            accepted = annotation.__name__ if plain else str(annotation)
            raise rejected(kind, key, data[key], accepted) from None
    return KINDS[kind](**values)


def _annotations(record: type[Record]) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {field.name: hints[field.name] for field in dataclasses.fields(record)}


@functools.cache
def _converter(annotation: Any) -> Callable[[Any], Any]:
    """Return the function from JSON values to instances of a field's annotation.

    It raises TypeError for a value that is not one.
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is types.UnionType:  # X | None
        inner = _converter(arguments[0])
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        return _tuple_converter(arguments)
    if origin is dict:
        inner = _converter(arguments[1])
        return lambda value: {name: inner(item) for name, item in _checked(value, dict).items()}
    if annotation is float:
        return _finite_float
    return (
        (lambda value: value) if annotation is Any else functools.partial(_checked, kind=annotation)
    )


def _tuple_converter(arguments: tuple[Any, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Return the converter of lists: of any length for (X, ...), else one item per argument."""
    if arguments[-1] is Ellipsis:
        inner = _converter(arguments[0])
        return lambda value: tuple(map(inner, _checked(value, list)))
    converters = [_converter(argument) for argument in arguments]

    def convert(value: Any) -> tuple[Any, ...]:
        if len(_checked(value, list)) != len(converters):
            raise TypeError
        return tuple(inner(item) for inner, item in zip(converters, value, strict=True))

    return convert


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError
    return value


def _finite_float(value: Any) -> float:
    if not is_finite(value):
        raise TypeError
    return float(value)


_FIELDS = {kind: _annotations(record) for kind, record in KINDS.items()}
_CONVERTERS = {
    kind: {key: _converter(annotation) for key, annotation in fields.items()}
    for kind, fields in _FIELDS.items()
}


def finite_or_none(value: float) -> float | None:
    """Return the number, or None for NaN and infinities, which JSON cannot represent."""
    return value if math.isfinite(value) else None


def number_or_nan(value: float | None) -> float:
    """Return the number, or NaN for None."""
    return math.nan if value is None else value
