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
places, as large as that of the scouts, takes only what is far from the best. And a place now and
then takes a network that differs from the best in a single decision, whatever the policies make of
it: a model that has seen mostly one family of networks is too sure of what is lost outside it, and
without those places some searches end one decision short of a better family.

Shapes: N proposals, D decisions, H members, C rewards remembered, M candidates, W indicators,
F functions.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from controllers.policy import Params, canonical, factorized
from mnas.controller import Controller, Proposals
from mnas.space import Space

# The model's prior, in its own unit (`Memory.scale`): variance of a network's value, share of it
# that pairs of choices have, and variance of a measurement (a seed's noise and what the model can't
# express). Twice as much or half of any of them changes little.
AMPLITUDE, PAIR_SHARE, NOISE = 4.0, 0.3, 0.05
# Draws keep this share of the posterior's standard deviation: whole ones explore more than a
# thousand samples can pay for.
DEVIATION = 0.7
# Members that have a draw in common, and places of a batch: draws are what takes time.
SHARED = 2
# Scouts lose so many units for every decision by which they agree with the best network too much.
SCOUT_PENALTY = 0.75
# A reward further below the quartile than so many interquartile ranges counts as that far: a failed
# child says that it is bad, not how bad. So many units count in any case: when late rewards are all
# alike, what is bad must still look bad.
OUTLIER, LEAST_OUTLIER = 3.0, 1.5


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
    """The last C rewards, a ring (number i stands at row i mod C), and the model of them.

    decisions  int32 [C, D], canonical; 0 where nothing stands yet
    rewards    float32 [C]; 0 where nothing stands yet
    count      int32 [], rewards so far
    scale      float32 [], largest standard deviation that `rewards` have had: the model's unit
    targets    float32 [C], rewards in that unit around their mean, outliers drawn in; 0 for none
    factor     float32 [C, C], lower Cholesky factor of the targets' covariance; unit rows for none
    """

    decisions: jax.Array
    rewards: jax.Array
    count: jax.Array
    scale: jax.Array
    targets: jax.Array
    factor: jax.Array

    @property
    def known(self) -> jax.Array:
        """The rows where something stands: bool [C]."""
        return jnp.arange(len(self.rewards)) < self.count

    @property
    def best(self) -> jax.Array:
        """Decisions of the best network: int32 [D]. Of no meaning while nothing is known."""
        return self.decisions[jnp.argmax(jnp.where(self.known, self.rewards, -jnp.inf))]


