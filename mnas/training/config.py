"""Settings and learning-rate schedule of a training; no JAX."""

import dataclasses
import math
from typing import Literal, Self

from mnas.errors import (
    rejected,
    require_at_least,
    require_between,
    require_fraction,
    require_one_of,
    require_positive,
    require_whole,
)
from mnas.runtime.backends import choices

SCHEDULES = ("cosine", "exponential", "constant")
OPTIMIZERS = ("rmsprop", "sgd", "muon")
PRECISIONS = ("float32", "bfloat16", "auto")
# Steps of progressive resizing.
RESOLUTIONS = 4


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Training settings. Defaults suit a few epochs; the optimizer is EfficientNet's."""

    epochs: int = 5
    """Passes over the training images."""
    batch_size: int = 64
    """Images per step; an incomplete last batch is dropped."""
    learning_rate: float = 0.005
    """Peak learning rate for this batch size; not scaled by it."""
    schedule: Literal["cosine", "exponential", "constant"] = "cosine"
    """Decay after warm-up: 'cosine' to 0, 'exponential' in steps, or 'constant' for none."""
    warmup_epochs: float = 0.5
    """Epochs of linear warm-up from 0."""
    decay_rate: float = 0.97
    """Factor on the learning rate every `decay_epochs`, exponential schedule only."""
    decay_epochs: float = 2.4
    """Epochs between decays of the learning rate, exponential schedule only."""
    optimizer: Literal["rmsprop", "sgd", "muon"] = "rmsprop"
    """RMSProp with momentum; SGD with Nesterov momentum; or 'muon', which orthogonalises the steps
    of convolutions, and is SGD for everything else."""
    rms_decay: float = 0.9
    """RMSProp's decay of mean squared gradients."""
    momentum: float = 0.9
    """Momentum of the optimizer."""
    epsilon: float = 1e-3
    """RMSProp's epsilon, inside the square root."""
    weight_decay: float = 1e-5
    """L2 penalty on kernels, added to their gradients."""
    norm_bias_rate: float = 1.0
    """Factor on the learning rate of BatchNorm's biases."""
    zero_residual: bool = False
    """Start residual branches at 0: the scale of the last BatchNorm in each (arXiv 1706.02677)."""
    label_smoothing: float = 0.1
    """Label smoothing: probability mass spread over all classes."""
    ema_decay: float = 0.0
    """Per-step decay of the moving average of weights used for evaluation; 0 for no average."""
    drop_path: float = 0.0
    """Stochastic depth: drop rate of the last layer, rising linearly from 0."""
    dropout: float = 0.0
    """Dropout rate before the classifier."""
    flip: bool = False
    """Mirror training images with probability 1/2."""
    crop_padding: int = 0
    """Maximum random shift of training images in each direction, pixels."""
    random_crop: float = 1.0
    """Random-resized crops of training images: smallest area, as a fraction; 1 for no crops."""
    randaugment: int = 0
    """RandAugment (arXiv 1909.13719): number of operations on each training image."""
    randaugment_magnitude: float = 9.0
    """RandAugment: magnitude of its operations, 0 to 10."""
    erasing: float = 0.0
    """Random erasing (arXiv 1708.04896): probability for each training image."""
    mixup: float = 0.0
    """Mixup (arXiv 1710.09412) with weights from Beta(mixup, mixup); 0 for none."""
    cutmix: float = 0.0
    """Cutmix (arXiv 1905.04899) with areas from Beta(cutmix, cutmix); 0 for none. With mixup, each
    batch has one of the two."""
    progressive: int | None = None
    """Progressive resizing: resolution of training images in the first epoch, pixels, from which it
    rises linearly to the network's; None for the network's in all epochs. Every resolution, at most
    five, is compiled."""
    calibration_batches: int = 16
    """Maximum number of training batches, augmented as in the last epoch, for BatchNorm's final
    statistics."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Type of activations and their gradients, by the backend for 'auto': float32 on CPUs. Weights,
    statistics and loss are float32."""
    accumulation: int = 1
    """Parts of a batch, computed one after the other for less memory; BatchNorm sees one part."""

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "calibration_batches", "accumulation"):
            require_whole("training", field, getattr(self, field))
        require_whole("training", "crop_padding", self.crop_padding, least=0)
        require_whole("training", "randaugment", self.randaugment, least=0, most=16)
        require_between("training", "randaugment_magnitude", self.randaugment_magnitude, 0, 10)
        require_positive("training", "random_crop", self.random_crop, most=1)
        require_between("training", "erasing", self.erasing, 0, 1)
        if self.progressive is not None:
            require_whole("training", "progressive", self.progressive)
        for field in ("learning_rate", "decay_rate", "decay_epochs", "epsilon", "norm_bias_rate"):
            require_positive("training", field, getattr(self, field))
        for field in ("warmup_epochs", "weight_decay", "mixup", "cutmix"):
            require_at_least("training", field, getattr(self, field), 0)
        for field in ("rms_decay", "momentum", "label_smoothing", "ema_decay"):
            require_fraction("training", field, getattr(self, field))
        for field in ("drop_path", "dropout"):
            require_fraction("training", field, getattr(self, field))
        require_one_of("training", "schedule", self.schedule, SCHEDULES)
        require_one_of("training", "optimizer", self.optimizer, OPTIMIZERS)
        require_one_of("training", "precision", self.precision, PRECISIONS)
        for field in ("flip", "zero_residual"):
            if not isinstance(getattr(self, field), bool):
                raise rejected("training", field, getattr(self, field), "True, False")

    def for_backend(self, backend: str) -> Self:
        """Return the settings with the precision, if it is 'auto', that a backend is used with."""
        if self.precision != "auto":
            return self
        return dataclasses.replace(self, precision=choices(backend).precision)


def epoch_resolution(config: TrainingConfig, resolution: int, epoch: int) -> int:
    """Return the resolution of training images in an epoch, counted from 1 (`progressive`).

    It rises linearly from `progressive` in the first epoch to the network's in the last one, in at
    most four equal steps of a multiple of 8 pixels, since each resolution is compiled. Each epoch
    has the nearest, the first one none below. Raises UsageError where that is above the network's.
    """
    first = config.progressive
    if first is None:
        return resolution
    require_whole("training", "progressive", first, most=resolution)
    multiple = max(8, 8 * math.ceil((resolution - first) / RESOLUTIONS / 8))
    steps, left = (
        (resolution - first) / multiple,
        (config.epochs - epoch) / (config.epochs - 1 or 1),
    )
    return resolution - multiple * min(math.ceil(steps * left - 0.5), math.floor(steps))


def resolution_epochs(config: TrainingConfig, resolution: int) -> dict[int, int]:
    """Return the first epoch of each resolution of training images, in order (`progressive`)."""
    first: dict[int, int] = {}
    for epoch in range(1, config.epochs + 1):
        first.setdefault(epoch_resolution(config, resolution, epoch), epoch)
    return first


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step, counted from 0.

    Linear warm-up; then peak · (1 + cos(π · progress)) / 2 (arXiv 1608.03983),
    peak · decay_rate^⌊epoch / decay_epochs⌋ (EfficientNet's code), or the peak.
    """
    epoch = step / steps_per_epoch
    if epoch < config.warmup_epochs:
        # Above 0 in the first step, at most the peak in the last one of warm-up.
        return config.learning_rate * min(
            1.0, (step + 1) / (config.warmup_epochs * steps_per_epoch)
        )
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "exponential":
        return config.learning_rate * config.decay_rate ** (epoch // config.decay_epochs)
    progress = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    return config.learning_rate * (1 + math.cos(math.pi * progress)) / 2
