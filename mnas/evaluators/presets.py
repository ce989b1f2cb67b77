"""Settings of proxies by name, for `mnas search --recipe` and `mnas proxy-quality --recipe`.

A proxy is a short training of each child (evaluator proxy), a score by a trained weight bank
(evaluator weight-bank), or this together with a score at initialisation (evaluator bank-zero-cost).
These settings are for images of about 32 pixels and the CPU time per child in their names, on
networks of about 50M mult-adds at 32 pixels; on others it is proportional to mult-adds. All are
chosen by the published findings that the comments name and by costs of single steps;
`docs/results/proxy.md` has what is measured: at equal cost, banks rank better than short trainings
do, and both scores together better than either.
"""

import dataclasses
from typing import Any

from mnas.data.images import DataConfig
from mnas.errors import UsageError, unknown
from mnas.evaluation import WrapperConfig
from mnas.evaluators.bank_zero_cost import BankZeroCostConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES


@dataclasses.dataclass(frozen=True)
class Preset:
    """Settings of a proxy.

    config   the settings; of the images, their numbers only
    summary  what they are for, one line
    """

    config: ProxyConfig
    summary: str

    def applied(self, current: ProxyConfig) -> ProxyConfig:
        """Return these settings for the images, precision and latency table of `current`."""
        numbers = self.config.data
        data = dataclasses.replace(
            current.data, train_images=numbers.train_images, validation=numbers.validation
        )
        training = dataclasses.replace(self.config.training, precision=current.training.precision)
        return dataclasses.replace(
            self.config, data=data, training=training, latency_table=current.latency_table
        )


def _training(epochs: int, warmup_epochs: float) -> TrainingConfig:
    return TrainingConfig(
        epochs=epochs,
        # One peak of the learning rate: warm-up, then cosine to 0, so that each child ends at rest.
        warmup_epochs=warmup_epochs,
        schedule="cosine",
        # More steps for the same images than batches of 128; smaller ones cost more per image.
        batch_size=64,
        # 0.1 per 128 images: twice that of NAS-Bench-Macro's trainings (arXiv 2103.11922).
        learning_rate=0.05,
        # SGD with Nesterov momentum, as in the trainings that it predicts. RMSProp's mean squares
        # need more steps than a child has to forget their start at 1.
        optimizer="sgd",
        momentum=0.9,
        weight_decay=5e-4,
        # Layers start as the identity (arXiv 1706.02677): a deep child starts as a shallow one, and
        # is not behind it after few steps for its depth alone.
        zero_residual=True,
        # Keeps the likelihood from being ruled by a few images of great loss.
        label_smoothing=0.1,
        # BatchNorm's statistics by the final weights on 1,024 images.
        calibration_batches=16,
        # No augmentation: images are seen a few times at most, and flips do not suit all data.
        precision="auto",
    )


def _short(images: int, summary: str) -> Preset:
    """Return the preset of a short training of `images` images."""
    return Preset(
        ProxyConfig(
            # Each image once: more images rather than more epochs (arXiv 2001.01233). One tenth is
            # held out, 5,000 of CIFAR's; a forward pass costs a third of training.
            data=DataConfig(train_images=images, validation=0.1),
            training=_training(epochs=1, warmup_epochs=0.23),
            # Ranks with fewer images than accuracy does.
            score="likelihood",
            # Fewer channels rather than pixels (arXiv 2001.01233): 1.4 CPU-seconds per 1,000 images
            # of NAS-Bench-Macro's median network, on one busy core.
            width=0.25,
        ),
        summary,
    )


# All images: the bank's cost is divided by the children. Scoring is not, so that few are held out:
# 2,000 of CIFAR's.
_BANK_DATA = DataConfig(validation=0.04)
# 24 epochs of CIFAR's images, batches of 64, width 1/2: of the measured banks the longest, which
# ranks best. Each block is updated in a fraction of the steps, so they are many.
_BANK_TRAINING = _training(epochs=24, warmup_epochs=0.5)

PRESETS = {
    "proxy-10s": _short(7_500, "short training, about 10 CPU-seconds a child"),
    "proxy-30s": _short(22_500, "short training, about 30 CPU-seconds a child"),
    "proxy-60s": _short(45_000, "short training, about 60 CPU-seconds a child"),
    "bank": Preset(
        # Equally many steps for each choice, so that none is ahead (arXiv 1907.01845).
        WeightBankConfig(
            _BANK_DATA, _BANK_TRAINING, score="likelihood", width=0.5, sampling="fair"
        ),
        "weight bank, about 15 CPU-seconds a child in a search of 300",
    ),
    "bank-naswot": Preset(
        BankZeroCostConfig(
            _BANK_DATA,
            _BANK_TRAINING,
            score="likelihood",
            width=0.5,
            sampling="fair",
            zero_cost="naswot",
        ),
        "the bank together with naswot, about 16 CPU-seconds a child",
    ),
}


def with_recipe(evaluator: Any, name: str) -> Any:
    """Return an evaluator's configuration with the settings of a preset, or of a training recipe.

    A preset names the evaluator, too; wrappers around it are kept. A recipe of `mnas train`
    (`mnas.training.recipes`) sets the training only. Raises UsageError for an unknown name, and for
    an evaluator that trains nothing.
    """
    if name not in PRESETS and name not in RECIPES:
        raise unknown("recipe", name, [*PRESETS, *RECIPES])
    if isinstance(evaluator, WrapperConfig):
        inner = with_recipe(evaluator.evaluator, name)
        wrapper: Any = evaluator
        return dataclasses.replace(wrapper, evaluator=inner)
    if not isinstance(evaluator, ProxyConfig):
        raise UsageError(
            f"recipe = {name!r} with {type(evaluator).__name__}, which trains nothing; accepted: "
            "--evaluator proxy"
        )
    if name in PRESETS:
        return PRESETS[name].applied(evaluator)
    training = RECIPES[name].config
    precision = evaluator.training.precision
    return dataclasses.replace(
        evaluator, training=dataclasses.replace(training, precision=precision)
    )