class DynaState(NamedTuple):
    """All that a search has learned.

    params     of the members, [H, ...] each
    optimizer  Adam's moments, [H, ...] each
    age        int32 [H], updates since the member started
    memory     rewards and model
    entropy    float32 [], nats: mean over the members and the last batch
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
    """Weight of a nat of entropy, in the model's unit: the rewards' largest spread so far."""
    floor: float = 0.05
    """Probability spread evenly over each decision's choices, whatever a member has learned."""
    scouts: float = 0.125
    """Share of the members, and of a batch, that stay away from the best network so far."""
    distance: float = 0.33
    """Share of the decisions by which they are to differ from it."""
    single: int = 16
    """Every so many samples one changes a single decision of the best network so far."""
    patience: int = 3
    """Updates before a member may be started afresh; after each, the worst such member is."""
    candidates: int = 512
    """Samples of the mixture from which a batch is chosen; never fewer than the batch."""
    remembered: int = 512
    """Rewards that the model is fitted to: the last ones. Time grows with the cube."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise ValueError(f"dyna: {name} = {getattr(self, name)!r}; accepted: {accepted}")

        for name in (
            *("members", "steps", "imagined", "single"),
            *("patience", "candidates", "remembered"),
        ):
            value = getattr(self, name)
            check(name, isinstance(value, int) and value > 0, "1 or more")
        check("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0")
        check("temperature", 0 <= self.temperature < math.inf, "0 or more")
        for name in ("floor", "scouts"):
            check(name, 0 <= getattr(self, name) < 1, "0 or more, below 1")
        check("distance", 0 <= self.distance <= 1, "0 to 1")

    def build(self, space: Space) -> Controller:
        """The controller of this space.

        `log_probs` are those of the mixture, before the filter. Rewards that are NaN or infinite
        count for nothing. The order of a batch doesn't matter: it is remembered from best to worst.
        """
        policy, single_changes = factorized(space, self.floor), _single_changes(space)
        adam = optax.adam(self.learning_rate, b1=0.0, b2=0.99)
        indicators = _indicators(space)
        members, remembered = self.members, self.remembered
        scouts = jnp.arange(members) >= members - round(self.scouts * members)
        in_common = (1 - self.distance) * len(space.sizes)  # with the best network, at most

        def too_alike(decisions: jax.Array, memory: Memory) -> jax.Array:
            """Decisions in common with the best network, beyond what a scout may have: [N]."""
            common = (decisions == memory.best[None]).sum(-1).astype(jnp.float32)
            return jnp.where(memory.count > 0, jnp.maximum(common - in_common, 0.0), 0.0)

        def mean_entropy(params: Params, decisions: jax.Array) -> jax.Array:
            return jax.vmap(lambda p: policy.evaluate(p, decisions)[1].mean())(params).mean()

        def start(key: jax.Array) -> tuple[Params, Any, jax.Array]:
            """Parameters, optimizer and age of members that have learned nothing."""
            params = jax.vmap(policy.init)(jax.random.split(key, members))
            return params, jax.vmap(adam.init)(params), jnp.zeros(members, jnp.int32)

        def init(key: jax.Array) -> DynaState:
            params, optimizer, age = start(key)
            memory = Memory(
                decisions=jnp.zeros((remembered, len(space.sizes)), jnp.int32),
                rewards=jnp.zeros(remembered, jnp.float32),
                count=jnp.zeros((), jnp.int32),
                scale=jnp.zeros((), jnp.float32),
                targets=jnp.zeros(remembered, jnp.float32),
                factor=jnp.eye(remembered, dtype=jnp.float32),
            )
            entropy = mean_entropy(params, memory.decisions[:1])
            return DynaState(params, optimizer, age, memory, entropy, jax.random.key_data(key))

        def ask(state: DynaState, key: jax.Array, n: int) -> Proposals:
            sampling, drawing = jax.random.split(key)
            memory, keys = state.memory, jax.random.split(sampling, members)
            each = math.ceil(max(self.candidates, n) / members)
            decisions, _ = jax.vmap(policy.sample, (0, 0, None))(state.params, keys, each)
            sampled = decisions.reshape(-1, decisions.shape[-1])
            neighbours, _ = canonical(space, single_changes(memory.best))
            decisions = jnp.concatenate([sampled, neighbours])  # [M, D]
            is_neighbour = jnp.arange(len(decisions)) >= len(sampled)
            functions = _draw(drawing, math.ceil(n / SHARED), memory, indicators)
            values = jnp.tile(functions(indicators(decisions)), (SHARED, 1))[:n]  # [N, M]
            # Where there is nothing else, scouts' places take near networks, and those for single
            # changes others; where there is nothing new at all, every place takes a known network
            # or a second copy of one.
            places = jnp.arange(n)
            any_known = memory.count > 0
            close = ((memory.count + places) % self.single == 0) & any_known
            far = (places >= n - round(self.scouts * n)) & ~close
            near = too_alike(decisions, memory) > 0
            unfit = (far[:, None] & near[None]) | (close[:, None] & ~is_neighbour[None])
            unfit |= is_neighbour[None] & ~any_known
            values = jnp.where(unfit, values - 1e3, values)
            names, known = _names(decisions), jnp.where(memory.known, _names(memory.decisions), -1)
            copy = jnp.tril(names[:, None] == names[None], -1).any(1)
            old = copy | (names[:, None] == known[None]).any(1)
            values = jnp.where(old[None], -1e9, values)

            def choose(taken: jax.Array, values: jax.Array) -> tuple[jax.Array, jax.Array]:
                best = jnp.argmax(jnp.where(taken, -jnp.inf, values))
                return taken.at[best].set(True), best

            _, chosen = jax.lax.scan(choose, jnp.zeros(len(decisions), bool), values)
            decisions = decisions[chosen]
            # log π(a) = log mean_h π_h(a)
            log_probs = jax.vmap(lambda p: policy.evaluate(p, decisions)[0])(state.params)
            log_probs = jax.nn.logsumexp(log_probs, 0) - math.log(members)
            return Proposals(decisions, jnp.minimum(log_probs, 0.0))  # may round to above 0

        def practise(
            params: Params,
            optimizer: Any,
            key: jax.Array,
            function: Function,
            scout: jax.Array,
            memory: Memory,
        ) -> tuple[Params, Any, jax.Array]:
            """A member's steps on its own draw (F = 1); and the mean value that it has come to."""

            def step(carry: Any, key: jax.Array) -> Any:
                params, optimizer = carry
                decisions, _ = policy.sample(params, key, self.imagined)
                values = function(indicators(decisions))[0]
                values -= scout * SCOUT_PENALTY * too_alike(decisions, memory)

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
            memory = _fit(_append(state.memory, decisions, rewards), indicators)
            key, drawing, sampling = jax.random.split(jax.random.wrap_key_data(state.key), 3)
            keys = jax.random.split(sampling, members)
            draws = _draw(drawing, math.ceil(members / SHARED), memory, indicators)
            functions = jax.tree.map(
                lambda leaf: jnp.concatenate([leaf] * SHARED)[:members, None], draws
            )  # [H, F = 1, ...]
            params, optimizer, reached = jax.vmap(practise, (0, 0, 0, 0, 0, None))(
                state.params, state.optimizer, keys, functions, scouts, memory
            )
            # Of the members that are old enough, the worst starts afresh. (Members start without
            # random numbers, so the key is still good for the next `tell`.)
            age = state.age + 1
            old = age > self.patience
            worst = jnp.argmin(jnp.where(old, reached, jnp.inf))
            params, optimizer, age = jax.tree.map(
                lambda new, now: now.at[worst].set(jnp.where(old[worst], new[worst], now[worst])),
                start(key),
                (params, optimizer, age),
            )
            entropy = mean_entropy(params, decisions)
            return DynaState(params, optimizer, age, memory, entropy, jax.random.key_data(key))

        def tell(state: DynaState, proposals: Proposals, rewards: jax.Array) -> DynaState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise ValueError(
                    f"dyna: decisions of shape {decisions.shape} and rewards of shape "
                    f"{rewards.shape}; accepted: [N, {len(space.sizes)}] and [N]"
                )
            decisions, _ = canonical(space, decisions)
            good = jnp.isfinite(rewards)
            rewards = jnp.where(good, rewards, jnp.nan)
            return jax.lax.cond(
                good.any(), learn, lambda state, *_: state, state, decisions, rewards
            )

        def summary(state: DynaState) -> dict[str, float]:
            count = min(int(state.memory.count), remembered)
            return {
                "baseline": float(state.memory.rewards[:count].mean()) if count else 0.0,
                "entropy": float(state.entropy),
                "remembered": float(count),
            }

        return Controller(jax.jit(init), jax.jit(ask, static_argnums=2), jax.jit(tell), summary)


