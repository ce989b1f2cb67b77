"""Training with mnas: `mnas.training.blockwise`, called as the proxy evaluator calls it."""

from typing import Any

import flax
import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.nn.network import count_params, variable_shapes
from mnas.training import blockwise
from mnas.training.child import Child
from mnas.training.config import TrainingConfig
from mnas.training.optimizer import Optimizer


class Contender:
    """mnas; the interface is described in `mnas.benchmark.worker`."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.versions = {"jax": jax.__version__, "flax": flax.__version__}
        self._config = TrainingConfig(**job["settings"])
        with np.load(job["images"]) as arrays:
            self._arrays = dict(arrays)
        images = self._arrays["train_images"][: self._config.batch_size]
        labels = self._arrays["train_labels"][: self._config.batch_size]
        mean, std = images.mean((0, 1, 2)), images.std((0, 1, 2))
        self._batch = jax.device_put(((images - mean).astype(np.float32) / std, labels))

    def build(self, child: dict[str, Any]) -> int:
        architecture, config = Architecture.from_dict(child["spec"]), self._config
        optimizer = Optimizer(
            config.rms_decay, config.momentum, config.epsilon, config.weight_decay
        )
        smoothing = config.label_smoothing
        self._child = Child(architecture, 0, optimizer, label_smoothing=smoothing)
        self._step = 0
        return count_params(variable_shapes(architecture))

    def step(self) -> jax.Array:
        self._step += 1
        images, labels = self._batch
        return self._child.step(images, labels, self._config.learning_rate, self._step - 1)

    def wait(self, loss: jax.Array) -> None:
        loss.block_until_ready()

    def train(self, child: dict[str, Any]) -> dict[str, Any]:
        arrays = self._arrays
        feed = DeviceImages(Subset.of(arrays["train_images"], arrays["train_labels"]))
        held_out = Subset.of(arrays["held_out_images"], arrays["held_out_labels"])
        result = blockwise.train(
            Architecture.from_dict(child["spec"]),
            feed,
            self._config,
            seed=0,
            validation=DeviceImages(held_out, (feed.mean, feed.std)),
        )
        return {
            "compile_seconds": result.compile_seconds + result.cache_read_seconds,
            "trace_seconds": result.trace_seconds,
            "accuracy": result.accuracy,
        }
