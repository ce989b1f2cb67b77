"""Scores of networks at initialisation, in place of accuracies, without training.

The scores and their definitions are those of `mnas.training.zero_cost`. They are logarithms without
an upper limit, and an evaluation's accuracy is between 0 and 1, so each is standardised and mapped
as `mnas.evaluators.standard_scores` says. `mean` and `std` are settings: those of the score over
random networks of the space.
"""

import dataclasses
import math
import time
from typing import ClassVar

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.images import DataConfig, Images, load
from mnas.data.sources import EMBEDDED, open_source
from mnas.errors import (
    rejected,
    require_finite,
    require_one_of,
    require_positive,
    require_whole,
)
from mnas.evaluation import CPU_SECONDS, Evaluation, Report
from mnas.evaluators.proxy import require_classes
from mnas.evaluators.standard_scores import accuracy_of
from mnas.runtime.cache_repair import repaired_cache
from mnas.runtime.compile_stats import Recording
from mnas.training.zero_cost import SCORES, Score, score_network

OWNER = "zero-cost"
# Mean and standard deviation of each score over 100 networks of NAS-Bench-Macro, with 64 images of
# CIFAR-10.
MAPPINGS: dict[Score, tuple[float, float]] = {
    "naswot": (12.35, 0.236),
    "synflow": (53.2, 8.08),
    "grad-norm": (4.3, 0.236),
}


@dataclasses.dataclass(frozen=True)
class ZeroCostConfig:
    """Score of networks at initialisation, and its mapping to an accuracy."""

    accuracy_word: ClassVar[str] = "score"

    data: DataConfig = DataConfig()
    """Images to score on, of which training images are taken."""
    score: Score = "naswot"
    """Score: 'naswot', of the activation codes of ReLUs; 'synflow', of gradients of a network made
    linear, without images; 'grad-norm', of gradients of the loss."""
    images: int = 64
    """Images of a batch, the same for all networks."""
    repeats: int = 1
    """Scores that are averaged, each of other initial weights and another batch."""
    mean: float | None = None
    """Mean of the score over random networks, mapped to accuracy 0.5; None: of NAS-Bench-Macro."""
    std: float | None = None
    """Standard deviation of the score over random networks; None: of NAS-Bench-Macro."""

    def __post_init__(self) -> None:
        require_one_of(OWNER, "score", self.score, SCORES)
        require_whole(OWNER, "images", self.images, least=2, most=4_096)
        require_whole(OWNER, "repeats", self.repeats, most=1_000)
        if self.mean is not None:
            require_finite(OWNER, "mean", self.mean)
        if self.std is not None:
            require_positive(OWNER, "std", self.std)

    def build(self) -> "ZeroCostEvaluator":
        """Return a new evaluator."""
        return ZeroCostEvaluator(self)

    def accuracy(self, score: float) -> float:
        """Return the accuracy that a score is mapped to, above 0 and below 1."""
        mean, std = MAPPINGS[self.score]
        mean = mean if self.mean is None else self.mean
        std = std if self.std is None else self.std
        return accuracy_of((score - mean) / std)

    def for_backend(self, backend: str) -> "ZeroCostConfig":
        """Return the configuration itself: no setting follows from the backend."""
        return self

    def contents(self) -> dict[str, str]:
        """Return the digest of the images by setting."""
        if self.data.source == EMBEDDED:
            return {}
        return {"data.source": open_source(self.data.source).digest()}

    def describe_data(self) -> str:
        """Return one line: images, classes, sizes, and what was left out."""
        return open_source(self.data.source).describe()

    def data_classes(self) -> int:
        """Return the number of classes of the images."""
        return len(open_source(self.data.source).classes)

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if the images don't fit the network."""
        self.build().batch(architecture, 0)


class ZeroCostEvaluator:
    """Evaluator that scores each child at initialisation; no reports are made.

    The seed determines the initial weights. All children are scored on the same images.
    """

    def __init__(self, config: ZeroCostConfig, images: dict[int, Images] | None = None) -> None:
        """Take images by resolution from `images`, and add those that it lacks."""
        self.config = config
        self._images: dict[int, Images] = {} if images is None else images
        self._batches: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def batch(self, architecture: Architecture, repeat: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the images of a repeat, uint8 [N, R, R, 3], and labels, int32 [N].

        Raises UsageError if they can't be read, are fewer than two, or differ from the network in
        the number of classes.
        """
        config, resolution = self.config, architecture.resolution
        if resolution not in self._images:
            self._images[resolution] = load(config.data, resolution)
        images = self._images[resolution]
        require_classes(architecture, images, config.data.source)
        if (resolution, repeat) not in self._batches:
            train = images.train
            if len(train) < 2:
                raise rejected("data", "train_images", len(train), "2 or more to score networks")
            rng = np.random.default_rng([config.data.split_seed, *b"zero-cost", repeat])
            positions = np.sort(rng.permutation(len(train))[: config.images])
            batch = train.take(positions), train.labels[positions]
            self._batches[resolution, repeat] = batch
        return self._batches[resolution, repeat]

    def scores(self, architecture: Architecture, seed: int) -> list[float]:
        """Return the score of each repeat. Raises as `score_network` and `batch`."""
        found = []
        for repeat in range(self.config.repeats):
            rng = np.random.default_rng([seed, *b"zero-cost", repeat])
            weights = int(rng.integers(2**32))
            batch = self.batch(architecture, repeat)
            found.append(score_network(architecture, self.config.score, weights, *batch))
        return found

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Score one child. The evaluation's accuracy is its mean score, mapped.

        The mean score itself is the timing `score`. Raises UsageError as `batch`, and
        FloatingPointError for a score that is not finite.
        """
        start, cpu_start = time.perf_counter(), time.process_time()
        recording = Recording()
        with repaired_cache():
            score = math.fsum(self.scores(architecture, seed)) / self.config.repeats
        seconds = time.perf_counter() - start
        return Evaluation(
            accuracy=self.config.accuracy(score),
            seconds=seconds,
            timings={
                CPU_SECONDS: time.process_time() - cpu_start,
                "evaluate_seconds": seconds,
                **recording.compilations._asdict(),
                "score": score,
            },
        )
