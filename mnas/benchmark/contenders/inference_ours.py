"""The project's own side of the inference benchmark: `mnas.nn.inference`, whole networks."""

import flax
import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.nn.inference import fold, predict
from mnas.nn.network import count_params, init_variables


class Side:
    """See `mnas.benchmark.worker`; a step is one batch answered, and over when it returns."""

    def __init__(self, job):
        self.versions = {"jax": jax.__version__, "flax": flax.__version__}

    def build(self, child):
        self._architecture = Architecture.from_dict(child["spec"])
        variables = init_variables(self._architecture, seed=0)
        self._folded = jax.device_put(fold(self._architecture, variables))
        side = self._architecture.resolution
        shape = (child["batch"], side, side, 3)
        images = np.random.default_rng(0).standard_normal(shape, np.float32)
        self._images = jax.device_put(images)
        return count_params(variables)

    def step(self):
        return predict(self._architecture, self._folded, self._images).block_until_ready()

    def wait(self, logits):
        """`step` has waited: a latency is that of one answer, not of a queue of them."""
