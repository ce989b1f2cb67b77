"""Trainings with their log: history.csv, curves.svg and TensorBoard events in their directories."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

from mnas.evaluators.whole_network import WholeNetworkConfig, WholeNetworkEvaluator
from mnas.reports.training_log import EpochRow, TrainingLog
from mnas.training.checkpoint import Epoch
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.whole_network import Retraining


@dataclasses.dataclass(frozen=True)
class LoggedTrainingConfig(WholeNetworkConfig):
    """Evaluator of trainings to the end, each of which keeps a log."""

    def build(self) -> WholeNetworkEvaluator:
        """Return a new evaluator."""
        return WholeNetworkEvaluator(self, run_logged)


def run_logged(
    training: Retraining,
    config: TrainingConfig,
    directory: Path,
    on_epoch: Callable[[EpochRow], None] = lambda row: None,
    on_step: Callable[[int], None] = lambda step: None,
) -> list[EpochRow]:
    """Run a training to its end, keep the log in its directory, and return the rows of all epochs.

    config  that of the training

    `on_epoch` and `on_step` are called as by `Retraining.run`, which also says what is raised.
    """
    steps = training.steps_per_epoch
    rows = [_row(epoch, config, steps) for epoch in training.history]
    with TrainingLog(directory, training.architecture.name, rows) as log:
        start = time.monotonic()

        def log_epoch(epoch: Epoch) -> None:
            nonlocal start
            now = time.monotonic()
            row = _row(epoch, config, steps, training.images_per_second, now - start)
            start = now
            log.append(row)
            on_epoch(row)

        training.run(log_epoch, on_step)
        if training.test is not None:
            test = training.test.to_dict()
            log.add_scores({f"test/{name}": test[name] for name in ("top1", "top5")})
    return log.rows


def _row(
    epoch: Epoch,
    config: TrainingConfig,
    steps: int,
    rate: float | None = None,
    seconds: float | None = None,
) -> EpochRow:
    """Return the row of an epoch of so many steps, with its images/s and seconds where known."""
    last = epoch.epoch * steps
    return EpochRow(
        epoch=epoch.epoch,
        step=last,
        loss=epoch.loss,
        validation_accuracy=epoch.accuracy,
        learning_rate=learning_rate(config, last - 1, steps),
        images_per_second=rate,
        seconds=seconds,
    )
