"""Training of one network to the end, with the whole update step as one program.

A search trains thousands of children for a minute each, block by block
(`mnas.training.blockwise`); here one network is trained for hours, and a single compilation is
negligible. Settings, schedule, images and BatchNorm's calibration are those of proxy training.

After every epoch the network is evaluated and the state is written to `checkpoint.npz`. Random
numbers depend only on the seed and the number of the epoch or step, so a resumed training reaches
the same weights as an uninterrupted one.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from mnas.architecture.architecture import Architecture
from mnas.architecture.spec import to_spec
from mnas.data.batches import (
    DeviceImages,
    calibration_batches,
    check_images,
    epoch_batches,
    pixel_statistics,
)
from mnas.data.images import Images
from mnas.errors import UsageError
from mnas.files import write_json
from mnas.nn.blocks import without_drop
from mnas.nn.network import Variables, init_variables, network_blocks
from mnas.nn.weights import save_weights
from mnas.runtime import signals
from mnas.training.checkpoint import Checkpoint, Epoch
from mnas.training.child import Blocks, keep_probabilities, pooled_statistics
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.optimizer import Optimizer, optimizer_of
from mnas.training.scoring import top1_accuracy


@dataclasses.dataclass(frozen=True)
class _Program:
    """Static arguments of a compiled step."""

    architecture: Architecture
    optimizer: Optimizer
    label_smoothing: float
    drop_path: float
    dropout: float
    averaged: bool

    @property
    def blocks(self) -> Blocks:
        return network_blocks(
            self.architecture, drop_path=self.drop_path > 0, dropout=self.dropout > 0
        )

    @property
    def keeps(self) -> list[np.float32 | None]:
        return keep_probabilities([block for _, block in self.blocks], self.drop_path, self.dropout)

    def forward(
        self, params: Any, x: jax.Array, key: jax.Array | None
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Return logits [B, classes] and {block: batch statistics}; without a key, drop nothing."""
        statistics: dict[str, Any] = {}
        for index, ((name, block), keep) in enumerate(zip(self.blocks, self.keeps, strict=True)):
            if keep is None or key is None:
                block, keep, block_key = without_drop(block), None, None
            else:
                block_key = jax.random.fold_in(key, index)
            x, written = block.apply(
                {"params": params[name]}, x, True, keep, block_key, mutable=["batch_stats"]
            )
            statistics[name] = written.get("batch_stats", {})
        return x, statistics


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _step(program: _Program, state, images, labels, rate, ema_decay, key):
    """Return the updated (params, optimizer state, averaged params), and the loss."""
    params, moments, average = state

    def loss(params):
        logits, _ = program.forward(params, images, key)
        targets = jax.nn.one_hot(labels, logits.shape[-1])
        targets = optax.smooth_labels(targets, program.label_smoothing)
        return optax.softmax_cross_entropy(logits, targets).mean()

    value, gradients = jax.value_and_grad(loss)(params)
    updates, moments = program.optimizer.build().update(
        gradients, moments, params, learning_rate=rate
    )
    params = optax.apply_updates(params, updates)
    if program.averaged:
        average = optax.incremental_update(params, average, 1 - ema_decay)
    return (params, moments, average), value


@functools.partial(jax.jit, static_argnums=0)
def _statistics(program: _Program, params, images):
    return program.forward(params, images, None)[1]


