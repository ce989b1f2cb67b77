"""Losses of a training to the end, step by step: several devices, bfloat16.

Command   python -m mnas.experiments.performance.whole_network --devices 8 --steps 100
Cost      2 minutes on 2 cores
Expect    losses of 8 devices and of 1 that differ by less than 1e-4
Results   docs/results/training.md

A small network is trained on random images of 32 pixels with a trace of their class, in batches of
64, with everything that draws random numbers. Prints one JSON object with the loss of each step.
Virtual devices of the CPU take the place of GPUs.
"""

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import numpy as np
import tyro

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.images import Images, Subset
from mnas.training.config import TrainingConfig

BATCH = 64
NETWORK = Architecture(
    (
        Block(kernel=3, stride=1, filters=16, expand_ratio=2, se_ratio=0.25),
        Block(kernel=5, stride=2, filters=24, expand_ratio=3, repeats=2),
    ),
    resolution=32,
    stem=16,
    head=64,
    classes=10,
    activation="swish",
    name="small",
)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Losses of a training, step by step."""

    devices: int = 1
    """Virtual devices of the CPU, over which batches are split."""
    steps: int = 100
    """Steps, of one epoch."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Type of activations and their gradients."""


def random_images(steps: int) -> Images:
    """Return random images, brighter with the number of their class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, BATCH * steps).astype(np.int32)
    noise = rng.normal(128, 40, (len(labels), 32, 32, 3))
    pixels = np.clip(noise + labels[:, None, None, None] * 8, 0, 255).astype(np.uint8)
    train, held_out = Subset.of(pixels, labels), Subset.of(pixels[:BATCH], labels[:BATCH])
    source = SimpleNamespace(digest=lambda: "random images")
    return Images(train, held_out, None, tuple("0123456789"), source)


def main() -> None:
    """Train, and print the losses."""
    options = tyro.cli(Arguments, description=__doc__)
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={options.devices}"
    from mnas.training.whole_network import Retraining  # imports JAX, which reads the flags

    config = TrainingConfig(
        epochs=1,
        batch_size=BATCH,
        learning_rate=0.02,
        ema_decay=0.99,
        drop_path=0.1,
        dropout=0.1,
        flip=True,
        crop_padding=2,
        precision=options.precision,
    )
    losses: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        training = Retraining(NETWORK, random_images(options.steps), config, 0, Path(directory))

        def on_step(step: int) -> None:
            if step == options.steps:
                losses.extend(training.losses)

        training.run(on_step=on_step)
    print(json.dumps({**dataclasses.asdict(options), "losses": losses}))


if __name__ == "__main__":
    main()
