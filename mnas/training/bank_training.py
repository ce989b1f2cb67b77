"""Training of a weight bank: each step updates the blocks of one sampled network.

A step is that of a child (`mnas.training.child`), with batches, augmentation, optimizer and
learning rates of proxy training; the schedule runs over the bank's steps. Batches, networks and
whatever else is random depend on the seed and the number of the step alone, so a training goes on
from a file exactly as if it had not been interrupted.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.batches import check_images
from mnas.data.feeds import Feed
from mnas.errors import UsageError
from mnas.training.batches import batch_size_of, training_batches
from mnas.training.child import Child
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.optimizer import optimizer_of
from mnas.training.weight_bank import BankFile, WeightBank

# Losses are waited for, and checked, after so many steps.
CHECKED_STEPS = 50


class BankTraining:
    """A bank in training.

    paths  the network that a step updates, by the step's number
    steps  steps done
    total  steps of the whole training
    loss   mean training loss of the last steps; NaN before any

    Raises ValueError and UsageError where images don't suit the networks, UsageError for an average
    of weights, which blocks that are updated now and then don't have.
    """

    def __init__(
        self,
        paths: Callable[[int], Architecture],
        feed: Feed,
        config: TrainingConfig,
        seed: int,
        file: BankFile | None = None,
    ) -> None:
        if config.ema_decay:
            raise UsageError(
                f"training: ema_decay = {config.ema_decay} for a weight bank; accepted: 0"
            )
        config = config.for_backend(jax.default_backend())
        first = paths(0)
        check_images(first, feed)
        self.paths, self._feed, self._config, self._seed = paths, feed, config, seed
        self._classes, self._optimizer = first.classes, optimizer_of(config)
        self.bank = WeightBank(self._optimizer, seed, zero_residual=config.zero_residual, file=file)
        self.steps = 0 if file is None else file.steps
        self._epoch_steps = len(feed) // batch_size_of(feed, config)
        self.total = config.epochs * self._epoch_steps
        self.loss = float("nan")
        self._cpu_start = time.process_time() - (0.0 if file is None else file.cpu_seconds)
        self._pending: list[jax.Array] = []

    @property
    def cpu_seconds(self) -> float:
        """Processor time of the steps, with compilation; steps lost with a process don't count."""
        return time.process_time() - self._cpu_start

    def run(self) -> Iterator[int]:
        """Train to the end; yield the number of steps done after every `CHECKED_STEPS`.

        Raises FloatingPointError for a loss that is not finite.
        """
        try:
            while self.steps < self.total:
                epoch, start = divmod(self.steps, self._epoch_steps)
                for images, targets in training_batches(
                    self._feed, self._config, self._classes, self._seed, epoch + 1, start=start
                ):
                    self._step(images, targets)
                    if self.steps % CHECKED_STEPS == 0 or self.steps == self.total:
                        self._check()
                        yield self.steps
        finally:
            self._feed.stop()

    def write(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the bank as it is after the steps done (`WeightBank.write`)."""
        self._check()
        self.bank.write(
            path,
            identity,
            self.steps,
            finished=self.steps == self.total,
            cpu_seconds=self.cpu_seconds,
        )

    def _step(self, images: jax.Array, targets: jax.Array) -> None:
        architecture, config = self.paths(self.steps), self._config
        child = Child(
            architecture,
            self._seed + self.steps,  # of what is dropped
            self._optimizer,
            label_smoothing=config.label_smoothing,
            drop_path=config.drop_path,
            dropout=config.dropout,
            start=self.bank.states(architecture),
            precision=config.precision,
        )
        rate = learning_rate(config, self.steps, self._epoch_steps)
        self._pending.append(child.step(images, targets, rate, self.steps))
        self.bank.update(architecture, child.states())
        self.steps += 1

    def _check(self) -> None:
        """Wait for the losses of the last steps, and require that they are finite."""
        losses = np.array(jax.device_get(self._pending))
        first = self.steps - len(losses)
        self._pending.clear()
        if not np.isfinite(losses).all():
            raise FloatingPointError(
                f"loss is not finite at step {first + int(np.argmin(np.isfinite(losses))) + 1} of "
                "the weight bank"
            )
        if len(losses):
            self.loss = float(losses.mean())
