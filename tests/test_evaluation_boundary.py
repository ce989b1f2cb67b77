"""Whatever an evaluator returns, raises or reports becomes plain data or a failure with a cause."""

import dataclasses
import json
import math
import pickle

import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.published import PUBLISHED
from mnas.evaluation import Evaluation, evaluate_safely, failure, plain_evaluation

B0 = PUBLISHED["efficientnet-b0"]


class Unprintable(Exception):
    """Exception whose text can't be made."""

    def __str__(self):
        raise ZeroDivisionError("no text")


class Hostile:
    """Object that raises whatever is done with it."""

    def __float__(self):
        raise RuntimeError("no float")

    __iter__ = __len__ = __repr__ = __bool__ = __float__


def evaluated(result) -> Evaluation:
    """Return the checked evaluation of an evaluator that returns or raises `result`."""

    def evaluate(architecture, seed, report=None):
        if isinstance(result, type | BaseException):
            raise result
        return result

    return evaluate_safely(evaluate, B0, 0)


def assert_plain(evaluation):
    """Check that an evaluation can be sent to another process and be written as JSON."""
    assert type(evaluation) is Evaluation
    assert pickle.loads(pickle.dumps(evaluation.error)) == evaluation.error
    content = dataclasses.asdict(evaluation)
    if math.isnan(content["accuracy"]):
        content["accuracy"] = None
    json.dumps(content, allow_nan=False)
    if evaluation.error is not None:
        assert len(evaluation.error) <= 300 and evaluation.error.isprintable()


@pytest.mark.parametrize(
    "accuracy",
    [93.1, -0.1, 1e40, 10**400, "0.5", b"0.5", True, np.bool_(True), None, [0.5], 0.5j,
     np.complex64(0.5), np.array([0.5]), np.array("0.5"), jnp.ones((1,)), Hostile(), math.inf],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_accuracy_that_is_no_fraction_is_a_failure(accuracy):
    evaluation = Evaluation(0.5)
    object.__setattr__(evaluation, "accuracy", accuracy)
    for checked in (evaluated(evaluation), plain_evaluation(evaluation)):
        assert checked.error is not None and math.isnan(checked.accuracy)
        assert_plain(checked)


def test_evaluation_made_with_a_percentage_is_a_failure():
    assert Evaluation(accuracy=93.1).error == "evaluation: accuracy = 93.1; accepted: 0 to 1"


@pytest.mark.parametrize(
    "accuracy", [0, 1, 0.25, np.float32(0.25), np.float64(0.25), np.float16(0.25), np.int64(1),
                 jnp.float32(0.25), jnp.bfloat16(0.25), np.array(0.25)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_scalars_of_any_library_are_accuracies(accuracy):
    evaluation = evaluated(Evaluation(accuracy=accuracy))
    assert evaluation.error is None and evaluation.accuracy == float(accuracy)
    assert type(evaluation.accuracy) is float
    assert_plain(evaluation)


def test_mean_that_rounding_carries_beyond_1_is_1():
    assert evaluated(Evaluation(accuracy=1 + 2**-52)).accuracy == 1.0
    assert evaluated(Evaluation(accuracy=-1e-17)).accuracy == 0.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("epochs", value) for value in (None, "3", 1.5, -1, math.nan, True, 10**400, Hostile())),
        *(("seconds", value) for value in (None, "3", -1.0, math.nan, math.inf, Hostile())),
        *(("latency_ms", value) for value in ("3", 0.0, -1.0, True, [1.0], Hostile())),
        *(("timings", value) for value in (None, [1], {"a": None}, {1: 1.0}, {"a" * 10**6: 1.0})),
        ("timings", {str(number): 1.0 for number in range(10_000)}),
        *(("history", value) for value in (None, 3, "ab", {1: 0.5}, [1], [(1, 0.5, 2)], Hostile())),
        *(("history", [pair]) for pair in ((None, 0.5), (1, 93.1), (1, "0.5"), (-1, 0.5))),
        ("history", [(1, 0.5)] * 200_000),
        *(("stopped", value) for value in (None, "yes", 1, np.array([True]), Hostile())),
        *(("error", value) for value in (3, ["lost"], b"lost", Hostile())),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else type(value).__name__,
)
def test_field_of_another_kind_is_a_failure(field, value):
    evaluation = evaluated(Evaluation(**{"accuracy": 0.5, field: value}))
    assert evaluation.error is not None
    assert (
        field in evaluation.error
        or field in ("history", "timings")
        or "no float" in (evaluation.error)
    )
    assert_plain(evaluation)


def test_field_of_another_kind_is_named():
    for field, value, accepted in (
        ("epochs", None, "a number"),
        ("timings", None, "at most 100 numbers by name"),
        ("seconds", "3", "a number"),
        ("stopped", 1, "True or False"),
    ):
        error = evaluated(Evaluation(**{"accuracy": 0.5, field: value})).error
        assert error == f"evaluation: {field} = {value!r}; accepted: {accepted}"


def test_wrong_field_of_a_failure_does_not_hide_its_cause():
    evaluation = evaluated(Evaluation(error="lost", epochs=None, accuracy=93.1))
    assert evaluation.error == "lost" and math.isnan(evaluation.accuracy)
    assert_plain(evaluation)


def test_values_that_are_not_finite_are_left_out():
    plain = plain_evaluation(
        Evaluation(
            accuracy=0.5,
            latency_ms=math.inf,
            timings={"train": 1.0, "odd": math.nan},
            history=((1, math.nan), (2, 0.5)),
        )
    )
    assert (plain.latency_ms, plain.timings, plain.history) == (None, {"train": 1.0}, ((2, 0.5),))
    assert plain.error is None


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (SystemExit, "SystemExit"),
        (SystemExit("out of disk"), "SystemExit: out of disk"),
        (GeneratorExit, "GeneratorExit"),
        (Unprintable(), "Unprintable: its text can't be made"),
        (ValueError("a\tb\x1b[31m\u202e\ud800c"), "ValueError: a b?[31m??c"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("first\nsecond"), "RuntimeError: first"),
    ],
    ids=lambda value: "",
)
def test_anything_raised_is_a_failure(raised, error):
    evaluation = evaluated(raised)
    assert evaluation.error == error
    assert_plain(evaluation)


