"""Weight bank and score at initialisation: networks ranked by both, which err differently.

Each child has two scores: the one of the weight bank (`mnas.evaluators.weight_bank`) and one of its
network at initialisation, without training (`mnas.training.zero_cost`). Both are standardised over
random networks of the space, and the mean of the two, again standardised, stands for an accuracy
(`mnas.evaluators.standard_scores`). No accuracy of a trained network is needed.

The random networks are scored after the bank's training, before the first trial; their scores lie
in a file beside the bank (`mnas.evaluators.score_scale`). `docs/results/proxy.md` has how both
scores rank together, and each alone.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import require_one_of, require_positive, require_whole
from mnas.evaluation import CPU_SECONDS, SHARED_CPU_SECONDS, Evaluation, Report
from mnas.evaluators.score_scale import Pair, ScoreScale
from mnas.evaluators.standard_scores import SPREAD, accuracy_of
from mnas.evaluators.weight_bank import BankScore, WeightBankConfig, WeightBankEvaluator
from mnas.evaluators.zero_cost import ZeroCostConfig, ZeroCostEvaluator
from mnas.files import locked_directory
from mnas.runtime.cache_repair import repaired_cache
from mnas.training.weight_bank import BankFile
from mnas.training.zero_cost import SCORES, Score

OWNER = "bank-zero-cost"


@dataclasses.dataclass(frozen=True)
class BankZeroCostConfig(WeightBankConfig):
    """Weight bank, score of networks at initialisation, and how both become an accuracy."""

    accuracy_word: ClassVar[str] = "score"

    score: BankScore = "likelihood"
    """Score of the bank on validation images: 'accuracy' (top-1) or 'likelihood',
    exp(-cross-entropy), which ranks with fewer images."""
    zero_cost: Score = "naswot"
    """Score at initialisation: 'naswot', 'synflow' or 'grad-norm' (evaluator zero-cost)."""
    zero_cost_images: int = 64
    """Images of the batch for the score at initialisation, the same for all networks."""
    standard_networks: int = 100
    """Random networks of the space over which both scores are standardised."""
    spread: float = SPREAD
    """Standard deviation over mean of the accuracies that scores stand for in the reward."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of(OWNER, "zero_cost", self.zero_cost, SCORES)
        require_whole(OWNER, "zero_cost_images", self.zero_cost_images, least=2, most=4_096)
        require_whole(OWNER, "standard_networks", self.standard_networks, least=2, most=100_000)
        require_positive(OWNER, "spread", self.spread, most=1)

    def build(self) -> "BankZeroCostEvaluator":
        """Return a new evaluator.

        Raises UsageError as that of the bank does, and where the scale of the scores is missing,
        damaged, incomplete or of other settings.
        """
        evaluator = BankZeroCostEvaluator(self.for_backend(jax.default_backend()))
        evaluator.read_scale()
        return evaluator

    def initial_score(self) -> ZeroCostConfig:
        """Return the configuration of the score at initialisation."""
        return ZeroCostConfig(self.data, self.zero_cost, self.zero_cost_images)

    def accuracy_images(self) -> None:
        """Return None: scores are no proportions of images."""

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError as for the bank and for the score at initialisation."""
        super().check(architecture)
        self.initial_score().check(architecture)

    def scale_path(self) -> Path:
        """Return the file of the scores of random networks, beside the bank."""
        assert self.bank is not None  # set by `located`
        return Path(self.bank).with_suffix(f".{self.zero_cost}.json")

    def prepare(self, space: Any) -> Iterator[tuple[int, int, str]]:
        """Train the bank and score random networks, or what is left of both.

        Yields steps or networks done, of how many, and a line. Raises as the bank's `prepare`, and
        UsageError where all networks have the same scores.
        """
        yield from super().prepare(space)
        path = self.scale_path()
        with locked_directory(path.parent, "is scoring networks in this directory", path.name):
            yield from self._score_networks(space.build(), path)

    def _score_networks(self, space: Any, path: Path) -> Iterator[tuple[int, int, str]]:
        evaluator = BankZeroCostEvaluator(self.for_backend(jax.default_backend()))
        scale = ScoreScale(evaluator.identity())
        if path.exists():
            scale = ScoreScale.read(path, scale.identity)
        total = self.standard_networks
        for n in range(len(scale.scores), total):
            rng = np.random.default_rng([self.seed, *b"standard", n])
            start = time.process_time()
            pair, _ = evaluator.scores(space.decode(space.sample(rng)))
            scale.scores.append(pair if all(map(math.isfinite, pair)) else None)
            scale.cpu_seconds += time.process_time() - start
            scale.write(path)
            yield n + 1, total, "scores of random networks"
        scale.standardised((0.0, 0.0), total)  # raises where they do not differ


class BankZeroCostEvaluator(WeightBankEvaluator):
    """Evaluator that scores each child by bank and at initialisation; the seed has no effect."""

    config: BankZeroCostConfig

    def __init__(self, config: BankZeroCostConfig) -> None:
        super().__init__(config)
        self._initial = ZeroCostEvaluator(config.initial_score(), self._images)
        self._scale: ScoreScale | None = None

    def identity(self) -> dict[str, Any]:
        """Return what the scores of random networks depend on."""
        config = self.config
        bank = None if config.bank is None else BankFile(Path(config.bank)).digest()
        names = ("score", "zero_cost", "zero_cost_images")
        return {"bank": bank, **{name: getattr(config, name) for name in names}}

    def read_scale(self) -> None:
        """Read the scores of random networks. Raises UsageError as `ScoreScale` does."""
        if self.config.bank is not None:
            self._scale = ScoreScale.read(self.config.scale_path(), self.identity())
            self._scale.standardised((0.0, 0.0), self.config.standard_networks)

    def scores(self, architecture: Architecture) -> tuple[Pair, Evaluation]:
        """Return the scores by the bank and at initialisation, and the bank's evaluation.

        A likelihood is returned as its logarithm. Raises as the evaluators of both; a score at
        initialisation that is not finite is NaN.
        """
        evaluation = super().__call__(architecture, 0)
        of_bank = evaluation.accuracy
        if self.config.score == "likelihood":
            of_bank = math.log(max(of_bank, 1e-300))
        try:
            with repaired_cache():
                (initial,) = self._initial.scores(architecture, self.config.seed)
        except FloatingPointError:
            initial = math.nan
        return (of_bank, initial), evaluation

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Score one child. Both scores are timings, `bank_score` and `zero_cost_score`.

        Raises as `WeightBankEvaluator`, and FloatingPointError for a score that is not finite.
        """
        start, cpu_start = time.perf_counter(), time.process_time()
        pair, evaluation = self.scores(architecture)
        if not all(map(math.isfinite, pair)):
            raise FloatingPointError(f"scores of {architecture.name} are {pair}")
        assert self._scale is not None  # read by `build`, where there is a bank
        z = self._scale.standardised(pair, self.config.standard_networks)
        seconds = time.perf_counter() - start
        timings = evaluation.timings
        return dataclasses.replace(
            evaluation,
            accuracy=accuracy_of(z, self.config.spread),
            seconds=seconds,
            timings={
                **timings,
                "evaluate_seconds": seconds - timings["calibrate_seconds"],
                CPU_SECONDS: time.process_time() - cpu_start,
                SHARED_CPU_SECONDS: timings[SHARED_CPU_SECONDS] + self._scale.cpu_seconds,
                "bank_score": pair[0],
                "zero_cost_score": pair[1],
            },
        )