def _names(decisions: jax.Array) -> jax.Array:
    """A number [N] ≥ 0 for each vector [N, D]: the same for the same, by chance for few others."""
    factors = np.random.default_rng(0).integers(1, 2**31, decisions.shape[1], np.int64) | 1
    mixed = (decisions.astype(jnp.uint32) + 1) * jnp.asarray(factors, jnp.uint32)[None]
    return (mixed.sum(1, dtype=jnp.uint32) >> 1).astype(jnp.int32)


def _single_changes(space: Space) -> Callable[[jax.Array], jax.Array]:
    """(decisions [D] -> [choices, D]): for every choice of every decision, the vector with it."""
    sizes = np.array(space.sizes)
    decision = np.repeat(np.arange(len(sizes)), sizes)
    choice = np.concatenate([np.arange(size) for size in sizes])
    rows = np.arange(len(choice))

    def single_changes(decisions: jax.Array) -> jax.Array:
        return jnp.tile(decisions[None], (len(rows), 1)).at[rows, decision].set(choice)

    return single_changes


# --- the model: Bayesian regression on all choices and pairs of choices -------------------------


def _indicators(space: Space) -> Callable[[jax.Array], jax.Array]:
    """(decisions [N, D] -> float32 [N, W]): which choice each decision made, or that it is off,
    so scaled that two networks' product is the share of the decisions in which they agree.
    """
    # A conditional decision has one level more than choices, the last: inactive.
    levels = space.sizes + np.array([bool(decision.conditions) for decision in space.decisions])
    first, width = np.cumsum(levels) - levels, int(levels.sum())

    def indicators(decisions: jax.Array) -> jax.Array:
        decisions, active = canonical(space, decisions)
        level = jnp.where(active, decisions, jnp.asarray(space.sizes)[None])
        hot = jax.nn.one_hot(level + jnp.asarray(first)[None], width, dtype=jnp.float32)
        return hot.sum(1) / math.sqrt(len(levels))

    return indicators


