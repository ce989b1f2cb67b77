"""Retraining of a found network, from scratch and to the end: the whole step as one program.

Where a search trains thousands of children for a minute each, block by block (`mnas.training.blockwise`),
here one network is trained for hours, and one compilation is nothing. Settings, schedule, images
and BatchNorm's calibration are those of proxy training.

After every epoch the network is evaluated and everything is written to `checkpoint.npz`. Whatever
is random is drawn from the seed and the number of the epoch or step, so a training that was killed
goes on to the very same weights.
"""

import dataclasses
import functools
import json
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
from mnas.files import write_arrays as _write_arrays
from mnas.files import write_json
from mnas.nn.network import init_variables, network_blocks
from mnas.nn.weights import save_weights
from mnas.training.child import keep_probabilities, pooled_statistics
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.optimizer import Optimizer, optimizer_of
from mnas.training.scoring import top1_accuracy


@dataclasses.dataclass(frozen=True)
class Epoch:
    """What one pass over the images came to: mean loss, share of held-out images right."""

    epoch: int
    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class _Program:
    """All that a compiled step depends on."""

    architecture: Architecture
    optimizer: Optimizer
    label_smoothing: float
    drop_path: float
    dropout: float
    averaged: bool

    @property
    def blocks(self):
        dropping = {"drop_path": self.drop_path > 0, "dropout": self.dropout > 0}
        return network_blocks(self.architecture, **dropping)

    @property
    def keeps(self):
        return keep_probabilities([block for _, block in self.blocks], self.drop_path, self.dropout)

    def forward(self, params: Any, x: jax.Array, key: jax.Array | None):
        """Logits [B, classes] and {block: batch statistics}; nothing is dropped without a key."""
        statistics = {}
        for index, ((name, block), keep) in enumerate(zip(self.blocks, self.keeps, strict=True)):
            if keep is None or key is None:
                block, dropping = _undropped(block), (None, None)
            else:
                dropping = (keep, jax.random.fold_in(key, index))
            x, written = block.apply(
                {"params": params[name]}, x, True, *dropping, mutable=["batch_stats"]
            )
            statistics[name] = written.get("batch_stats", {})
        return x, statistics


def _undropped(block):
    return block.clone(drop=False) if getattr(block, "drop", False) else block


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def _step(program: _Program, state, images, labels, rate, ema_decay, key):
    """(params, optimiser state, averaged params) after one update, and the loss."""
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
    """One training in a directory; a further one with the same settings goes on with it.

    history     of the epochs so far
    variables   {block: {'params', 'batch_stats'}} after the last of them, once there is one

    ValueError where images don't fit, or the directory holds a training with other settings.
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
        held_out = (images.validation_images, images.validation_labels)
        self._held_out = DeviceImages.of(*held_out, mean, std)
        self._batch_size = min(config.batch_size, len(images.train_images))
        self._steps = len(images.train_images) // self._batch_size
        smoothing = config.label_smoothing
        dropping = (config.drop_path, config.dropout)
        self._program = _Program(
            architecture, optimizer_of(config), smoothing, *dropping, config.ema_decay > 0
        )
        self._checkpoint = directory / "checkpoint.npz"
        self._spec = directory / "spec.json"
        self._weights = directory / "weights.safetensors"
        self.history: list[Epoch] = []
        initial = init_variables(architecture, seed)
        params = {name: block["params"] for name, block in initial.items()}
        moments = self._program.optimizer.init(params)
        # A copy of the averages: a step gives its buffers away, each of them once.
        average = jax.tree.map(np.copy, params) if config.ema_decay else None
        self._state = jax.device_put((params, moments, average))
        self._settings = {
            "architecture": architecture.to_dict(),
            "training": dataclasses.asdict(config),
            "seed": seed,
            "data": source,
            "images": [len(images.train_images), len(images.validation_images)],
        }
        if self._checkpoint.exists():
            self._restore()

    def run(self, done: Callable[[Epoch], None] = lambda epoch: None) -> list[Epoch]:
        """Trains to the last epoch; `done` is called after each, when it is on disk."""
        for number in range(len(self.history) + 1, self._config.epochs + 1):
            loss = self._train(number)
            accuracy = self._evaluate()
            self.history.append(Epoch(number, loss, accuracy))
            self._save()
            done(self.history[-1])
        if not hasattr(self, "variables"):  # all epochs were trained before
            self._evaluate()
        write_json(self._spec, to_spec(self.architecture))
        pixels = (self._data.mean.tolist(), self._data.std.tolist())
        save_weights(self._weights, self.architecture, self.variables, pixels)
        return self.history

    def _train(self, epoch: int) -> float:
        """One pass over the images; the mean loss. FloatingPointError where it is not finite."""
        config, losses = self._config, []
        augmentation = {"flip": config.flip, "padding": config.crop_padding}
        batches = epoch_batches(self._data, self._batch_size, self._seed, epoch, **augmentation)
        for step, (images, labels) in enumerate(batches, start=(epoch - 1) * self._steps):
            rate = np.float32(learning_rate(config, step, self._steps))
            ema_decay = np.float32(min(config.ema_decay, (1 + step) / (10 + step)))
            key = jax.random.fold_in(jax.random.key(self._seed), step)
            self._state, loss = _step(
                self._program, self._state, images, labels, rate, ema_decay, key
            )
            losses.append(loss)
        losses = np.array(jax.device_get(losses))
        if not np.isfinite(losses).all():
            raise FloatingPointError(f"loss is not finite in epoch {epoch}")
        return float(losses.mean())

    def _evaluate(self) -> float:
        """Accuracy on the held-out images, of averaged weights where there are such."""
        params, _, average = self._state
        weights = params if average is None else average
        config, batch_size = self._config, self._batch_size
        most = config.calibration_batches
        batches = calibration_batches(self._data, batch_size, self._seed, most)
        found = [_statistics(self._program, weights, images) for images in batches]
        stacked = jax.tree.map(lambda *values: np.stack(values), *jax.device_get(found))
        host = jax.tree.map(np.array, jax.device_get(weights))
        self.variables = {
            name: {"params": host[name], "batch_stats": pooled_statistics(stacked[name])}
            for name in host
        }
        blocks = network_blocks(self.architecture)
        return top1_accuracy(blocks, self.variables, self._held_out, batch_size)

    def _save(self) -> None:
        leaves = jax.device_get(jax.tree.leaves(self._state))
        head = {
            "settings": self._settings,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
        }
        arrays = {f"leaf_{index}": leaf for index, leaf in enumerate(leaves)}
        _write_arrays(self._checkpoint, {**arrays, "head": np.array(json.dumps(head))})

    def _restore(self) -> None:
        with np.load(self._checkpoint, allow_pickle=False) as archive:
            arrays = dict(archive)
        head = json.loads(str(arrays.pop("head")))
        before, now = head["settings"], json.loads(json.dumps(self._settings))
        for name, value in now.items():
            if before.get(name) != value:
                raise UsageError(
                    f"{self._checkpoint}: {name} = {before.get(name)!r}, and is {value!r} now; "
                    "accepted: the same, or another directory"
                )
        tree = jax.tree.structure(self._state)
        leaves = [arrays[f"leaf_{index}"] for index in range(tree.num_leaves)]
        self._state = jax.device_put(jax.tree.unflatten(tree, leaves))
        self.history = [Epoch(**epoch) for epoch in head["history"]]
