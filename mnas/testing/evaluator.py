"""Conformance of an evaluator (`mnas.evaluation`)."""

import dataclasses
import pickle
from collections.abc import Callable
from typing import Any, Literal

from mnas.architecture.architecture import Architecture
from mnas.evaluation import (
    ArchitectureCheck,
    BlockCompiler,
    ClassSource,
    ContentDependent,
    DataDescription,
    DeviceDependent,
    Evaluation,
    EvaluatorConfig,
    ImageDescription,
    Report,
    WrapperConfig,
    evaluate_safely,
)


def check_evaluator(config: EvaluatorConfig, architecture: Architecture, seed: int = 0) -> None:
    """Check an evaluator on one architecture, which it evaluates five times.

    Raises AssertionError naming the violated requirement.
    """
    check_settings(config)
    check_hooks(config, architecture)
    check_determinism(config, architecture, seed)
    check_reports(config, architecture, seed)


def check_settings(config: Any) -> None:
    """Check that the configuration can be sent to workers and be compared after a restart."""
    name = type(config).__name__
    assert dataclasses.is_dataclass(type(config)), f"{name} is no dataclass"
    assert type(config).__dataclass_params__.frozen, f"{name} is not frozen"
    assert pickle.loads(pickle.dumps(config)) == config, f"{name} differs from its pickled copy"


def check_hooks(config: EvaluatorConfig, architecture: Architecture) -> None:
    """Check the optional methods of the configuration and the evaluator, where they exist."""
    if isinstance(config, ContentDependent):
        first, second = config.contents(), config.contents()
        assert first == second, f"contents: {first} and then {second} of the same files"
        for setting, digest in first.items():
            assert isinstance(digest, str), f"contents: {setting} is {digest!r}; a str expected"
            _check_setting(config, setting)
    if isinstance(config, DataDescription):
        line: Any = config.describe_data()
        assert line is None or (isinstance(line, str) and "\n" not in line), (
            f"describe_data returned {line!r}; one line or None expected"
        )
    if isinstance(config, ClassSource):
        classes: Any = config.data_classes()
        assert classes is None or (type(classes) is int and classes > 0), (
            f"data_classes returned {classes!r}; a number above 0 or None expected"
        )
    if isinstance(config, DeviceDependent):
        _check_backends(config)
    if isinstance(config, ImageDescription):
        told: Any = config.describe_images(architecture, "cpu")
        assert isinstance(told, str) and "\n" not in told, (
            f"describe_images returned {told!r}; one line expected"
        )
    if isinstance(config, ArchitectureCheck):
        check: Callable[[Architecture], Any] = config.check
        assert check(architecture) is None, "check returned a value; it must raise or not"
    if isinstance(config, WrapperConfig):
        around = type(config).around(config.evaluator)
        assert type(around) is type(config) and around.evaluator == config.evaluator, (
            "around(evaluator) is no wrapper of that evaluator"
        )
    evaluator = config.build()
    if isinstance(evaluator, BlockCompiler):
        evaluator.compile_batches(architecture)
        evaluator.compile_block(architecture, 0)


def _check_backends(config: DeviceDependent) -> None:
    """Check that automatic settings are set once, and not changed for another backend."""
    for backend in ("cpu", "gpu"):
        first = config.for_backend(backend)
        assert type(first) is type(config), f"for_backend returned {type(first).__name__}"
        second = first.for_backend("gpu" if backend == "cpu" else "cpu")
        assert second == first, f"for_backend: {first} and then {second} for another backend"


def _check_setting(config: Any, path: str) -> None:
    """Check that a dotted path names a setting."""
    value = config
    for name in path.split("."):
        assert hasattr(value, name), f"contents: {path} is no setting of {type(config).__name__}"
        value = getattr(value, name)


def check_determinism(config: EvaluatorConfig, architecture: Architecture, seed: int = 0) -> None:
    """Check that two evaluators of the same settings agree, bit for bit."""
    first, second = (_evaluate(config, architecture, seed) for _ in range(2))
    for field in ("accuracy", "epochs"):
        a, b = getattr(first, field), getattr(second, field)
        assert a == b, f"{field} is {a} and then {b} for the same architecture and seed"


def check_reports(config: EvaluatorConfig, architecture: Architecture, seed: int = 0) -> None:
    """Check the calls of `report`, and that the answer "stop" ends the evaluation."""
    unreported = _evaluate(config, architecture, seed)
    evaluation = _evaluate(config, architecture, seed, lambda epoch, accuracy: None)
    assert evaluation.accuracy == unreported.accuracy, (
        f"accuracy is {unreported.accuracy} without reports and {evaluation.accuracy} with them"
    )
    if not evaluation.history:
        return
    epochs = [epoch for epoch, _ in evaluation.history]
    assert all(type(epoch) is int and epoch >= 1 for epoch in epochs), f"epochs {epochs} reported"
    assert epochs == sorted(set(epochs)), f"reported epochs don't increase: {epochs}"
    _check_last_report(evaluation)

    def stop(epoch: int, accuracy: float) -> Literal["stop"]:
        return "stop"

    stopped = _evaluate(config, architecture, seed, stop)
    assert len(stopped.history) == 1, f"{len(stopped.history)} reports after the answer 'stop'"
    _check_last_report(stopped)


def _check_last_report(evaluation: Evaluation) -> None:
    last = evaluation.history[-1]
    assert last == (evaluation.epochs, evaluation.accuracy), (
        f"the last report is {last}; the result is {(evaluation.epochs, evaluation.accuracy)}"
    )


def _evaluate(
    config: EvaluatorConfig, architecture: Architecture, seed: int, report: Report | None = None
) -> Evaluation:
    evaluation = evaluate_safely(config.build(), architecture, seed, report)
    assert evaluation.error is None, f"the evaluation failed: {evaluation.error}"
    return evaluation
