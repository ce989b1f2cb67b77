"""Training of one network to the end, with the whole update as one program.

A search trains thousands of children for a minute each, block by block
(`mnas.training.blockwise`); here one network is trained for hours, and a single compilation is
negligible. Settings, schedule, images and BatchNorm's calibration are those of proxy training.

The state is written to `checkpoints` after every epoch, from time to time within one, and when a
signal ends the training. Random numbers depend only on the seed and the number of the epoch or
step, so a training that is resumed at any step reaches the same weights as an uninterrupted one, on
one device bit for bit.

Batches are split over all devices (`mnas.training.devices`). Weights, optimizer state, statistics
and loss are float32 whatever the precision of the activations; calibration and scoring are float32
throughout, as is inference later.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import to_spec
from mnas.data.batches import check_images
from mnas.data.feeds import Feed, Feeding, Statistics
from mnas.data.images import DataConfig, Images, Subset
from mnas.errors import UsageError
from mnas.files import write_json
from mnas.nn.network import Variables
from mnas.nn.weights import save_weights
from mnas.runtime import signals
from mnas.training import checkpoint
from mnas.training.accuracy import Score
from mnas.training.batches import batch_size_of, statistics_batches, training_batches
from mnas.training.checkpoint import Checkpoint, CheckpointConfig, Epoch
from mnas.training.child import pooled_statistics
from mnas.training.config import TrainingConfig, epoch_resolution, learning_rate
from mnas.training.devices import Devices, SplitFeed
from mnas.training.optimizer import optimizer_of
from mnas.training.scoring import score
from mnas.training.start import rate_groups, starting_variables, variables_digest
from mnas.training.step import Program, batch_statistics, infer, update

# Steps between two agreements of several processes on what to do.
AGREEMENT_STEPS = 16
DEFAULT_CHECKPOINTS = CheckpointConfig()


class Retraining:
    """One training in a directory, resumed there if its settings and images are the same.

    The number of epochs may change under the exponential and the constant schedule, whose learning
    rates do not depend on it.

    source         name of the images in messages; they are compared by their content
    initial        {block: {'params', 'batch_stats'}} before the first step; drawn from the seed by
                   default
    rates          factors on the learning rate by block, 1 for the others. A block with 0 is
                   frozen: it has no optimizer state, keeps its params and batch statistics, is
                   normalised by these, and drops nothing
    normalisation  mean and standard deviation of each channel, on the scale of 0 to 255; those of
                   the training images by default
    checkpoints    when checkpoints are written
    devices        over which batches are split; all by default
    feeding        where images are kept; on the device if they fit, by default

    Once it is made:

    history     epochs trained so far
    step        steps of the next epoch that are done
    resumed     line that says what is continued; None for a new training
    variables   {block: {'params', 'batch_stats'}} after the last epoch; None before the first one,
                and on resumption until `run`
    test        score on the test images after `run`; None if there are none
    images_per_second   of the last epoch's updates in this process, compilation included; None
                before the end of an epoch

    Raises ValueError for images, initial variables and rates that do not fit, and UsageError if the
    directory holds a training with other settings, or a damaged one, or if a batch can't be split
    over devices and accumulation.
    """

    def __init__(
        self,
        architecture: Architecture,
        images: Images,
        config: TrainingConfig,
        seed: int,
        directory: Path,
        source: str = "",
        *,
        initial: Mapping[str, Variables] | None = None,
        rates: Mapping[str, float] | None = None,
        normalisation: tuple[Any, Any] | None = None,
        checkpoints: CheckpointConfig = DEFAULT_CHECKPOINTS,
        devices: Devices | None = None,
        feeding: Feeding | None = None,
    ) -> None:
        check_images(architecture, images.train)
        check_images(architecture, images.validation)
        config = config.for_backend(jax.default_backend())
        self.architecture, self._config, self._seed = architecture, config, seed
        self._directory, self._source, self._images = directory, source, images
        self._schedule, self._devices = checkpoints, devices or Devices()
        epoch_resolution(config, architecture.resolution, 1)  # raises if it is none
        self._batch_size = batch_size_of(images.train, config)
        self._steps = len(images.train) // self._batch_size
        self._part_size = _part_size(self._batch_size, config.accumulation, self._devices)
        self._feeding = feeding or Feeding.of(DataConfig(), images)
        statistics = None
        if normalisation is not None:
            mean, std = (np.asarray(values, np.float32) for values in normalisation)
            statistics = mean, std
        self._feed = self._fed(images.train, statistics)
        self._normalisation = self._feed.mean, self._feed.std
        self._held_out = self._fed(images.validation, self._normalisation)

        variables = starting_variables(
            architecture, seed, initial, zero_residual=config.zero_residual
        )
        groups = rate_groups([*variables], rates or {})
        trained = {name for _, names in groups for name in names}
        params = {name: variables[name]["params"] for name in variables if name in trained}
        frozen = {name: variables[name] for name in variables if name not in trained}
        self._program = Program(
            architecture=architecture,
            optimizer=optimizer_of(config),
            groups=groups,
            label_smoothing=config.label_smoothing,
            drop_path=config.drop_path,
            dropout=config.dropout,
            averaged=config.ema_decay > 0,
            accumulation=config.accumulation,
            dtype=config.precision,
            replicated=self._devices.replicated,
        )
        self._key = np.asarray(jax.random.key_data(jax.random.key(seed)))
        self._state = self._devices.replicate(self._program.init(params))
        self._frozen = self._devices.replicate(frozen)
        self._host_frozen = frozen
        self.history: list[Epoch] = []
        self.resumed: str | None = None
        self.variables: dict[str, Variables] | None = None
        self.test: Score | None = None
        self.images_per_second: float | None = None
        self._losses: list[Any] = []
        self._saved = time.monotonic(), 0
        self._digest = images.digest()
        self._settings = {
            "architecture": architecture.to_dict(),
            "training": dataclasses.asdict(config),
            "seed": seed,
            "train_images": len(images.train),
            "validation_images": len(images.validation),
            "initial": None if initial is None else variables_digest(variables),
            "rates": {name: float(rate) for name, rate in (rates or {}).items()},
            "normalisation": None if normalisation is None else self._statistics(),
        }
        path = checkpoint.newest(self._checkpoints)
        if path is not None:
            self._restore(path)

    @property
    def step(self) -> int:
        """Number of steps of the next epoch that are done."""
        return len(self._losses)

    @property
    def losses(self) -> list[float]:
        """Losses of these steps; waits for them."""
        return [float(loss) for loss in jax.device_get(self._losses)]

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps of an epoch."""
        return self._steps

    @property
    def _checkpoints(self) -> Path:
        return self._directory / "checkpoints"

    def run(
        self,
        on_epoch: Callable[[Epoch], None] = lambda epoch: None,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> list[Epoch]:
        """Train to the last epoch, write weights and spec, score the test set; return the history.

        `on_epoch` is called after each epoch, once its checkpoint is on disk, `on_step` after each
        step with its number in the epoch, from 1. Raises FloatingPointError where the training
        diverges, and UsageError where a file can't be written; the checkpoint before remains.
        SIGINT and SIGTERM end it between two steps, with a checkpoint and an exception
        (`mnas.runtime.signals`).
        """
        with signals.deferred():
            try:
                while len(self.history) < self._config.epochs:
                    self._run_epoch(on_step)
                    on_epoch(self.history[-1])
            except KeyboardInterrupt:
                # The interpreter does not survive its end while XLA still computes.
                jax.block_until_ready(self._state)
                self._save()
                raise
            finally:
                self._feed.stop()
        if self.variables is None:  # all epochs were in the checkpoint
            self.variables = self._calibrated_variables()
        if self._devices.writes:
            self._write_network(self.variables)
        if self._images.test is not None:
            self.test = self._score(
                self.variables, self._fed(self._images.test, self._normalisation)
            )
        return self.history

    def _write_network(self, variables: dict[str, Variables]) -> None:
        spec = self._directory / "spec.json"
        try:
            write_json(spec, to_spec(self.architecture))
        except OSError as error:
            raise UsageError(f"{spec} can't be written: {error.strerror}") from None
        weights = self._directory / "weights.safetensors"
        save_weights(weights, self.architecture, variables, self._statistics())

    def _statistics(self) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of each channel, by which images are normalised."""
        mean, std = (values.tolist() for values in self._normalisation)
        return mean, std

    def _run_epoch(self, on_step: Callable[[int], None]) -> None:
        """Train the rest of an epoch, evaluate, and write the checkpoint."""
        epoch, first, start = len(self.history) + 1, self.step, time.monotonic()
        for images, targets in self._batches(epoch):
            self._update(images, targets)
            on_step(self.step)
            self._pause()
        losses = self._finite_losses()  # waits for the last update
        trained = (self._steps - first) * self._batch_size
        self.images_per_second = trained / (time.monotonic() - start)
        self.variables = self._calibrated_variables()
        self._require_finite("network", *jax.tree.leaves(self.variables))
        accuracy = self._score(self.variables, self._held_out).accuracy
        self.history.append(Epoch(epoch, float(losses.mean()), accuracy))
        self._losses = []
        self._save()

    def _batches(self, epoch: int) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Yield the batches of an epoch that are left."""
        classes = self.architecture.classes
        yield from training_batches(
            self._feed, self._config, classes, self._seed, epoch, start=self.step
        )

    def _update(self, images: jax.Array, targets: jax.Array) -> None:
        config, step = self._config, len(self.history) * self._steps + self.step
        self._state, loss = update(
            self._program,
            self._state,
            self._frozen,
            images,
            targets,
            np.float32(learning_rate(config, step, self._steps)),
            np.float32(min(config.ema_decay, (1 + step) / (10 + step))),
            self._key,
            np.uint32(step),
        )
        self._losses.append(loss)

    def _pause(self) -> None:
        """Write a checkpoint where it is due; raise the exception of a signal.

        Several processes do the same, at the same step.
        """
        last = self.step == self._steps  # epochs may be shorter than the steps of an agreement
        if self._devices.processes > 1 and self.step % AGREEMENT_STEPS and not last:
            return
        interruption: KeyboardInterrupt | None = None
        try:
            signals.check()
        except KeyboardInterrupt as error:
            interruption = error
        moment, step = self._saved
        due = time.monotonic() - moment > 60 * self._schedule.minutes
        if self._schedule.steps is not None:
            due = due or self.step - step >= self._schedule.steps
        interrupted, due = self._devices.any(interruption is not None, due)
        if interrupted:
            raise interruption or signals.Terminated()
        if due and self.step < self._steps:  # one more follows after the last step
            self._save()

    def _finite_losses(self) -> np.ndarray:
        """Return the losses of the epoch so far. Raises FloatingPointError if one is not finite."""
        losses = np.array(jax.device_get(self._losses), np.float32)
        self._require_finite("loss", losses)
        return losses

    def _require_finite(self, what: str, *arrays: np.ndarray) -> None:
        if all(np.isfinite(array).all() for array in arrays):
            return
        path = checkpoint.newest(self._checkpoints)
        kept = f"{path} has the steps before; " if path else ""
        raise FloatingPointError(
            f"diverged: the {what} is not finite in epoch {len(self.history) + 1}; {kept}"
            f"try a learning rate below {self._config.learning_rate}, or a longer warm-up, in "
            "another directory"
        )

    def _calibrated_variables(self) -> dict[str, Variables]:
        """Return (averaged) weights with batch statistics, block by block, as NumPy arrays."""
        weights = self._state.params if self._state.average is None else self._state.average
        program = dataclasses.replace(self._program, dtype="float32")
        batches = statistics_batches(
            self._feed,
            self._config,
            self.architecture.classes,
            self._seed,
            self._part_size,
            self._config.calibration_batches * self._config.accumulation,
        )
        statistics = [
            batch_statistics(program, weights, self._frozen, images) for images in batches
        ]
        stacked = jax.tree.map(lambda *values: np.stack(values), *jax.device_get(statistics))
        host = jax.tree.map(np.array, jax.device_get(weights))
        trained = {
            name: {"params": host[name], "batch_stats": pooled_statistics(stacked[name])}
            for name in host
        }
        return {**trained, **self._host_frozen}

    def _fed(self, images: Subset, statistics: Statistics | None) -> Feed:
        return SplitFeed(self._feeding.feed(images, statistics), self._devices)

    def _score(self, variables: dict[str, Variables], feed: Feed) -> Score:
        placed = self._devices.replicate(variables)

        def logits(images: jax.Array) -> jax.Array:
            return infer(self.architecture, placed, images)

        return score(logits, feed, self._part_size)

    def _save(self) -> None:
        """Write a checkpoint. Raises FloatingPointError where the training has diverged."""
        losses = self._finite_losses()
        leaves = jax.device_get(jax.tree.leaves(self._state))
        self._require_finite("network", *leaves)
        if self._devices.writes:
            settings = {**self._settings, "images": self._digest}
            state = Checkpoint(settings, self.history, losses.tolist(), leaves)
            state.write(self._checkpoints, self._schedule.keep)
        self._saved = time.monotonic(), self.step

    def _restore(self, path: Path) -> None:
        found, epochs = Checkpoint.read(path), self._config.epochs
        free, reason = ["images"], ""
        if self._config.schedule == "cosine":
            reason = "since the cosine schedule depends on it"
        elif self._config.progressive is not None:
            reason = "since the resolution of the images depends on it"
        else:
            free.append("training.epochs")
        found.check_settings(self._settings, path, free, reason)
        if found.settings.get("images") != self._digest:
            raise UsageError(
                f"{path}: the images of {self._source} are not those of the training; "
                "accepted: the same images, under any path, or another directory"
            )
        trained, step = len(found.history), len(found.losses)
        least = trained + (step > 0)
        if least > epochs or step > self._steps:
            raise UsageError(f"{path}: epochs = {epochs}; accepted: at least {least}, as trained")
        leaves, tree = jax.tree.flatten(self._state)
        state = jax.tree.unflatten(tree, found.with_leaves(path, leaves).leaves)
        self._state = self._devices.replicate(state)
        self.history, self._losses = [*found.history], [*found.losses]
        self._saved = time.monotonic(), step
        self.resumed = f"resumed after epoch {trained}"
        if step:
            self.resumed += f" and step {step} of {self._steps}"
        before = found.settings["training"]["epochs"]
        if before != epochs:
            self.resumed += f"; {epochs} epochs instead of {before}"


def _part_size(batch_size: int, accumulation: int, devices: Devices) -> int:
    """Return the images of a part of a batch. Raises UsageError if it can't be divided."""
    if batch_size % accumulation:
        raise UsageError(
            f"training: accumulation = {accumulation}; accepted: a divisor of the {batch_size} "
            "images of a batch"
        )
    what = "batch_size" if accumulation == 1 else "batch_size / accumulation"
    devices.require_divisible(f"training: {what}", batch_size // accumulation)
    return batch_size // accumulation
