"""The result of a finished training as plain data, for `result.json` and the command line."""

import dataclasses
from typing import Any

import jax

from mnas.architecture.cost import network_cost
from mnas.training.accuracy import Score
from mnas.training.config import TrainingConfig
from mnas.training.whole_network import Retraining


def result_of(
    training: Retraining, config: TrainingConfig, seed: int, source: str, validation_images: int
) -> dict[str, Any]:
    """Return what was trained, on what, and how accurate it is.

    source             of the images
    validation_images  number of images held out for validation

    "validation" is of the last epoch, "test" of the test images, which are scored once, after it;
    None if there are none. Accuracies are fractions with 95% intervals (`Score.to_dict`).
    """
    architecture, last = training.architecture, training.history[-1]
    cost = network_cost(architecture)
    validation = Score(validation_images, round(last.accuracy * validation_images), None).to_dict()
    return {
        "name": architecture.name,
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "resolution": architecture.resolution,
        "classes": architecture.classes,
        "data": source,
        "seed": seed,
        "epochs": last.epoch,
        "steps": last.epoch * training.steps_per_epoch,
        "loss": last.loss,
        "validation": {key: validation[key] for key in ("n", "top1", "top1_interval")},
        "test": None if training.test is None else training.test.to_dict(),
        "training": dataclasses.asdict(config.for_backend(jax.default_backend())),
    }
