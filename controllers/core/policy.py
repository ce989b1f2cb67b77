"""Policy networks: distributions over the decision vectors of a `Space`.

    policy = lstm(space)
    params = policy.init(key)
    decisions, log_probs = policy.sample(params, key, n)
    log_probs, entropies = policy.evaluate(params, decisions)

A decision is inactive where one of its parents (always earlier) has a choice that it does not go
with: there it takes the value 0 with certainty and adds nothing to log-probability or entropy (as
in TuNAS, arXiv 2008.06120). So `log_probs` are those of canonical vectors, and over all of them the
probabilities sum to 1.

Shapes: N vectors, D decisions, P conditions and M choices at most of one decision, H units,
E width of an embedding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mnas.space import Space

Params = Any  # a pytree of arrays

# The logit of a choice that a decision does not have. Finite, so that p·log p is 0 and not NaN.
_NO_CHOICE = -1e9


class Policy(NamedTuple):
    """A distribution over canonical decision vectors: pure functions that may be jitted.

    init      (key) -> params
    sample    (params, key, n) -> (decisions int32 [n, D], canonical; log_probs float32 [n])
    evaluate  (params, decisions [N, D]) -> (log_probs [N], entropies [N]), in nats. Vectors that
              are not canonical count as the canonical ones. The entropy of a vector is the sum over
              its active decisions of the entropy of that decision given the earlier ones. Its mean
              over vectors that the policy sampled estimates the policy's entropy; its gradient, as
              usual, leaves out how the parameters change which prefixes are sampled.
    """

    init: Callable[[jax.Array], Params]
    sample: Callable[[Params, jax.Array, int], tuple[jax.Array, jax.Array]]
    evaluate: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]


def canonical(space: Space, decisions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`space.canonical` and `space.active` under jit: int32 [N, D] and bool [N, D]."""

    def decide(carry: Any, at: Any) -> tuple[Any, None]:
        decisions, actives = carry
        d, parents, accepted = at
        active = _active(parents, accepted, decisions)
        decisions = decisions.at[:, d].set(jnp.where(active, decisions[:, d], 0))
        return (decisions, actives.at[:, d].set(active)), None

    decisions = jnp.asarray(decisions, jnp.int32)
    conditional = np.array([d for d, found in enumerate(space.decisions) if found.conditions], int)
    steps = conditional, space.parents[conditional], space.accepted[conditional]
    carry = decisions, jnp.ones(decisions.shape, bool)
    return jax.lax.scan(decide, carry, jax.tree.map(jnp.asarray, steps))[0]


def _active(parents: jax.Array, accepted: jax.Array, decisions: jax.Array) -> jax.Array:
    """Whether one decision of parents [P] and accepted [P, M] is active: bool [N]."""
    return accepted[jnp.arange(len(parents))[None], decisions[:, parents]].all(-1)


