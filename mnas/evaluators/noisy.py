"""Gaussian noise on the accuracy of any evaluator, to study how a search copes with it."""

import dataclasses
import functools
import math
from typing import Any, Literal, Self

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import require_between
from mnas.evaluation import (
    ArchitectureCheck,
    BlockCompiler,
    ClassSource,
    ContentDependent,
    CostSource,
    DataDescription,
    Evaluation,
    Evaluator,
    Report,
)
from mnas.evaluators.surrogate import SEED_STD_POINTS, SurrogateConfig


@dataclasses.dataclass(frozen=True)
class NoisyConfig:
    """Another evaluator whose accuracies are disturbed."""

    evaluator: Any = SurrogateConfig()
    """The undisturbed evaluator."""
    std_points: float = SEED_STD_POINTS
    """Standard deviation of the noise, in points of top-1 accuracy."""

    def __post_init__(self) -> None:
        require_between("noisy", "std_points", self.std_points, 0, 100)

    @classmethod
    def around(cls, evaluator: Any) -> Self:
        """Return noise of the default size around the configuration `evaluator`."""
        return cls(evaluator)

    def build(self) -> "NoisyEvaluator":
        """Return the evaluator; a `BlockCompiler` if the undisturbed one is."""
        evaluator: Evaluator = self.evaluator.build()
        if isinstance(evaluator, BlockCompiler):
            return NoisyBlockCompiler(evaluator, self.std_points, evaluator)
        return NoisyEvaluator(evaluator, self.std_points)

    def contents(self) -> dict[str, str]:
        """Return the digests of the undisturbed evaluator's files."""
        if not isinstance(self.evaluator, ContentDependent):
            return {}
        return {f"evaluator.{name}": digest for name, digest in self.evaluator.contents().items()}

    def describe_data(self) -> str | None:
        """Return the line about the undisturbed evaluator's data."""
        if not isinstance(self.evaluator, DataDescription):
            return None
        return self.evaluator.describe_data()

    def data_classes(self) -> int | None:
        """Return the number of classes of the undisturbed evaluator's data."""
        if not isinstance(self.evaluator, ClassSource):
            return None
        return self.evaluator.data_classes()

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if the undisturbed evaluator rejects the architecture."""
        if isinstance(self.evaluator, ArchitectureCheck):
            self.evaluator.check(architecture)

    def missing_settings(self, cost: str) -> tuple[str, ...]:
        """Return those of the undisturbed evaluator."""
        if not isinstance(self.evaluator, CostSource):
            return ()
        return tuple(f"evaluator.{name}" for name in self.evaluator.missing_settings(cost))


class NoisyEvaluator:
    """Evaluator that adds one Gaussian sample, determined by the seed, to another's accuracies.

    The same sample is added to the accuracy and to all reported ones, so that early stopping
    compares the disturbed values. Failed evaluations are returned unchanged.
    """

    def __init__(self, evaluator: Evaluator, std_points: float) -> None:
        self._evaluator = evaluator
        self._std_points = std_points

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Return the other evaluator's result with a disturbed accuracy."""
        noise = self._std_points / 100 * float(np.random.default_rng(seed).standard_normal())
        noisy_report = None if report is None else functools.partial(_report, report, noise)
        evaluation = self._evaluator(architecture, seed, noisy_report)
        if evaluation.error is not None:
            return evaluation
        return dataclasses.replace(evaluation, accuracy=_disturbed(evaluation.accuracy, noise))


def _report(report: Report, noise: float, epoch: int, accuracy: float) -> Literal["stop"] | None:
    return report(epoch, _disturbed(accuracy, noise))


def _disturbed(accuracy: float, noise: float) -> float:
    """Return the sum, limited to 0 to 1; NaN stays NaN."""
    return accuracy if math.isnan(accuracy) else min(max(accuracy + noise, 0.0), 1.0)


class NoisyBlockCompiler(NoisyEvaluator):
    """Noisy evaluator whose children are compiled block by block by the undisturbed one."""

    def __init__(self, evaluator: Evaluator, std_points: float, compiler: BlockCompiler) -> None:
        super().__init__(evaluator, std_points)
        self._compiler = compiler

    def compile_batches(self, architecture: Architecture) -> None:
        """Compile what all children of this resolution need besides their blocks."""
        self._compiler.compile_batches(architecture)

    def compile_block(self, architecture: Architecture, index: int) -> None:
        """Compile all programs of one block of a child, by its index."""
        self._compiler.compile_block(architecture, index)
