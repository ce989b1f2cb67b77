"""Inference with mnas: `mnas.nn.inference`, whole networks."""

from typing import Any

import flax
import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.nn.inference import fold, predict
from mnas.nn.network import count_params, init_variables


class Contender:
    """mnas; the interface is described in `mnas.benchmark.worker`. A step is one batch."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.versions = {"jax": jax.__version__, "flax": flax.__version__}

    def build(self, child: dict[str, Any]) -> int:
        self._architecture = Architecture.from_dict(child["spec"])
        variables = init_variables(self._architecture, seed=0)
        self._folded = jax.device_put(fold(self._architecture, variables))
        resolution = self._architecture.resolution
        shape = (child["batch"], resolution, resolution, 3)
        images = np.random.default_rng(0).standard_normal(shape, np.float32)
        self._images = jax.device_put(images)
        return count_params(variables)

    def step(self) -> jax.Array:
        """Return logits when they are computed, so that latencies don't overlap."""
        return predict(self._architecture, self._folded, self._images).block_until_ready()

    def wait(self, logits: jax.Array) -> None:
        """Do nothing: `step` has waited."""
