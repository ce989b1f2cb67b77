"""`check_evaluator` finds violations of the contract."""

import dataclasses
import itertools
from typing import Any, Literal

import numpy as np
import pytest

from mnas.architecture.published import PUBLISHED
from mnas.evaluation import Evaluation
from mnas.testing import check_evaluator

B0 = PUBLISHED["efficientnet-b0"]
COUNTER = itertools.count()

Fault = Literal[
    "raises", "nan", "percent", "random", "seedless epochs", "ignores stop", "epochs decrease",
    "other result", "reports disturb", "negative latency",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """A learning curve of three epochs, reported; valid unless a fault is set."""

    fault: Fault | None = None

    def build(self):
        return self.evaluate

    def evaluate(self, architecture, seed, report=None):
        if self.fault == "raises":
            raise MemoryError("out of memory")
        noise = np.random.default_rng(seed).uniform(0, 0.01)
        if self.fault == "random":
            noise = next(COUNTER) / 1e6
        if self.fault == "reports disturb" and report is not None:
            noise = 0.02
        epochs = (3, 2, 1) if self.fault == "epochs decrease" else (1, 2, 3)
        accuracy = 0.0
        for epoch in epochs:
            accuracy = 0.5 + 0.1 * epoch + noise
            answer = None if report is None else report(epoch, accuracy)
            if answer == "stop" and self.fault != "ignores stop":
                break
        if self.fault in ("nan", "percent", "other result"):
            accuracy = {"nan": float("nan"), "percent": 76.3, "other result": 0.9}[self.fault]
        if self.fault == "seedless epochs":
            epoch = next(COUNTER)
        latency = -1.0 if self.fault == "negative latency" else 2.5
        return Evaluation(accuracy=accuracy, latency_ms=latency, epochs=epoch)


def test_a_valid_evaluator_passes():
    check_evaluator(Config(), B0)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", "the evaluation failed: MemoryError: out of memory"),
        ("nan", "the evaluation failed: accuracy is not a number"),
        ("percent", "the evaluation failed: evaluation: accuracy = 76.3; accepted: 0 to 1"),
        ("random", "accuracy is .* and then .* for the same architecture and seed"),
        ("seedless epochs", "epochs is .* and then .* for the same"),
        ("ignores stop", "3 reports after the answer 'stop'"),
        ("epochs decrease", r"reported epochs don't increase: \[3, 2, 1\]"),
        ("other result", "the last report is .*; the result is"),
        ("reports disturb", "accuracy is .* without reports"),
        ("negative latency", r"latency_ms = -1.0"),
    ],
)
def test_broken_evaluators_are_found(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_evaluator(Config(fault), B0)


@dataclasses.dataclass
class NotFrozen:
    """A configuration that can be changed after the search has started."""

    def build(self):
        return Config().evaluate


class Plain:
    """A configuration that is no dataclass."""

    def build(self):
        return Config().evaluate


@dataclasses.dataclass(frozen=True, eq=False)
class Unequal:
    """A configuration that is compared by identity."""

    def build(self):
        return Config().evaluate


@dataclasses.dataclass(frozen=True)
class UnknownSetting(Config):
    def contents(self):
        return {"table.path": "0f"}


@dataclasses.dataclass(frozen=True)
class ContentByChance(Config):
    def contents(self):
        return {"fault": str(next(COUNTER))}


@dataclasses.dataclass(frozen=True)
class NoDigest(Config):
    def contents(self):
        return {"fault": 7}


@dataclasses.dataclass(frozen=True)
class TwoLines(Config):
    def describe_data(self):
        return "24 images\n2 classes"


@dataclasses.dataclass(frozen=True)
class NoClass(Config):
    def data_classes(self):
        return 0


@dataclasses.dataclass(frozen=True)
class EveryBackend(Config):
    backend: str = "auto"

    def for_backend(self, backend):
        return dataclasses.replace(self, backend=backend)


@dataclasses.dataclass(frozen=True)
class NoImages(Config):
    def describe_images(self, architecture, backend):
        return None


@dataclasses.dataclass(frozen=True)
class CheckByBoolean(Config):
    def check(self, architecture):
        return True


@dataclasses.dataclass(frozen=True)
class WrongWrapper(Config):
    evaluator: Any = Config()

    @classmethod
    def around(cls, evaluator):
        return evaluator


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Plain(), "Plain is no dataclass"),
        (NotFrozen(), "NotFrozen is not frozen"),
        (Unequal(), "Unequal differs from its pickled copy"),
        (UnknownSetting(), r"contents: table\.path is no setting of UnknownSetting"),
        (ContentByChance(), r"contents: .* and then .* of the same files"),
        (NoDigest(), "contents: fault is 7; a str expected"),
        (TwoLines(), "describe_data returned .*; one line or None expected"),
        (NoClass(), "data_classes returned 0; a number above 0 or None expected"),
        (EveryBackend(), r"for_backend: .*backend='cpu'.* and then .*backend='gpu'"),
        (NoImages(), "describe_images returned None; one line expected"),
        (CheckByBoolean(), "check returned a value"),
        (WrongWrapper(), r"around\(evaluator\) is no wrapper"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_broken_configurations_are_found(config, message):
    with pytest.raises(AssertionError, match=message):
        check_evaluator(config, B0)
