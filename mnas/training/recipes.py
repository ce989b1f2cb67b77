"""Training settings by name, for `mnas train --recipe` and `mnas retrain --recipe`; no JAX."""

import dataclasses

from mnas.errors import unknown
from mnas.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    config   the settings
    summary  what they are for and where they come from, one line
    scaled   whether the learning rate is proportional to the batch size (arXiv 1706.02677)
    """

    config: TrainingConfig
    summary: str
    scaled: bool = True

    def for_batches_of(self, batch_size: int) -> TrainingConfig:
        """Return the settings for another batch size, with the learning rate scaled if it is."""
        rate = self.config.learning_rate
        if self.scaled:
            rate *= batch_size / self.config.batch_size
        return dataclasses.replace(self.config, batch_size=batch_size, learning_rate=rate)


PROXY = Recipe(
    TrainingConfig(epochs=30),
    "the settings of proxy training, for 30 epochs",
    scaled=False,
)

# arXiv 1905.11946, section 5.2, and the authors' TPU code (tensorflow/tpu, models/official/
# efficientnet): RMSProp with decay and momentum 0.9 and epsilon 1e-3, learning rate 0.016 per 256
# images, warm-up of 5 epochs, decay by 0.97 every 2.4 epochs; average of weights with decay 0.9999;
# dropout of B0; stochastic depth with survival probability 0.8. Crops of 8% to 100% of the area,
# and RandAugment (arXiv 1909.13719) in place of AutoAugment.
EFFICIENTNET = Recipe(
    TrainingConfig(
        epochs=350,
        batch_size=256,
        learning_rate=0.016,
        schedule="exponential",
        warmup_epochs=5.0,
        decay_rate=0.97,
        decay_epochs=2.4,
        rms_decay=0.9,
        momentum=0.9,
        epsilon=1e-3,
        weight_decay=1e-5,
        label_smoothing=0.1,
        ema_decay=0.9999,
        drop_path=0.2,
        dropout=0.2,
        flip=True,
        random_crop=0.08,
        randaugment=2,
        randaugment_magnitude=9.0,
    ),
    "EfficientNet's training on ImageNet (arXiv 1905.11946): RMSProp, 350 epochs",
)

# As NAS-Bench-Macro trains its networks (arXiv 2103.11922: learning rate 0.1 per 256 images, weight
# decay 5e-4, cosine schedule, shift of 4 pixels and flip), with warm-up and label smoothing.
CIFAR = Recipe(
    TrainingConfig(
        epochs=50,
        batch_size=128,
        learning_rate=0.05,
        schedule="cosine",
        warmup_epochs=2.0,
        optimizer="sgd",
        momentum=0.9,
        weight_decay=5e-4,
        label_smoothing=0.1,
        flip=True,
        crop_padding=4,
    ),
    "images of about 32 pixels: SGD with Nesterov momentum, 50 epochs",
)

RECIPES = {"proxy": PROXY, "cifar": CIFAR, "efficientnet": EFFICIENTNET}


def find_recipe(name: str) -> Recipe:
    """Return the recipe of that name; UsageError, with the names, where there is none."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]
