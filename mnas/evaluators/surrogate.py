"""ImageNet accuracy without training: fits to 4,623 networks that were trained.

Accel-NASBench (Ahmad et al., DAC 2024; Apache-2.0, github.com/afzalxo/Accel-NASBench) trained
members of a space around EfficientNet-B0 on ImageNet and timed them on six devices. What ships here
is ours: coefficients fitted to their table by `experiments/fit_surrogate.py`, which also prints how
well they predict networks they never saw.

**It is not full ImageNet accuracy.** Their schedule is a proxy of 16 epochs with one seed, which
ranks small networks higher than 350 epochs would. And a fit is trusted only among networks like
those it has seen: a search looks for the networks it most overrates. So there are two fits that
share nothing but the data, and what is found on one should be looked at with the other:

    mlp    eight small networks, averaged, on the logarithm of the distance to a ceiling; the better
           fit on networks that it has not seen
    ridge  a linear model of all choices and pairs of choices on top-1 itself, which doesn't
           saturate: it overrates the best networks most

Shapes: N architectures, D = 28 choices, F features.
"""

import dataclasses
import math
import time

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.errors import UsageError
from mnas.evaluation import Evaluation, Report
from mnas.evaluators.surrogate_devices import DEVICES, Device, latency_ms
from mnas.evaluators.surrogate_fits import (
    FITS,
    Fit,
    _require,
    choices_of,
    top1,
)

# Standard deviation of top-1 over seeds of the authors' training, in points.
SEED_SPREAD = 0.31

# --- the fits: coefficients in, points of top-1 and their standard deviation out ----------------


# --- as an evaluator ----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class SurrogateConfig:
    """Predicted ImageNet top-1 of a 16-epoch schedule, in place of training."""

    fit: Fit = "mlp"
    """mlp is the better fit; ridge saturates less."""
    noise_points: float = 0.0
    """Standard deviation of noise on every evaluation, in points of top-1. Two runs of the authors'
    training differ by 0.31."""
    device: Device | None = None
    """Also predict the latency on this device (for rewards of latency)."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.noise_points) and self.noise_points >= 0):
            raise UsageError(f"surrogate: noise_points = {self.noise_points}; accepted: 0 or more")
        _require("fit", self.fit, FITS)
        _require("device", self.device, (None, *DEVICES))

    def build(self) -> "SurrogateEvaluator":
        return SurrogateEvaluator(self)

    def check(self, architecture: Architecture) -> None:
        """ValueError where networks like this one were never measured."""
        choices_of([architecture])


class SurrogateEvaluator:
    """Looks accuracy up in a fit."""

    def __init__(self, config: SurrogateConfig) -> None:
        self.config = config

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        start = time.perf_counter()
        accuracy = float(top1([architecture], self.config.fit).mean[0])
        if self.config.noise_points:
            noise = float(np.random.default_rng(seed).standard_normal())
            accuracy += self.config.noise_points / 100 * noise
        latency = None
        if self.config.device is not None:
            latency = float(latency_ms([architecture], self.config.device)[0])
        seconds = time.perf_counter() - start
        return Evaluation(accuracy=accuracy, latency_ms=latency, seconds=seconds)
