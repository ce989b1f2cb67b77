"""ImageNet accuracy without training: predictions by fits to 4,623 trained networks.

Accel-NASBench (Ahmad et al., DAC 2024, arXiv 2404.08005; Apache-2.0) trained networks of a space
around EfficientNet-B0 on ImageNet and timed them on six devices. Only coefficients fitted to their
table are shipped; `mnas.experiments.fit_surrogate` repeats the fit and measures its error
(docs/results/surrogate.md).

Two limits. The accuracy is that of a 16-epoch proxy schedule, which ranks small networks higher
than 350 epochs would. And a search exploits the errors of its objective: it prefers the networks
that a fit overestimates most. So a result on one of the two independent fits should be checked on
the other.
"""

import dataclasses
import time
from typing import ClassVar

from mnas.architecture.architecture import Architecture
from mnas.errors import require_one_of
from mnas.evaluation import Evaluation, Report
from mnas.evaluators.surrogate_devices import DEVICES, Device, latency_ms
from mnas.evaluators.surrogate_fits import FITS, OWNER, Fit, choices_of, top1

# Standard deviation of top-1 over seeds of the benchmark's training, in points.
SEED_STD_POINTS = 0.31


@dataclasses.dataclass(frozen=True)
class SurrogateConfig:
    """Predicted ImageNet top-1 of a 16-epoch schedule, instead of training."""

    accuracy_word: ClassVar[str] = "predicted"

    fit: Fit = "mlp"
    """Fit to predict with: mlp is more accurate, ridge saturates less."""
    device: Device | None = None
    """Device whose latency is predicted as well, for rewards of latency."""

    def __post_init__(self) -> None:
        require_one_of(OWNER, "fit", self.fit, FITS)
        require_one_of(OWNER, "device", self.device, (None, *DEVICES))

    def build(self) -> "SurrogateEvaluator":
        """Return the evaluator."""
        return SurrogateEvaluator(self)

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if the network lies outside the measured space."""
        choices_of([architecture])

    def missing_settings(self, cost: str) -> tuple[str, ...]:
        """Return `device` where no latency is predicted."""
        return ("device",) if cost == "latency_ms" and self.device is None else ()


class SurrogateEvaluator:
    """Evaluator that returns a fit's prediction; the seed has no effect, reports are not made."""

    def __init__(self, config: SurrogateConfig) -> None:
        self.config = config

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Return the predicted accuracy, and the latency if a device is set."""
        start = time.perf_counter()
        accuracy = float(top1([architecture], self.config.fit).mean[0])
        latency = None
        if self.config.device is not None:
            latency = float(latency_ms([architecture], self.config.device)[0])
        seconds = time.perf_counter() - start
        return Evaluation(accuracy=accuracy, latency_ms=latency, seconds=seconds)
