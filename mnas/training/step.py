"""The update of a whole network as one compiled program.

    params, moments, average, batch → loss, gradients → updated params, moments, average

Blocks may be frozen, or have a learning rate of their own: blocks with equal rates are a group,
with one optimizer state. Arrays that are split over several devices give a program for all of
them, in which BatchNorm's statistics, loss and gradients are those of the whole batch.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mnas.architecture.architecture import Architecture
from mnas.nn.blocks import without_drop
from mnas.nn.network import Variables, network_blocks
from mnas.training.child import Blocks, keep_probabilities
from mnas.training.loss import cross_entropy
from mnas.training.optimizer import Optimizer

Groups = tuple[tuple[float, tuple[str, ...]], ...]


class State(NamedTuple):
    """State of a training that an update changes.

    params   {block: params} of all blocks that are not frozen
    moments  optimizer state of each group
    average  moving average of params, None without one
    """

    params: dict[str, Any]
    moments: tuple[Any, ...]
    average: dict[str, Any] | None


@dataclasses.dataclass(frozen=True)
class Program:
    """Static arguments of a compiled update.

    groups        (factor on the learning rate, blocks) of blocks that are trained
    averaged      whether there is a moving average of params
    accumulation  parts of a batch, one after the other
    dtype         of activations and their gradients; everything else is float32
    replicated    where the results are, a copy on each of several devices; None for one device
    """

    architecture: Architecture
    optimizer: Optimizer
    groups: Groups
    label_smoothing: float = 0.0
    drop_path: float = 0.0
    dropout: float = 0.0
    averaged: bool = False
    accumulation: int = 1
    dtype: str = "float32"
    replicated: jax.sharding.NamedSharding | None = None

    @property
    def blocks(self) -> Blocks:
        """All blocks, in order."""
        return network_blocks(
            self.architecture, drop_path=self.drop_path > 0, dropout=self.dropout > 0
        )

    def init(self, params: dict[str, Any]) -> State:
        """Return the state before the first update, given the params of all trained blocks."""
        moments = [
            self.optimizer.init({name: params[name] for name in names}) for _, names in self.groups
        ]
        # A copy: an update donates its buffers, each of which may be donated only once.
        average = jax.tree.map(np.copy, params) if self.averaged else None
        return State(params, tuple(moments), average)

    def forward(
        self,
        params: dict[str, Any],
        frozen: dict[str, Variables],
        x: jax.Array,
        key_of: Callable[[int], Any] | None = None,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Return logits [B, K] and {block: batch statistics}.

        key_of  random key of a block by its index, for what it drops; None drops nothing

        Frozen blocks are normalised by their own statistics, and drop nothing.
        """
        modules = [block for _, block in self.blocks]
        keeps = keep_probabilities(modules, self.drop_path, self.dropout)
        statistics: dict[str, Any] = {}
        for index, ((name, block), keep) in enumerate(zip(self.blocks, keeps, strict=True)):
            if name in frozen:
                x = cast(jax.Array, without_drop(block).apply(frozen[name], x, False))
                continue
            if keep is None or key_of is None:
                block, keep, key = without_drop(block), None, None
            else:
                key = key_of(index)
            x, written = block.apply(
                {"params": params[name]}, x, True, keep, key, mutable=["batch_stats"]
            )
            statistics[name] = written.get("batch_stats", {})
        return x, statistics

    def gradients(
        self,
        params: dict[str, Any],
        frozen: dict[str, Variables],
        images: jax.Array,
        targets: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Return the mean loss of a batch and its gradients."""

        def loss(params, images, targets, key):
            key_of = functools.partial(jax.random.fold_in, key)
            logits, _ = self.forward(params, frozen, images.astype(self.dtype), key_of)
            return cross_entropy(logits, targets, self.label_smoothing)

        of_part = jax.value_and_grad(loss)
        if self.accumulation == 1:
            return of_part(params, images, targets, key)

        def add(total, part):
            index, images, targets = part
            one = of_part(params, images, targets, jax.random.fold_in(key, index))
            return jax.tree.map(jnp.add, total, one), None

        parts = [self._parts(array) for array in (images, targets)]
        zeros = jnp.float32(0), jax.tree.map(jnp.zeros_like, params)
        total, _ = jax.lax.scan(add, zeros, (jnp.arange(self.accumulation), *parts))
        return jax.tree.map(lambda leaf: leaf / self.accumulation, total)

    def updated(self, state: State, gradients: dict[str, Any], rate: Any, ema_decay: Any) -> State:
        """Return the state after an update of params, moments and average by gradients."""
        optimizer, moments = self.optimizer.build(), []
        params: dict[str, Any] = {}
        for (factor, names), before in zip(self.groups, state.moments, strict=True):
            old = {name: state.params[name] for name in names}
            updates, after = optimizer.update(
                {name: gradients[name] for name in names}, before, old, learning_rate=rate * factor
            )
            params |= optax.apply_updates(old, updates)
            moments.append(after)
        average = state.average
        if self.averaged:
            average = optax.incremental_update(params, average, 1 - ema_decay)
        return State(params, tuple(moments), average)

    def copied(self, tree: Any) -> Any:
        """Return a result with a copy on every device."""
        if self.replicated is None:
            return tree
        return jax.lax.with_sharding_constraint(tree, self.replicated)

    def _parts(self, array: jax.Array) -> jax.Array:
        """Split a batch, [B, ...] → [parts, B / parts, ...]; part p has the images p, p + parts, …

        So each device, which has consecutive images, has an equal number in every part.
        """
        split = array.reshape(-1, self.accumulation, *array.shape[1:])
        return jnp.moveaxis(split, 1, 0)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def update(
    program: Program,
    state: State,
    frozen: dict[str, Variables],
    images: jax.Array,
    targets: jax.Array,
    rate: np.float32,
    ema_decay: np.float32,
    key: np.ndarray,
    step: np.uint32,
) -> tuple[State, jax.Array]:
    """Return the updated state and the loss, [], before the update.

    images, targets  float32 [B, R, R, 3]; labels [B] or class probabilities [B, K]
    rate, ema_decay  learning rate, and decay of the average, of this update
    key, step        data of the random key of the training, uint32 [2], and number of this update,
                     from which follows what is dropped
    """
    data = jnp.asarray(key)
    step_key = jax.random.fold_in(jax.random.wrap_key_data(data, impl="threefry2x32"), step)
    loss, gradients = program.gradients(state.params, frozen, images, targets, step_key)
    return program.copied((program.updated(state, gradients, rate, ema_decay), loss))


@functools.partial(jax.jit, static_argnums=0)
def batch_statistics(
    program: Program, params: dict[str, Any], frozen: dict[str, Variables], images: jax.Array
) -> dict[str, Any]:
    """Return {block: batch statistics} of images [B, R, R, 3], in float32, with nothing dropped."""
    return program.copied(program.forward(params, frozen, images)[1])


@functools.partial(jax.jit, static_argnums=0)
def infer(
    architecture: Architecture, variables: dict[str, Variables], images: jax.Array
) -> jax.Array:
    """Return logits [B, K] of images [B, R, R, 3], in float32."""
    x = images
    for name, block in network_blocks(architecture):
        x = cast(jax.Array, block.apply(variables[name], x, False))
    return x
