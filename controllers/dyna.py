"""REINFORCE on imagined rewards: policies that practise on a model of what was measured.

An update of plain REINFORCE uses each measured reward once, and a reward costs a training. Dyna
(Sutton, SIGART Bulletin 2, 1991; for policy gradients DyNA PPO, Angermueller et al., ICLR 2020)
fits a model to all rewards so far and improves the policy on samples that the model scores, which
cost nothing. Three things keep it from trusting its model too far:

- The model is a Gaussian process, and everybody works on a *draw* of it (Thompson sampling): what
  has not been measured stays possible.
- The policy is a mixture of members, each a factorized policy (TuNAS, arXiv 2008.06120) with a draw
  of its own, and the member that does worst starts afresh now and then. A member never gives up a
  choice: each keeps a small probability.
- Some members are scouts, paid for staying away from the best network so far. Good networks come in
  families that no single change leads between, and the model is sure only of the family it knows.

What is proposed is sampled from the mixture, then filtered: many samples, of which each place of
the batch takes the one that is best by another draw and was not measured before; a share of the
places, as large as that of the scouts, takes only what is far from the best.

Shapes: N proposals, D decisions, H members, C rewards remembered, M candidates, W indicators.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from controllers.policy import Params, Policy, canonical, factorized
from mnas.controller import Controller, Proposals
from mnas.space import Space

# The model's prior, in units of the spread of the first rewards: variance of a network's value,
# share of it that pairs of choices have, and variance of a measurement (a seed's noise and what
# the model can't express). Twice as much or half of any of them changes little.
AMPLITUDE, PAIR_SHARE, NOISE = 4.0, 0.3, 0.05
# Draws keep this share of the posterior's deviation: whole ones explore more than a thousand
# samples can pay for.
DEVIATION = 0.7
# Members that have a draw in common, and places of a batch: draws are what takes time.
SHARED = 2
# Scouts lose so many units for every decision by which they agree with the best network too much.
SCOUT_PENALTY = 0.75
# A reward further below the quartile than so many interquartile ranges counts as that far: a failed
# child says that it is bad, not how bad.
OUTLIER = 3.0


class Function(NamedTuple):
    """F functions of a network, each quadratic in its indicators x [W]: c + m·x + xᵀ Q x."""

    constant: jax.Array  # [F]
    linear: jax.Array  # [F, W]
    quadratic: jax.Array  # [F, W, W]

    def __call__(self, x: jax.Array) -> jax.Array:
        """Values [F, N] of indicators [N, W]."""
        crossed = jnp.einsum("nw,fwv->fnv", x, self.quadratic)
        return self.constant[:, None] + self.linear @ x.T + (crossed * x[None]).sum(-1)


class Memory(NamedTuple):
    """The last C rewards and the model of them.

    decisions  int32 [C, D], canonical; a ring
    rewards    float32 [C]; NaN where nothing stands yet
    count      int32 [], rewards so far
    scale      float32 [], largest spread of the rewards so far: the model's unit
    targets    float32 [C], rewards in that unit around their mean, outliers drawn in; 0 for none
    factor     float32 [C, C], Cholesky factor of the targets' covariance
    """

    decisions: jax.Array
    rewards: jax.Array
    count: jax.Array
    scale: jax.Array
    targets: jax.Array
    factor: jax.Array


class DynaState(NamedTuple):
    """All that a search has learned.

    params     of the members, [H, ...] each
    optimizer  Adam's moments, [H, ...] each
    age        int32 [H], updates since the member started
    memory     rewards and model
    entropy    float32 [], nats: mean over the members
    key        uint32 [2], of the random numbers of the next `tell`
    """

    params: Params
    optimizer: Any
    age: jax.Array
    memory: Memory
    entropy: jax.Array
    key: jax.Array


@dataclasses.dataclass(frozen=True)
class Dyna:
    """Policy gradient on a model of the rewards; the default where evaluations are dear."""

    members: int = 16
    """Policies of the mixture."""
    learning_rate: float = 0.2
    """Of Adam, for every step on imagined rewards."""
    steps: int = 8
    """Steps of every member after each batch."""
    imagined: int = 16
    """Samples of a step."""
    temperature: float = 0.03
    """Weight of a nat of entropy, in units of the spread of the first rewards."""
    floor: float = 0.05
    """Probability spread evenly over each decision's choices, whatever a member has learned."""
    scouts: float = 0.125
    """Share of the members, and of a batch, that stay away from the best network so far."""
    distance: float = 0.33
    """Share of the decisions by which they must differ from it."""
    patience: int = 3
    """Updates before a member may be started afresh; after each, the worst such member is."""
    candidates: int = 512
    """Samples of the policy from which a batch is chosen."""
    remembered: int = 512
    """Rewards that the model is fitted to: the last ones. Time grows with the cube."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise ValueError(f"dyna: {name} = {getattr(self, name)!r}; accepted: {accepted}")

        for name in ("members", "steps", "imagined", "patience", "candidates", "remembered"):
            check(
                name, isinstance(getattr(self, name), int) and getattr(self, name) > 0, "1 or more"
            )
        check("learning_rate", 0 < self.learning_rate < float("inf"), "a number above 0")
        check("temperature", 0 <= self.temperature < float("inf"), "0 or more")
        for name in ("floor", "scouts"):
            check(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        check("distance", 0 <= self.distance <= 1, "0 to 1")

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `log_probs` are those of the mixture, before the filter. Rewards that are NaN or infinite
        count for nothing. The order of a batch doesn't matter: it is remembered from best to worst.
        """
        policy = factorized(space, self.floor)
        adam = optax.adam(self.learning_rate, b1=0.0, b2=0.99)
        indicators, width = _indicators(space)
        members, remembered = self.members, self.remembered
        scouting = jnp.arange(members) >= members - round(self.scouts * members)
        alike = (1 - self.distance) * len(space.sizes)

        def too_alike(decisions: jax.Array, memory: Memory) -> jax.Array:
            """Decisions in common with the best network, beyond what a scout may have: [N]."""
            best = jnp.argmax(jnp.where(jnp.isfinite(memory.rewards), memory.rewards, -jnp.inf))
            common = (decisions == memory.decisions[best][None]).sum(-1).astype(jnp.float32)
            return jnp.where(memory.count > 0, jnp.maximum(common - alike, 0.0), 0.0)

        def init(key: jax.Array) -> DynaState:
            params = jax.vmap(policy.init)(jax.random.split(key, members))
            decisions = jnp.zeros((remembered, len(space.sizes)), jnp.int32)
            memory = _remember(
                Memory(
                    decisions,
                    jnp.full(remembered, jnp.nan, jnp.float32),
                    jnp.zeros((), jnp.int32),
                    jnp.zeros((), jnp.float32),
                    jnp.zeros(remembered, jnp.float32),
                    jnp.eye(remembered, dtype=jnp.float32),
                ),
                indicators,
            )
            entropy = _mean_entropy(policy, params, decisions[:1])
            age = jnp.zeros(members, jnp.int32)
            optimizer = jax.vmap(adam.init)(params)
            return DynaState(params, optimizer, age, memory, entropy, jax.random.key_data(key))

        def ask(state: DynaState, key: jax.Array, n: int) -> Proposals:
            sampling, drawing = jax.random.split(key)
            each = -(-max(self.candidates, n) // members)
            keys = jax.random.split(sampling, members)
            decisions, _ = jax.vmap(policy.sample, (0, 0, None))(state.params, keys, each)
            decisions = decisions.reshape(-1, decisions.shape[-1])
            memory = state.memory
            drawn = _draw(drawing, -(-n // SHARED), memory, indicators, width)
            values = jnp.tile(drawn(indicators(decisions)), (SHARED, 1))[:n]  # [N, M]
            far = jnp.arange(n) >= n - round(self.scouts * n)
            near = too_alike(decisions, memory) > 0
            values = jnp.where(far[:, None] & near[None], values - 1e3, values)
            # Known networks, and second copies of one, only where there is nothing else.
            names, known = _names(decisions), _names(memory.decisions)
            known = jnp.where(jnp.isfinite(memory.rewards), known, -1)
            copy = jnp.tril(names[:, None] == names[None], -1).any(1)
            old = copy | (names[:, None] == known[None]).any(1)
            values = jnp.where(old[None], -jnp.inf, values)

            def choose(taken: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
                rank = jnp.where(jnp.isfinite(values), values, -1e9)
                best = jnp.argmax(jnp.where(taken, -jnp.inf, rank))
                return taken.at[best].set(True), best

            _, chosen = jax.lax.scan(choose, jnp.zeros(len(decisions), bool), values)
            decisions = decisions[chosen]
            # log π(a) = log mean_h π_h(a)
            log_probs = jax.vmap(lambda p: policy.evaluate(p, decisions)[0])(state.params)
            log_probs = jax.nn.logsumexp(log_probs, 0) - np.log(members).astype(np.float32)
            return Proposals(decisions, jnp.minimum(log_probs, 0.0))

        def practise(
            params: Params,
            optimizer: Any,
            key: jax.Array,
            value: Function,
            scouts: jax.Array,
            memory: Memory,
        ) -> Any:
            """A member's steps on its own draw; also the mean value that it has come to."""

            def step(carry: Any, key: jax.Array) -> Any:
                params, optimizer = carry
                decisions, _ = policy.sample(params, key, self.imagined)
                one = jax.tree.map(lambda leaf: leaf[None], value)
                values = one(indicators(decisions))[0]
                values -= scouts * SCOUT_PENALTY * too_alike(decisions, memory)

                # L = -mean (f - mean f) · log π(a) - temperature · mean H
                def loss(params: Params) -> jax.Array:
                    log_probs, entropies = policy.evaluate(params, decisions)
                    advantages = values - values.mean()
                    return -(advantages * log_probs + self.temperature * entropies).mean()

                updates, optimizer = adam.update(jax.grad(loss)(params), optimizer)
                return (optax.apply_updates(params, updates), optimizer), values.mean()

            keys = jax.random.split(key, self.steps)
            (params, optimizer), means = jax.lax.scan(step, (params, optimizer), keys)
            return params, optimizer, means[-1]

        def learn(state: DynaState, decisions: jax.Array, rewards: jax.Array) -> DynaState:
            memory = _remember(_append(state.memory, decisions, rewards), indicators)
            key, drawing, sampling = jax.random.split(jax.random.wrap_key_data(state.key), 3)
            values = _draw(drawing, -(-members // SHARED), memory, indicators, width)
            values = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * SHARED)[:members], values)
            keys = jax.random.split(sampling, members)
            params, optimizer, reached = jax.vmap(practise, (0, 0, 0, 0, 0, None))(
                state.params, state.optimizer, keys, values, scouting, memory
            )
            age = state.age + 1
            worst = jnp.argmin(jnp.where(age > self.patience, reached, jnp.inf))
            restart = (jnp.arange(members) == worst) & (age > self.patience)
            fresh = init(key)
            params, optimizer, age = jax.tree.map(
                lambda new, old: jnp.where(restart.reshape(-1, *[1] * (old.ndim - 1)), new, old),
                (fresh.params, fresh.optimizer, fresh.age),
                (params, optimizer, age),
            )
            entropy = _mean_entropy(policy, params, decisions)
            return DynaState(params, optimizer, age, memory, entropy, jax.random.key_data(key))

        def tell(state: DynaState, proposals: Proposals, rewards: jax.Array) -> DynaState:
            decisions, _ = canonical(space, proposals.decisions)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise ValueError(
                    f"dyna: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {len(space.sizes)}] and [N]"
                )
            good = jnp.isfinite(rewards)
            rewards = jnp.where(good, rewards, jnp.nan)
            return jax.lax.cond(
                good.any(), learn, lambda state, *_: state, state, decisions, rewards
            )

        def summary(state: DynaState) -> dict[str, float]:
            rewards = np.asarray(state.memory.rewards)
            known = rewards[np.isfinite(rewards)]
            return {
                "baseline": float(known.mean()) if len(known) else 0.0,
                "entropy": float(state.entropy),
                "updates": float(state.age.max()),
            }

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)


# --- the model: Bayesian regression on all choices and pairs of choices -------------------------


def _indicators(space: Space) -> tuple[Callable[[jax.Array], jax.Array], int]:
    """(decisions [N, D] -> float32 [N, W], W): which choice each decision made, or that it is
    inactive; scaled so that two networks' product is the share of decisions that agree.
    """
    conditional = [bool(decision.conditions) for decision in space.decisions]
    levels = space.sizes + np.array(conditional)
    first = np.cumsum(levels) - levels
    width = int(levels.sum())

    def indicators(decisions: jax.Array) -> jax.Array:
        decisions, active = canonical(space, decisions)
        level = jnp.where(active, decisions, jnp.asarray(space.sizes)[None])
        hot = jax.nn.one_hot(level + jnp.asarray(first)[None], width, dtype=jnp.float32)
        return hot.sum(1) / np.sqrt(len(levels)).astype(np.float32)

    return indicators, width


def _covariance(x: jax.Array, y: jax.Array) -> jax.Array:
    """Prior covariance [N, N'] of the values of networks with indicators x and y."""
    # k(x, y) = 1 + a (1 - p) s + a p s²,  s = x·y: the share of decisions that agree
    agree = x @ y.T
    return 1 + AMPLITUDE * ((1 - PAIR_SHARE) * agree + PAIR_SHARE * agree**2)


def _append(memory: Memory, decisions: jax.Array, rewards: jax.Array) -> Memory:
    """The memory with a batch written over its oldest rows; rows that are NaN are left out."""
    capacity = len(memory.rewards)
    columns = (*decisions.T[::-1], -rewards)  # best first, NaN last; equals in order of decisions
    order = jnp.lexsort(columns)[:capacity]
    decisions, rewards = decisions[order], rewards[order]
    good = jnp.isfinite(rewards)
    row = (memory.count + jnp.arange(len(rewards))) % capacity
    row = jnp.where(good, row, capacity)  # out of bounds: dropped
    return memory._replace(
        decisions=memory.decisions.at[row].set(decisions, mode="drop"),
        rewards=memory.rewards.at[row].set(rewards, mode="drop"),
        count=memory.count + good.sum(),
    )


def _remember(memory: Memory, indicators: Callable[[jax.Array], jax.Array]) -> Memory:
    """The memory with its model fitted to its rewards."""
    known = jnp.isfinite(memory.rewards)
    count = jnp.maximum(known.sum(), 1)
    low, high = jnp.nan_to_num(jnp.nanquantile(memory.rewards, jnp.array([0.25, 0.75])))
    rewards = jnp.maximum(jnp.nan_to_num(memory.rewards), low - OUTLIER * (high - low))
    mean = jnp.where(known, rewards, 0.0).sum() / count
    centred = jnp.where(known, rewards - mean, 0.0)
    spread = jnp.sqrt((centred**2).sum() / count)
    # The unit only grows, so late rewards, all alike, don't look as spread out as early ones.
    scale = jnp.maximum(memory.scale, spread)
    targets = centred / jnp.maximum(scale, 1e-6 * jnp.abs(mean) + 1e-12)
    x = indicators(memory.decisions)
    covariance = _covariance(x, x) * (known[:, None] & known[None])
    factor = jnp.linalg.cholesky(covariance + jnp.diag(jnp.where(known, NOISE, 1.0)))
    return memory._replace(scale=scale, targets=targets, factor=factor)


def _draw(
    key: jax.Array,
    count: int,
    memory: Memory,
    indicators: Callable[[jax.Array], jax.Array],
    width: int,
) -> Function:
    """Draws of the posterior, by Matheron's rule (Wilson et al., ICML 2020).

    A draw of the prior, corrected by what it gets wrong: with prior draw g and noise draw e,
    f(x) = g(x) + k(x, X) (K + noise)⁻¹ (y - g(X) - e). The prior is that of a quadratic function
    with normal coefficients, so the draw is a quadratic function, too.
    """
    keys = jax.random.split(key, 4)
    single = (AMPLITUDE * (1 - PAIR_SHARE)) ** 0.5 * DEVIATION
    pair = (AMPLITUDE * PAIR_SHARE) ** 0.5 * DEVIATION
    prior = Function(
        DEVIATION * jax.random.normal(keys[0], (count,)),
        single * jax.random.normal(keys[1], (count, width)),
        pair * jax.random.normal(keys[2], (count, width, width)),
    )
    known, x = jnp.isfinite(memory.rewards), indicators(memory.decisions)
    noise = NOISE**0.5 * DEVIATION * jax.random.normal(keys[3], (count, len(known)))
    wrong = jnp.where(known[None], memory.targets[None] - prior(x) - noise, 0.0)
    weights = jax.scipy.linalg.cho_solve((memory.factor, True), wrong.T).T  # [F, C]
    weights = jnp.where(known[None], weights, 0.0)
    squares = jnp.einsum("fcw,cv->fwv", weights[:, :, None] * x[None], x)
    return Function(
        prior.constant + weights.sum(1),
        prior.linear + AMPLITUDE * (1 - PAIR_SHARE) * weights @ x,
        prior.quadratic + AMPLITUDE * PAIR_SHARE * squares,
    )


def _names(decisions: jax.Array) -> jax.Array:
    """A number [N] for each vector [N, D], the same for the same (and by chance for few others)."""
    factors = np.random.default_rng(0).integers(1, 2**31, decisions.shape[1], np.int64) | 1
    mixed = (decisions.astype(jnp.uint32) + 1) * jnp.asarray(factors, jnp.uint32)[None]
    return (mixed.sum(1, dtype=jnp.uint32) >> 1).astype(jnp.int32)


def _mean_entropy(policy: Policy, params: Params, decisions: jax.Array) -> jax.Array:
    """Of the members, estimated on these vectors: float32 []."""
    return jax.vmap(lambda params: policy.evaluate(params, decisions)[1].mean())(params).mean()
