"""Policies: distributions over the canonical decision vectors of a `Space`.

    policy = lstm(space)
    params = policy.init(key)
    decisions, log_probs = policy.sample(params, key, n)
    log_probs, entropies = policy.evaluate(params, decisions)

An inactive decision has the value 0 with certainty and contributes nothing to log-probability or
entropy (as in TuNAS, arXiv 2008.06120). So the probabilities of all canonical vectors sum to 1.

Shapes: N vectors, D decisions, P conditions and M choices at most of one decision, H units,
E width of an embedding.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from mnas.controllers.core.canonical import canonical, is_active
from mnas.space import Space

Params = Any  # a pytree of arrays
PolicyName = Literal["lstm", "factorized"]

# Logit of a choice that a decision does not have. Finite, so that p·log p is 0 and not NaN.
_MISSING_CHOICE = -1e9


class Policy(NamedTuple):
    """A distribution over canonical decision vectors, as pure functions that may be jitted.

    init      (key) -> params
    sample    (params, key, n) -> (decisions int32 [n, D], canonical; log_probs float32 [n])
    evaluate  (params, decisions [N, D]) -> (log_probs [N], entropies [N]), in nats. Vectors are
              made canonical first. The entropy of a vector is the sum over its active decisions of
              the entropy of that decision given the earlier ones; its mean over samples of the
              policy estimates the policy's entropy. Its gradient, as usual, neglects that the
              parameters change which prefixes are sampled.
    """

    init: Callable[[jax.Array], Params]
    sample: Callable[[Params, jax.Array, int], tuple[jax.Array, jax.Array]]
    evaluate: Callable[[Params, jax.Array], tuple[jax.Array, jax.Array]]


def uniform_log_probs(space: Space, active: jax.Array) -> jax.Array:
    """Return the log-probabilities float32 [N] of vectors under uniform active decisions.

    active  bool [N, D]
    """
    # log p = -Σ log M over the active decisions
    log_sizes = jnp.log(jnp.asarray(space.sizes).astype(jnp.float32))
    return -jnp.where(active, log_sizes[None], 0.0).sum(-1)


def build_policy(name: PolicyName, space: Space, hidden: int, embedding: int) -> Policy:
    """Return the policy `lstm` (with these sizes) or `factorized`."""
    return factorized(space) if name == "factorized" else lstm(space, hidden, embedding)


def factorized(space: Space, floor: float = 0.0) -> Policy:
    """Return independent categorical distributions per decision (TuNAS, arXiv 2008.06120).

    Logits start at 0, uniform. Each decision is a mixture of its softmax, of weight 1 - `floor`,
    and the uniform distribution, of weight `floor`.
    """
    count, most = space.accepted.shape[0], space.accepted.shape[2]
    exists = jnp.arange(most)[None] < jnp.asarray(space.sizes)[:, None]  # [D, M]
    even = jnp.where(exists, 1 / jnp.asarray(space.sizes, jnp.float32)[:, None], 0.0)
    last = jnp.asarray(space.sizes, jnp.int32) - 1

    def init(key: jax.Array) -> Params:
        del key  # required by the contract
        return {"logits": jnp.zeros((count, most), jnp.float32)}

    def log_p(params: Params) -> jax.Array:
        """Return the log-probabilities [D, M] of every decision's choices."""
        log_p = jax.nn.log_softmax(jnp.where(exists, params["logits"], _MISSING_CHOICE))
        if not floor:
            return log_p
        # p = (1 - floor) softmax + floor / M
        p = (1 - floor) * jnp.exp(log_p) + floor * even
        return jnp.where(exists, jnp.log(jnp.where(exists, p, 1.0)), _MISSING_CHOICE)

    def sample(params: Params, key: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
        # Inverse transform sampling, one random number per decision: several times as fast as
        # `jax.random.categorical`, which takes one random number and a logarithm per choice.
        cumulative = jnp.cumsum(jnp.exp(log_p(params)), -1)  # [D, M]
        numbers = jax.random.uniform(key, (n, count, 1))
        choices = (numbers >= cumulative[None]).sum(-1, dtype=jnp.int32)
        decisions, _ = canonical(space, jnp.minimum(choices, last[None]))
        return decisions, evaluate(params, decisions)[0]

    def evaluate(params: Params, decisions: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_ps = log_p(params)
        decisions, active = canonical(space, decisions)
        log_probs = jnp.take_along_axis(log_ps[None], decisions[:, :, None], -1)[..., 0]  # [N, D]
        entropies = -(jnp.exp(log_ps) * log_ps).sum(-1)
        return jnp.where(active, log_probs, 0.0).sum(-1), jnp.where(active, entropies, 0.0).sum(-1)

    return Policy(init, sample, evaluate)


def lstm(space: Space, hidden: int = 100, embedding: int = 32) -> Policy:
    """Return the autoregressive policy of one LSTM layer (NASNet, arXiv 1707.07012, appendix A).

    The input of every step is an embedding of the previous choice plus an embedding of the decision
    to be made; each decision has its own softmax. Weights start at U(-0.1, 0.1), as in NASNet; the
    softmax layers at 0, so that the first samples are uniform.
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

    return _autoregressive(space, init, start, step)


def _autoregressive(
    space: Space, init: Callable[..., Any], start: Callable[..., Any], step: Callable[..., Any]
) -> Policy:
    """Return the policy of a recurrence over the decisions.

    start  (N) -> memory
    step   (params, params["each"] at this decision, memory, previous choice int32 [N])
           -> (memory, logits [N, M]); the first previous choice is 0
    """
    count, _, most = space.accepted.shape
    indices = jnp.arange(count)
    exists = jnp.arange(most)[None] < jnp.asarray(space.sizes)[:, None]  # [D, M]
    parents, accepted = jnp.asarray(space.parents), jnp.asarray(space.accepted)

    def unroll(params: Params, n: int, choose: Callable[..., Any], guides: jax.Array) -> Any:
        """Make the decisions in order; `choose(log p [N, M], guides[d])` returns choices [N]."""

        def decide(carry: Any, inputs: Any) -> Any:
            memory, decisions, previous = carry
            d, each, exists, parents, accepted, guide = inputs
            memory, logits = step(params, each, memory, previous)
            log_p = jax.nn.log_softmax(jnp.where(exists[None], logits, _MISSING_CHOICE))
            active = is_active(parents, accepted, decisions)
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

        decisions, log_probs, _ = unroll(params, n, choose, jax.random.split(key, count))
        return decisions, log_probs

    def evaluate(params: Params, decisions: jax.Array) -> tuple[jax.Array, jax.Array]:
        choices = jnp.asarray(decisions, jnp.int32)
        _, log_probs, entropies = unroll(
            params, len(choices), lambda log_p, choice: choice, choices.T
        )
        return log_probs, entropies

    return Policy(init, sample, evaluate)
