"""The contract of a controller: pure functions over an explicit state.

    state = controller.init(key)
    proposals = controller.ask(state, key, n)
    state = controller.tell(state, proposals, rewards)

A controller depends on a `Space` only, not on architectures, costs or processes. Its state is a
pytree of arrays: a checkpoint is that tree, and replaying the `tell` calls of a journal restores
it. Where its leaves are arrays of numbers, of the same shapes and types after every `tell`, long
searches keep it on disk (`mnas.loop.snapshot`), and a resumed one repeats few of the calls.

`mnas.testing.check_controller` checks an implementation. Shapes: N proposals, D decisions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from mnas.space import Space

State = Any  # a pytree of arrays, private to the controller
Array = jax.Array | np.ndarray


class Proposals(NamedTuple):
    """Decision vectors to be evaluated.

    decisions  int32 [N, D], canonical vectors (0 where inactive)
    log_probs  float32 [N], log-probability of each vector under the state that proposed it, over
               its active decisions; a controller without a distribution (evolution) gives those of
               uniform choices
    """

    decisions: Array
    log_probs: Array


class Controller(NamedTuple):
    """Pure functions, jitted where that saves time.

    init     (key) -> state
    ask      (state, key, n) -> Proposals of n rows
    tell     (state, proposals, rewards [N]) -> state; accepts batches of any size, in any order,
             and proposals of other controllers. Entries whose reward is NaN or infinite are ignored
    summary  (state) -> {name: float} for people: baseline, entropy, ...
    """

    init: Callable[[jax.Array], State]
    ask: Callable[[State, jax.Array, int], Proposals]
    tell: Callable[[State, Proposals, Array], State]
    summary: Callable[[State], dict[str, float]]


class ControllerConfig(Protocol):
    """Frozen dataclass of a controller's settings."""

    def build(self, space: Space) -> Controller:
        """Return the controller of a space. Raises UsageError if it can't search this space."""
        ...