def test_ray_can_end_a_worker_that_evaluates():
    ending = SystemExit(1)
    ending.ray_terminate_msg = "The process receives a SIGTERM."  # As Ray's signal handler does.
    with pytest.raises(SystemExit):
        evaluated(ending)


def test_causes_are_short():
    text = "x" * 20_000_000
    for error in (evaluated(ValueError(text)).error, failure(text).error):
        assert len(error) == 300 and error.endswith("x…")
    assert len(evaluated(Evaluation(error=text)).error) == 300
    assert evaluated(Evaluation(error=ValueError("an object"))).error == "ValueError: an object"
    assert evaluated(Evaluation(accuracy=text)).error.startswith("evaluation: accuracy = 'xxx")
    assert evaluated(Evaluation(error="two\nlines")).error == "two lines"


@pytest.mark.parametrize(
    ("epoch", "accuracy", "error"),
    [
        (1, 93.1, "report: accuracy = 93.1; accepted: 0 to 1"),
        (1, None, "report: accuracy = None; accepted: a number"),
        (None, 0.5, "report: epoch = None; accepted: a number"),
        (
            -1,
            0.5,
            "report: epoch = -1; accepted: a whole number from 0 to 1000000000000",
        ),
    ],
)
@pytest.mark.parametrize("caught", [False, True])
def test_report_of_another_kind_is_a_failure(epoch, accuracy, error, caught):
    def evaluate(architecture, seed, report=None):
        try:
            report(epoch, accuracy)
        except ValueError:
            if not caught:
                raise
        return Evaluation(accuracy=0.5)

    asked = []
    evaluation = evaluate_safely(evaluate, B0, 0, lambda *call: asked.append(call))
    assert evaluation.error == error and not asked
    assert_plain(evaluation)


def test_reports_of_array_scalars_and_of_divergence_are_recorded():
    def evaluate(architecture, seed, report=None):
        report(np.int32(1), np.float32(0.25))
        report(2, jnp.float32(math.nan))
        return Evaluation(accuracy=0.5)

    asked = []
    evaluation = evaluate_safely(evaluate, B0, 0, lambda *call: asked.append(call))
    assert evaluation.history == ((1, 0.25),) and evaluation.error is None
    assert [tuple(map(type, call)) for call in asked] == [(int, float)] * 2
    assert math.isnan(asked[1][1])
