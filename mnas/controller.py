"""The contract of a controller: three pure functions over an explicit state.

    state = controller.init(key)
    proposals = controller.ask(state, key, n)
    state = controller.tell(state, proposals, rewards)

A controller knows a `Space` and nothing of architectures, costs or processes. Its state is a pytree
of arrays: to checkpoint a controller is to save that tree, and replaying the `tell`s of a journal
gives the same state again.

Shapes: N proposals, D decisions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from mnas.space import Space

State = Any  # a pytree of arrays, the controller's own


class Proposals(NamedTuple):
    """What a controller asks to have evaluated.

    decisions  int32 [N, D], canonical vectors (0 where inactive)
    log_probs  float32 [N], log-probability of each under the state that proposed it; active
               decisions only. Of a controller that has no distribution of its own (evolution), that
               of uniform choices
    """

    decisions: jax.Array
    log_probs: jax.Array


class Controller(NamedTuple):
    """Pure functions, jitted where it pays.

    init     (key) -> state
    ask      (state, key, n) -> Proposals of n rows
    tell     (state, proposals, rewards [N]) -> state. Takes any batch, in any order, also one that
             another controller proposed. A NaN reward teaches nothing.
    summary  (state) -> {name: value} of plain floats for people: baseline, entropy, ...
    """

    init: Callable[[jax.Array], State]
    ask: Callable[[State, jax.Array, int], Proposals]
    tell: Callable[[State, Proposals, jax.Array], State]
    summary: Callable[[State], dict[str, float]]


class ControllerConfig(Protocol):
    """A frozen dataclass of a controller's settings."""

    def build(self, space: Space) -> Controller: ...
