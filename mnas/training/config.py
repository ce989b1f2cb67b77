"""Settings and learning-rate schedule of a training; no JAX."""

import dataclasses
import math
from typing import Literal

from mnas.errors import UsageError


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a child is trained. Defaults for a few epochs; optimiser as in EfficientNet."""

    epochs: int = 5
    """Passes over the training images."""
    batch_size: int = 64
    """Images a step; the images that don't fill a last batch are left out of the epoch."""
    learning_rate: float = 0.005
    """Peak learning rate, for this batch size (it is not scaled)."""
    schedule: Literal["cosine", "exponential"] = "cosine"
    """How the rate falls after warm-up: 'cosine' to 0, or 'exponential' in steps."""
    warmup_epochs: float = 0.5
    """Epochs in which the learning rate rises linearly from 0."""
    decay_rate: float = 0.97
    """Factor on the learning rate every `decay_epochs`, where the schedule is exponential."""
    decay_epochs: float = 2.4
    """Epochs between two falls of the learning rate, where the schedule is exponential."""
    rms_decay: float = 0.9
    """RMSProp's decay of mean squared gradients."""
    momentum: float = 0.9
    """RMSProp's momentum."""
    epsilon: float = 1e-3
    """RMSProp's epsilon, inside the square root."""
    weight_decay: float = 1e-5
    """L2 penalty on kernels, added to their gradients."""
    label_smoothing: float = 0.1
    """Share of each label that is spread over all classes."""
    ema_decay: float = 0.0
    """Decay a step of the moving average of weights that is evaluated; 0 evaluates the weights."""
    drop_path: float = 0.0
    """Stochastic depth: drop rate at the end of the network, rising linearly from 0."""
    dropout: float = 0.0
    """Drop rate of the features before the classifier."""
    flip: bool = False
    """Mirror half of the training images."""
    crop_padding: int = 0
    """Shift training images by up to so many pixels each way, at random."""
    calibration_batches: int = 16
    """Batches of training images that BatchNorm's final statistics are computed over, at most."""

    def __post_init__(self) -> None:
        for field, least in (
            ("epochs", 1),
            ("batch_size", 1),
            ("crop_padding", 0),
            ("calibration_batches", 1),
        ):
            value = getattr(self, field)
            if type(value) is not int or value < least:
                self._refuse(field, f"a whole number of at least {least}")
        for field in ("learning_rate", "decay_rate", "decay_epochs", "epsilon"):
            if not 0 < getattr(self, field) < math.inf:
                self._refuse(field, "a number above 0")
        for field in ("warmup_epochs", "weight_decay"):
            if not 0 <= getattr(self, field) < math.inf:
                self._refuse(field, "a number of at least 0")
        for field in (
            "rms_decay",
            "momentum",
            "label_smoothing",
            "ema_decay",
            "drop_path",
            "dropout",
        ):
            if not 0 <= getattr(self, field) < 1:
                self._refuse(field, "0 or more, below 1")
        if self.schedule not in ("cosine", "exponential"):
            self._refuse("schedule", "'cosine', 'exponential'")
        if not isinstance(self.flip, bool):
            self._refuse("flip", "True, False")

    def _refuse(self, field: str, accepted: str) -> None:
        value = getattr(self, field)
        raise UsageError(f"training: {field} = {value!r}; accepted: {accepted}")


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step, counted from 0.

    Linear warm-up; then peak · (1 + cos(π · progress)) / 2 (arXiv 1608.03983), or
    peak · decay_rate^⌊epoch / decay_epochs⌋ (EfficientNet's code).
    """
    epoch = step / steps_per_epoch
    if epoch < config.warmup_epochs:
        # The first step has a rate above 0, the last one of warm-up the peak at most.
        return config.learning_rate * min(
            1.0, (step + 1) / (config.warmup_epochs * steps_per_epoch)
        )
    if config.schedule == "exponential":
        return config.learning_rate * config.decay_rate ** (epoch // config.decay_epochs)
    progress = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