class Retraining:
    """One training in a directory, resumed there if its settings and images are the same.

    The number of epochs may change under the exponential schedule, whose learning rates do not
    depend on it. `source` names the images in messages; they are compared by their content.

    history     epochs trained so far
    variables   {block: {'params', 'batch_stats'}} after the last epoch; None before the first one,
                and on resumption until `run`

    Raises ValueError for images that do not fit, and UsageError if the directory holds a training
    with other settings, or a damaged one.
    """

    def __init__(
        self,
        architecture: Architecture,
        images: Images,
        config: TrainingConfig,
        seed: int,
        directory: Path,
        source: str = "",
    ) -> None:
        check_images(architecture, images.train_images, images.train_labels)
        check_images(architecture, images.validation_images, images.validation_labels)
        self.architecture, self._config, self._seed = architecture, config, seed
        mean, std = pixel_statistics(images.train_images)
        self._data = DeviceImages.of(images.train_images, images.train_labels, mean, std)
        self._held_out = DeviceImages.of(
            images.validation_images, images.validation_labels, mean, std
        )
        self._batch_size = min(config.batch_size, len(images.train_images))
        self._steps = len(images.train_images) // self._batch_size
        self._program = _Program(
            architecture=architecture,
            optimizer=optimizer_of(config),
            label_smoothing=config.label_smoothing,
            drop_path=config.drop_path,
            dropout=config.dropout,
            averaged=config.ema_decay > 0,
        )
        self._checkpoint = directory / "checkpoint.npz"
        self._spec = directory / "spec.json"
        self._weights = directory / "weights.safetensors"
        self.history: list[Epoch] = []
        self.variables: dict[str, Variables] | None = None
        initial = init_variables(architecture, seed)
        params = {name: block["params"] for name, block in initial.items()}
        moments = self._program.optimizer.init(params)
        # Averages are a copy: a step donates its buffers, each of which may be donated only once.
        average = jax.tree.map(np.copy, params) if config.ema_decay else None
        self._state = jax.device_put((params, moments, average))
        self._settings = {
            "architecture": architecture.to_dict(),
            "training": dataclasses.asdict(config),
            "seed": seed,
            "train_images": len(images.train_images),
            "validation_images": len(images.validation_images),
        }
        self._digest, self._source = images.digest(), source
        if self._checkpoint.exists():
            self._restore()

    def run(self, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> list[Epoch]:
        """Train to the last epoch and write weights and spec; return the history.

        `on_epoch` is called after each epoch, once its checkpoint is on disk. Raises
        FloatingPointError where the training diverges, and UsageError where a file can't be
        written; the checkpoint of the epoch before remains. SIGINT and SIGTERM end it between two
        steps, with an exception (`mnas.runtime.signals`).
        """
        with signals.deferred():
            try:
                for number in range(len(self.history) + 1, self._config.epochs + 1):
                    self._run_epoch(number)
                    on_epoch(self.history[-1])
            except KeyboardInterrupt:
                # The interpreter does not survive its end while XLA still computes.
                jax.block_until_ready(self._state)
                raise
        if self.variables is None:  # all epochs were in the checkpoint
            self.variables = self._calibrated_variables()
        try:
            write_json(self._spec, to_spec(self.architecture))
        except OSError as error:
            raise UsageError(f"{self._spec} can't be written: {error.strerror}") from None
        statistics = (self._data.mean.tolist(), self._data.std.tolist())
        save_weights(self._weights, self.architecture, self.variables, statistics)
        return self.history

    def _run_epoch(self, number: int) -> None:
        """Train and evaluate one epoch, and write the checkpoint."""
        loss = self._train(number)
        self.variables = self._calibrated_variables()
        for leaf in jax.tree.leaves(self.variables):
            self._require_finite(number, "network", leaf)
        self.history.append(Epoch(number, loss, self._accuracy(self.variables)))
        self._save()

    def _train(self, epoch: int) -> float:
        """Train one epoch; return its mean loss. Raises FloatingPointError if it is not finite."""
        config, pending = self._config, []
        batches = epoch_batches(
            self._data,
            self._batch_size,
            self._seed,
            epoch,
            flip=config.flip,
            padding=config.crop_padding,
        )
        for step, (images, labels) in enumerate(batches, start=(epoch - 1) * self._steps):
            rate = np.float32(learning_rate(config, step, self._steps))
            ema_decay = np.float32(min(config.ema_decay, (1 + step) / (10 + step)))
            key = jax.random.fold_in(jax.random.key(self._seed), step)
            self._state, loss = _step(
                self._program, self._state, images, labels, rate, ema_decay, key
            )
            pending.append(loss)
            signals.check()
        losses = np.array(jax.device_get(pending))
        self._require_finite(epoch, "loss", losses)
        return float(losses.mean())

    def _require_finite(self, epoch: int, what: str, values: np.ndarray) -> None:
        if not np.isfinite(values).all():
            kept = f"{self._checkpoint} has the epochs before; " if epoch > 1 else ""
            raise FloatingPointError(
                f"diverged: the {what} is not finite in epoch {epoch}; {kept}"
                f"try a learning rate below {self._config.learning_rate}, or a longer warm-up, in "
                "another directory"
            )

    def _calibrated_variables(self) -> dict[str, Variables]:
        """Return (averaged) weights with batch statistics, block by block, as NumPy arrays."""
        params, _, average = self._state
        weights = params if average is None else average
        batches = calibration_batches(
            self._data, self._batch_size, self._seed, self._config.calibration_batches
        )
        statistics = [_statistics(self._program, weights, images) for images in batches]
        stacked = jax.tree.map(lambda *values: np.stack(values), *jax.device_get(statistics))
        host = jax.tree.map(np.array, jax.device_get(weights))
        return {
            name: {"params": host[name], "batch_stats": pooled_statistics(stacked[name])}
            for name in host
        }

    def _accuracy(self, variables: dict[str, Variables]) -> float:
        blocks = network_blocks(self.architecture)
        return top1_accuracy(blocks, variables, self._held_out, self._batch_size)

    def _save(self) -> None:
        leaves = jax.device_get(jax.tree.leaves(self._state))
        settings = {**self._settings, "images": self._digest}
        Checkpoint(settings, self.history, leaves).write(self._checkpoint)

    def _restore(self) -> None:
        path, epochs = self._checkpoint, self._config.epochs
        checkpoint = Checkpoint.read(path)
        free = ["images"]
        if self._config.schedule == "exponential":
            free.append("training.epochs")
        checkpoint.check_settings(self._settings, path, free)
        if checkpoint.settings.get("images") != self._digest:
            raise UsageError(
                f"{path}: the images of {self._source} are not those of the training; "
                "accepted: the same images, under any path, or another directory"
            )
        trained = len(checkpoint.history)
        if trained > epochs:
            raise UsageError(f"{path}: epochs = {epochs}; accepted: at least {trained}, as trained")
        leaves, tree = jax.tree.flatten(self._state)
        checkpoint.check_state(leaves, path)
        self._state = jax.device_put(jax.tree.unflatten(tree, checkpoint.leaves))
        self.history = [*checkpoint.history]