def _covariance(x: jax.Array) -> jax.Array:
    """Prior covariance [N, N] of the values of networks with indicators x [N, W]."""
    # k(x, y) = 1 + a (1 - p) s + a p s²,  s = x·y: the share of decisions that agree
    agree = x @ x.T
    return 1 + AMPLITUDE * ((1 - PAIR_SHARE) * agree + PAIR_SHARE * agree**2)


def _append(memory: Memory, decisions: jax.Array, rewards: jax.Array) -> Memory:
    """The memory with a batch written over its oldest rows, from best to worst; its model is as it
    was. NaN is left out; of a batch larger than the memory, the best stay.
    """
    capacity = len(memory.rewards)
    columns = (*decisions.T[::-1], -rewards)  # best first, NaN last; equals in order of decisions
    order = jnp.lexsort(columns)[:capacity]
    decisions, rewards = decisions[order], rewards[order]
    good = ~jnp.isnan(rewards)
    row = (memory.count + jnp.arange(len(rewards))) % capacity
    row = jnp.where(good, row, capacity)  # out of bounds: dropped
    return memory._replace(
        decisions=memory.decisions.at[row].set(decisions, mode="drop"),
        rewards=memory.rewards.at[row].set(rewards, mode="drop"),
        count=memory.count + good.sum(),
    )


def _fit(memory: Memory, indicators: Callable[[jax.Array], jax.Array]) -> Memory:
    """The memory with its model fitted to its rewards, of which there is one at least."""
    known = memory.known
    rewards = jnp.where(known, memory.rewards, jnp.nan)
    low, high = jnp.nanquantile(rewards, jnp.array([0.25, 0.75]))
    reach = jnp.maximum(OUTLIER * (high - low), LEAST_OUTLIER * memory.scale)
    rewards = jnp.maximum(rewards, low - reach)
    mean = jnp.where(known, rewards, 0.0).sum() / known.sum()
    centred = jnp.where(known, rewards - mean, 0.0)
    spread = jnp.sqrt((centred**2).sum() / known.sum())
    # The unit only grows, so late rewards, all alike, don't look as spread out as early ones.
    scale = jnp.maximum(memory.scale, spread)
    targets = centred / jnp.maximum(scale, 1e-6 * jnp.abs(mean) + 1e-12)  # not rounding errors
    x = indicators(memory.decisions)
    covariance = _covariance(x) * (known[:, None] & known[None])
    factor = jnp.linalg.cholesky(covariance + jnp.diag(jnp.where(known, NOISE, 1.0)))
    return memory._replace(scale=scale, targets=targets, factor=factor)


def _draw(
    key: jax.Array, count: int, memory: Memory, indicators: Callable[[jax.Array], jax.Array]
) -> Function:
    """That many draws of the posterior, by Matheron's rule (Wilson et al., ICML 2020).

    A draw of the prior, corrected by what it gets wrong: with prior draw g and noise draw e,
    f(x) = g(x) + k(x, X) (K + noise)⁻¹ (y - g(X) - e). The prior is that of a quadratic function
    with normal coefficients, so the draw is a quadratic function, too. What is random about it, g
    and e, is shrunk by `DEVIATION`.
    """
    known, x = memory.known, indicators(memory.decisions)
    width = x.shape[1]
    keys = jax.random.split(key, 4)
    single = (AMPLITUDE * (1 - PAIR_SHARE)) ** 0.5 * DEVIATION
    pair = (AMPLITUDE * PAIR_SHARE) ** 0.5 * DEVIATION
    prior = Function(
        DEVIATION * jax.random.normal(keys[0], (count,)),
        single * jax.random.normal(keys[1], (count, width)),
        pair * jax.random.normal(keys[2], (count, width, width)),
    )
    noise = NOISE**0.5 * DEVIATION * jax.random.normal(keys[3], (count, len(known)))
    wrong = jnp.where(known[None], memory.targets[None] - prior(x) - noise, 0.0)
    weights = jax.scipy.linalg.cho_solve((memory.factor, True), wrong.T).T  # [F, C], 0 for none
    squares = jnp.einsum("fcw,cv->fwv", weights[:, :, None] * x[None], x)
    return Function(
        prior.constant + weights.sum(1),
        prior.linear + AMPLITUDE * (1 - PAIR_SHARE) * weights @ x,
        prior.quadratic + AMPLITUDE * PAIR_SHARE * squares,
    )