def factorized(space: Space, floor: float = 0.0) -> Policy:
    """Independent logits for each decision, all 0 at the start (TuNAS, arXiv 2008.06120).

    `floor` is a probability that every decision spreads evenly over its choices, come what may.
    """
    count, most = space.accepted.shape[0], space.accepted.shape[2]
    exists = jnp.arange(most)[None] < jnp.asarray(space.sizes)[:, None]  # [D, M]
    even = jnp.where(exists, 1 / jnp.asarray(space.sizes, jnp.float32)[:, None], 0.0)
    last = jnp.asarray(space.sizes, jnp.int32) - 1

    def init(key: jax.Array) -> Params:
        del key  # every policy takes one
        return {"logits": jnp.zeros((count, most), jnp.float32)}

    def log_p(params: Params) -> jax.Array:
        """Log-probabilities [D, M] of every decision's choices."""
        log_p = jax.nn.log_softmax(jnp.where(exists, params["logits"], _NO_CHOICE))
        if not floor:
            return log_p
        # p = (1 - floor) softmax + floor / choices
        p = (1 - floor) * jnp.exp(log_p) + floor * even
        return jnp.where(exists, jnp.log(jnp.where(exists, p, 1.0)), _NO_CHOICE)

    def sample(params: Params, key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
        # One random number a decision, by the inverse of the cumulative distribution: several times
        # as fast as `jax.random.categorical`, which takes one a choice, and its logarithm.
        reached = jnp.cumsum(jnp.exp(log_p(params)), -1)  # [D, M]
        numbers = jax.random.uniform(key, (n, count, 1))
        choices = (numbers >= reached[None]).sum(-1, dtype=jnp.int32)
        decisions, _ = canonical(space, jnp.minimum(choices, last[None]))
        return decisions, evaluate(params, decisions)[0]

    def evaluate(params: Params, decisions: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_ps = log_p(params)
        decisions, active = canonical(space, decisions)
        chosen = jnp.take_along_axis(log_ps[None], decisions[:, :, None], -1)[..., 0]  # [N, D]
        entropies = -(jnp.exp(log_ps) * log_ps).sum(-1)
        return jnp.where(active, chosen, 0.0).sum(-1), jnp.where(active, entropies, 0.0).sum(-1)

    return Policy(init, sample, evaluate)


def lstm(space: Space, hidden: int = 100, embedding: int = 32) -> Policy:
    """One LSTM layer that reads its own earlier choices (NASNet, arXiv 1707.07012, appendix A).

    Every step reads an embedding of the choice just made plus one of the decision to be made, and
    each decision has its own softmax. The LSTM is shared by all. Weights start at U(-0.1, 0.1), as
    in NASNet; the softmax layers at 0, so that the first samples are uniform.
    """
    count, most = space.accepted.shape[0], space.accepted.shape[2]

    def init(key: jax.Array) -> Params:
        def uniform(key: jax.Array, *shape: int) -> jax.Array:
            return jax.random.uniform(key, shape, jnp.float32, minval=-0.1, maxval=0.1)

        keys = jax.random.split(key, 4)
        return {
            "choice": uniform(keys[0], most, embedding),
            "kernel": uniform(keys[1], embedding + hidden, 4 * hidden),
            "bias": uniform(keys[2], 4 * hidden),
            "each": {
                "decision": uniform(keys[3], count, embedding),
                "head": jnp.zeros((count, hidden, most), jnp.float32),
                "logits": jnp.zeros((count, most), jnp.float32),
            },
        }

    def start(n: int) -> tuple[jax.Array, jax.Array]:
        return (jnp.zeros((n, hidden), jnp.float32),) * 2

    def step(params: Params, each: Params, memory: Any, previous: jax.Array) -> Any:
        cell, output = memory
        inputs = params["choice"][previous] + each["decision"][None]  # [N, E]
        gates = jnp.concatenate([inputs, output], -1) @ params["kernel"] + params["bias"][None]
        enter, forget, leave, new = jnp.split(gates, 4, -1)  # [N, H] each
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
        output = jax.nn.sigmoid(leave) * jnp.tanh(cell)
        return (cell, output), output @ each["head"] + each["logits"][None]

    return _sequential(space, init, start, step)


def _sequential(space: Space, init: Callable, start: Callable, step: Callable) -> Policy:
    """A policy from its recurrence; everything about the space is here.

    start  (N) -> memory
    step   (params, params["each"] at this decision, memory, previous choice int32 [N])
           -> (memory, logits [N, M]); the first previous choice is 0
    """
    count, _, most = space.accepted.shape
    indices = jnp.arange(count)
    exists = jnp.arange(most)[None] < jnp.asarray(space.sizes)[:, None]  # [D, M]
    parents, accepted = jnp.asarray(space.parents), jnp.asarray(space.accepted)

    def walk(params: Params, n: int, choose: Callable, guides: jax.Array) -> Any:
        """Make the decisions in order; `choose(log p [N, M], guides[d])` gives each choice [N]."""

        def decide(carry: Any, at: Any) -> Any:
            memory, decisions, previous = carry
            d, each, exists, parents, accepted, guide = at
            memory, logits = step(params, each, memory, previous)
            log_p = jax.nn.log_softmax(jnp.where(exists[None], logits, _NO_CHOICE))
            active = _active(parents, accepted, decisions)
            choice = jnp.where(active, choose(log_p, guide), 0)
            log_prob = jnp.take_along_axis(log_p, choice[:, None], -1)[:, 0]
            entropy = -(jnp.exp(log_p) * log_p).sum(-1)
            decisions = decisions.at[:, d].set(choice)
            scores = jnp.where(active, log_prob, 0.0), jnp.where(active, entropy, 0.0)
            return (memory, decisions, choice), scores

        carry = start(n), jnp.zeros((n, count), jnp.int32), jnp.zeros(n, jnp.int32)
        steps = indices, params["each"], exists, parents, accepted, guides
        (_, decisions, _), (log_probs, entropies) = jax.lax.scan(decide, carry, steps)
        return decisions, log_probs.sum(0), entropies.sum(0)

    def sample(params: Params, key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
        def choose(log_p: jax.Array, key: jax.Array) -> jax.Array:
            return jax.random.categorical(key, log_p).astype(jnp.int32)

        decisions, log_probs, _ = walk(params, n, choose, jax.random.split(key, count))
        return decisions, log_probs

    def evaluate(params: Params, decisions: jax.Array) -> tuple[jax.Array, jax.Array]:
        given = jnp.asarray(decisions, jnp.int32)
        return walk(params, len(given), lambda log_p, choice: choice, given.T)[1:]

    return Policy(init, sample, evaluate)
