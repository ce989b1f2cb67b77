"""Binding of a controller's module-level functions to their static arguments."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from mnas.controller import Controller, Proposals, State


def bind(
    spec: Any,
    init: Callable[[Any, jax.Array], State],
    ask: Callable[[Any, State, jax.Array, int], Proposals],
    tell: Callable[[Any, State, Proposals, jax.Array], State],
    summary: Callable[[Any, State], dict[str, float]],
) -> Controller:
    """Return the `Controller` of the four functions, each with `spec` as its first argument.

    `init`, `ask` (per batch size) and `tell` are jitted, `summary` is not.
    """
    return Controller(
        init=jax.jit(functools.partial(init, spec)),
        ask=jax.jit(functools.partial(ask, spec), static_argnums=2),
        tell=jax.jit(functools.partial(tell, spec)),
        summary=functools.partial(summary, spec),
    )
