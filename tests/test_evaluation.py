import math

import pytest

from mnas.architecture.published import PUBLISHED
from mnas.evaluation import (
    ArchitectureCheck,
    BlockCompiler,
    ClassSource,
    ContentDependent,
    DataDescription,
    Evaluation,
    evaluate_safely,
    failure,
)
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig

B0 = PUBLISHED["efficientnet-b0"]


@pytest.mark.parametrize("accuracy", [math.nan, math.inf])
def test_an_accuracy_that_is_no_number_is_an_error(accuracy):
    assert Evaluation(accuracy=accuracy).error == f"accuracy is not a number: {accuracy}"
    assert Evaluation(error="out of memory").error == "out of memory"
    assert Evaluation(accuracy=0.5).error is None


def test_failures_are_described_in_one_line():
    assert failure(ValueError("first\nsecond")).error == "ValueError: first"
    assert failure(MemoryError()).error == "MemoryError"
    assert failure("timed out", seconds=3.0) == failure("timed out", seconds=3.0)
    assert math.isnan(failure("timed out").accuracy)


def test_exceptions_become_failed_evaluations():
    def evaluate(architecture, seed, report=None):
        raise RuntimeError("no memory")

    evaluation = evaluate_safely(evaluate, B0, 0)
    assert evaluation.error == "RuntimeError: no memory" and evaluation.seconds > 0


def test_another_result_type_is_a_failure():
    evaluation = evaluate_safely(lambda architecture, seed, report: 0.7, B0, 0)
    assert evaluation.error == "the evaluator returned float, not an Evaluation"


def test_interrupts_propagate():
    def evaluate(architecture, seed, report=None):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_safely(evaluate, B0, 0)


@pytest.mark.parametrize(("stop_at", "stopped"), [(2, True), (9, False)])
def test_reports_and_the_stop_are_recorded(stop_at, stopped):
    def evaluate(architecture, seed, report=None):
        for epoch in (1, 2, 3):
            if report(epoch, epoch / 10) == "stop":
                break
        return Evaluation(accuracy=epoch / 10, epochs=epoch)

    evaluation = evaluate_safely(
        evaluate, B0, 0, lambda epoch, accuracy: "stop" if epoch == stop_at else None
    )
    assert evaluation.stopped == stopped
    assert evaluation.history == ((1, 0.1), (2, 0.2), (3, 0.3))[: min(stop_at, 3)]


def test_optional_hooks_are_recognised():
    proxy = ProxyConfig()
    assert isinstance(proxy, ContentDependent) and isinstance(proxy, ArchitectureCheck)
    assert isinstance(proxy, DataDescription) and isinstance(proxy, ClassSource)
    assert isinstance(proxy.build(), BlockCompiler)
    surrogate = SurrogateConfig()
    assert isinstance(surrogate, ArchitectureCheck) and not isinstance(surrogate, ContentDependent)
    assert not isinstance(surrogate.build(), BlockCompiler)
