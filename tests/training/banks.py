"""A tiny space, its images and a bank in training."""

import dataclasses
import functools

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.space import OneOf, Space
from mnas.training.bank_training import BankTraining
from mnas.training.config import TrainingConfig

TRAINING = TrainingConfig(epochs=3, batch_size=16, flip=True, crop_padding=1, calibration_batches=2)


@dataclasses.dataclass(frozen=True)
class TinySpace:
    """Two stages; four kinds of layers, and one or two of them in the second stage."""

    filters: int = 8
    classes: int = 10

    def build(self) -> Space:
        stages = (
            functools.partial(Block, kernel=3, stride=2, filters=self.filters),
            functools.partial(Block, kernel=OneOf(3, 5), stride=2, filters=16, repeats=OneOf(1, 2)),
        )
        template = functools.partial(
            Architecture, blocks=stages, resolution=8, stem=8, head=16, classes=self.classes
        )
        return Space("tiny", template)


SMALL, LARGE_KERNEL, DEEP, BOTH = map(TinySpace().build().decode, ([0, 0], [1, 0], [0, 1], [1, 1]))


def feed(images: int = 64) -> DeviceImages:
    """Return random images of ten classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, 8, 8, 3), np.uint8)
    return DeviceImages(Subset.of(pixels, rng.integers(0, 10, images)))


def alternating(step: int) -> Architecture:
    """Return one of the four networks for each step of a bank's training."""
    return (SMALL, BOTH, LARGE_KERNEL, DEEP, DEEP)[step % 5]


def training(paths=alternating, file=None, seed=0, config=TRAINING) -> BankTraining:
    """Return a bank in training on the images."""
    return BankTraining(paths, feed(), config, seed, file)
