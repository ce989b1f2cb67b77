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
- Some members are scouts, paid for staying away from the best network so far, in decisions that
  matter. Good networks come in families that no single change leads between, and the model is sure
  only of the family it knows.

What is proposed is sampled from the mixture, then filtered: many samples, of which each place of
the batch takes the one that is best by another draw and was not measured before; a share of the
places, as large as that of the scouts, takes only what is far from the best. And a place now and
then takes a neighbour of the best, whatever the policies make of it: in turn one that differs in a
single decision, one in which two stages have exchanged their choices, and one in which a stage has
those of another. A model that has seen mostly one family of networks is too sure of what is lost
outside it, and without those places some searches end a single step of one of these kinds short of
a better family. The best is, by turns, the best measured and the best by the place's draw: where
measurements are noisy the former is a lucky one and stays for long, whatever is found later.

Shapes: N proposals, D decisions, H members, C rewards remembered, M candidates.
"""

import dataclasses
import itertools
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from mnas.controllers.core.gaussian_process import (
    Function,
    Memory,
    append,
    draw,
    fit,
    indicators_of,
)
from mnas.controllers.core.policy import Params, canonical, factorized

from mnas.controller import Controller, Proposals
from mnas.errors import UsageError
from mnas.space import Space

# Members that have a draw in common, and places of a batch: draws are what takes time.
SHARED = 4
# Scouts lose so many units for every decision by which they agree with the best network too much.
SCOUT_PENALTY = 0.75


class Landmark(NamedTuple):
    """The network that scouts stay away from.

    decisions  int32 [D]
    weights    float32 [D], how much each decision counts in the distance, 1 on average; 0 while
               nothing is known
    """

    decisions: jax.Array
    weights: jax.Array


class DynaState(NamedTuple):
    """All that a search has learned.

    params     of the members, [H, ...] each
    optimizer  Adam's moments, [H, ...] each
    age        int32 [H], updates since the member started
    memory     rewards and model
    landmark   what scouts stay away from
    entropy    float32 [], nats: mean over the members and the last batch
    key        uint32 [2], of the random numbers of the next `tell`
    """

    params: Params
    optimizer: Any
    age: jax.Array
    memory: Memory
    landmark: Landmark
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
    """Share of the decisions by which they are to differ from it, each counted for as much as it
    matters there."""
    neighbours: int = 4
    """Every so many samples one is a neighbour of the best network so far, measured or drawn."""
    patience: int = 3
    """Updates before a member may be started afresh; after each, the worst such member is."""
    candidates: int = 512
    """Samples of the mixture from which a batch is chosen; never fewer than the batch."""
    remembered: int = 512
    """Rewards that the model is fitted to: the last ones. Time grows with the cube."""

    def __post_init__(self) -> None:
        def check(name: str, good: bool, accepted: str) -> None:
            if not good:
                raise UsageError(f"dyna: {name} = {getattr(self, name)!r}; accepted: {accepted}")

        for name in (
            *("members", "steps", "imagined", "neighbours"),
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
        policy = factorized(space, self.floor)
        single_changes = _single_changes(space)
        exchanges, copies = (_rearranged(space, rows) for rows in _stage_sources(space))
        adam = optax.adam(self.learning_rate, b1=0.0, b2=0.99)
        indicators = indicators_of(space)
        members, remembered = self.members, self.remembered
        decision_of_change = np.repeat(np.arange(len(space.sizes)), space.sizes)
        scouts = jnp.arange(members) >= members - round(self.scouts * members)
        in_common = (1 - self.distance) * len(space.sizes)  # with the best network, at most

        def new_landmark(memory: Memory, mean: Function) -> Landmark:
            """The best network. A decision matters by what other choices of it change, by the mean
            of the model: all that doesn't matter could differ without leaving a family.
            """
            values = mean(indicators(single_changes(memory.best)))[0]
            change = jnp.abs(values - mean(indicators(memory.best[None]))[0])
            total = jnp.zeros(len(space.sizes)).at[decision_of_change].add(change)
            weights = total / np.maximum(np.array(space.sizes) - 1, 1)
            average = weights.mean()
            weights = jnp.where(average > 1e-6, weights / jnp.maximum(average, 1e-6), 1.0)
            return Landmark(memory.best, weights)

        def too_alike(decisions: jax.Array, landmark: Landmark) -> jax.Array:
            """Decisions in common with the landmark, beyond what a scout may have: [N]."""
            common = ((decisions == landmark.decisions[None]) * landmark.weights[None]).sum(-1)
            return jnp.maximum(common - in_common, 0.0)

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
            count = len(space.sizes)
            landmark = Landmark(jnp.zeros(count, jnp.int32), jnp.zeros(count, jnp.float32))
            key = jax.random.key_data(key)
            return DynaState(params, optimizer, age, memory, landmark, entropy, key)

        def ask(state: DynaState, key: jax.Array, n: int) -> Proposals:
            sampling, drawing = jax.random.split(key)
            memory, keys = state.memory, jax.random.split(sampling, members)
            each = math.ceil(max(self.candidates, n) / members)
            sampled, _ = jax.vmap(policy.sample, (0, 0, None))(state.params, keys, each)
            draws = math.ceil(n / SHARED)
            functions, _ = draw(drawing, draws, memory, indicators)
            # Whose neighbours are proposed: the best known by each draw, and the best measured.
            values = functions(indicators(memory.decisions))
            values = jnp.where(memory.known[None], values, -jnp.inf)
            centres = memory.decisions[values.argmax(1)]
            centres = jnp.concatenate([centres, state.landmark.decisions[None]])
            first = (centres[:, None] == centres[None]).all(2).argmax(1)  # of equal centres
            around = [jax.vmap(moves)(centres) for moves in (single_changes, exchanges, copies)]
            parts = [part.reshape(-1, len(space.sizes)) for part in (sampled, *around)]
            decisions, _ = canonical(space, jnp.concatenate(parts))  # [M, D]
            kind = np.repeat(np.arange(4), [len(part) for part in parts])  # [M], number of the part
            centre = [np.repeat(np.arange(draws + 1), part.shape[1]) for part in around]
            centre = np.concatenate([np.full(len(parts[0]), -1), *centre])  # [M]
            places = jnp.arange(n)
            own = places // SHARED  # [N], the draw that a place goes by
            values = functions(indicators(decisions))[own]  # [N, M]
            # Where there is nothing else, scouts' places take near networks, and those for one kind
            # of neighbours others; where there is nothing new at all, every place takes a known
            # network or a second copy of one.
            any_known = memory.count > 0
            number = memory.count + places
            turn = number // self.neighbours
            close = (number % self.neighbours == 0) & any_known
            wanted_kind = jnp.where(close, 1 + turn % 3, 0)  # [N]
            wanted_centre = first[jnp.where(turn % 2 == 0, draws, own)]  # [N]
            far = (places >= n - round(self.scouts * n)) & ~close
            near = too_alike(decisions, state.landmark) > 0
            other = kind[None] != wanted_kind[:, None]
            other |= centre[None] != wanted_centre[:, None]
            unfit = (far[:, None] & near[None]) | (close[:, None] & other)
            unfit |= (kind > 0)[None] & ~any_known
            values = jnp.where(unfit, values - 1e3, values)
            names, known = _names(decisions), jnp.where(memory.known, _names(memory.decisions), -1)
            order = jnp.argsort(names)  # stable: of equals, the first stays first
            copy = jnp.diff(names[order], prepend=-1) == 0
            copy = jnp.zeros(len(names), bool).at[order].set(copy)
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
            best: Landmark,
        ) -> tuple[Params, Any, jax.Array]:
            """A member's steps on its own draw (F = 1); and the mean value that it has come to."""

            def step(carry: Any, key: jax.Array) -> Any:
                params, optimizer = carry
                decisions, _ = policy.sample(params, key, self.imagined)
                values = function(indicators(decisions))[0]
                values -= scout * SCOUT_PENALTY * too_alike(decisions, best)

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
            memory = fit(append(state.memory, decisions, rewards), indicators)
            key, drawing, sampling = jax.random.split(jax.random.wrap_key_data(state.key), 3)
            keys = jax.random.split(sampling, members)
            draws, mean = draw(drawing, math.ceil(members / SHARED), memory, indicators)
            landmark = new_landmark(memory, mean)
            functions = jax.tree.map(
                lambda leaf: jnp.concatenate([leaf] * SHARED)[:members, None], draws
            )  # [H, F = 1, ...]
            params, optimizer, reached = jax.vmap(practise, (0, 0, 0, 0, 0, None))(
                state.params, state.optimizer, keys, functions, scouts, landmark
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
            key = jax.random.key_data(key)
            return DynaState(params, optimizer, age, memory, landmark, entropy, key)

        def tell(state: DynaState, proposals: Proposals, rewards: jax.Array) -> DynaState:
            decisions = jnp.asarray(proposals.decisions, jnp.int32)
            rewards = jnp.asarray(rewards, jnp.float32)
            if decisions.shape != (*rewards.shape, len(space.sizes)) or rewards.ndim != 1:
                raise UsageError(
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


def _stage_sources(space: Space) -> tuple[np.ndarray, np.ndarray]:
    """For every two stages, which decision each decision takes its choice from: two [rows, D].

    In the first the two have exchanged their choices, one row a pair; in the second one of them has
    the other's, two rows a pair. Stages, or layers, are what the names of decisions count: in
    `blocks[3].kernel`, 3.
    """
    stages: dict[tuple[str, int], dict[str, int]] = {}
    for index, decision in enumerate(space.decisions):
        if found := re.fullmatch(r"(.*?)\[(\d+)\](.*)", decision.name):
            sequence, stage, field = found.groups()
            stages.setdefault((sequence, int(stage)), {})[field] = index
    own = np.arange(len(space.sizes))
    exchanged, copied = [], []
    for ((a, _), ours), ((b, _), theirs) in itertools.combinations(stages.items(), 2):
        if a != b:
            continue
        fields = sorted(ours.keys() & theirs.keys())
        one, other = [ours[field] for field in fields], [theirs[field] for field in fields]
        exchange, first, second = own.copy(), own.copy(), own.copy()
        exchange[one], exchange[other] = other, one
        first[one], second[other] = other, one
        exchanged.append(exchange)
        copied += [first, second]
    return tuple(np.array(rows, int).reshape(-1, len(own)) for rows in (exchanged, copied))


def _rearranged(space: Space, sources: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """(decisions [D] -> [rows, D]): choices by their number; one beyond the last is the last."""
    last = np.array(space.sizes)[None] - 1
    return lambda decisions: jnp.minimum(decisions[sources], last)
