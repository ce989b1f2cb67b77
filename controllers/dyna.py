"""Dyna: REINFORCE on rewards predicted by a Gaussian process, for expensive evaluations.

Plain REINFORCE uses each measured reward for one update. Dyna (Sutton, SIGART Bulletin 2, 1991; for
policy gradients DyNA PPO, Angermueller et al., ICLR 2020) fits a model to all rewards and trains
the policy on model-based samples, which cost no evaluation. After each batch, `tell`

1. fits a Gaussian process to the latest rewards (`core.gaussian_process`);
2. trains the members of a mixture of factorized policies (TuNAS, arXiv 2008.06120), each by a few
   REINFORCE steps on its own posterior sample (Thompson sampling), so that unmeasured regions stay
   attractive; a probability floor keeps every choice possible;
3. restarts the worst of the members older than `patience`.

A fraction of the members are explorers: they are penalised for agreeing with the incumbent, the
network of the highest measured reward, in decisions that matter. Good networks form families that
no single change connects, and the model is certain only about the family it has data on.

`ask` samples candidates from the mixture and adds the neighbours of a few centres. Each batch slot
takes the unevaluated candidate that maximises the slot's posterior sample, among those it accepts:

- An explorer slot accepts candidates far from the incumbent only.
- Every `neighbours`-th sample is a neighbour slot. It accepts the neighbours of one centre in one
  neighbourhood (`core.neighbourhood`), regardless of the policies. The neighbourhood alternates
  between single changes, stage exchanges and stage copies; the centre between the incumbent and the
  posterior sample's maximiser among the evaluated networks, because with noisy rewards the
  incumbent may be a lucky network that is never replaced. Without these slots some searches end one
  step short of a better family.

Shapes: N batch slots, D decisions, H members, C observations (capacity of the model), M candidates,
F posterior samples, Z centres (F + 1).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mnas.controller import Controller, Proposals
from mnas.controllers.core import gaussian_process, mixture
from mnas.controllers.core.batch import validated
from mnas.controllers.core.binding import bind
from mnas.controllers.core.candidates import Candidates, assign_slots, candidates
from mnas.controllers.core.canonical import canonical
from mnas.controllers.core.duplicates import duplicates
from mnas.controllers.core.gaussian_process import (
    Features,
    Model,
    Quadratic,
    indicator_features,
    posterior_samples,
)
from mnas.controllers.core.incumbent import Incumbent, agreement, incumbent_of, undefined
from mnas.controllers.core.neighbourhood import (
    Neighbourhood,
    single_changes,
    stage_copies,
    stage_exchanges,
)
from mnas.controllers.core.policy import Params, Policy, factorized
from mnas.errors import (
    require_between,
    require_fraction,
    require_positive,
    require_whole,
)
from mnas.space import Space

# Members, and batch slots, that share one posterior sample: sampling dominates the time.
PER_SAMPLE = 4
# Loss of an explorer's value per decision of excess agreement with the incumbent, in the model's
# unit.
EXPLORER_PENALTY = 0.75
# Largest settings, by the memory and time of a batch.
LARGEST = dict.fromkeys(("members", "steps", "samples"), 4096)
LARGEST |= {"neighbours": 10**6, "patience": 10**6, "candidates": 65_536, "observations": 16_384}
# Score penalties. A slot without an eligible candidate takes an ineligible one; a duplicate is
# taken only where every candidate is one.
INELIGIBLE_PENALTY, DUPLICATE_SCORE = 1e3, -1e9


class DynaState(NamedTuple):
    """All that a search has learned.

    params     of the members, [H, ...] each
    optimizer  Adam's moments, [H, ...] each
    age        int32 [H], updates since the member's start
    model      observations and the Gaussian process fitted to them
    incumbent  best network
    entropy    float32 [], nats: mean over the members and the latest batch
    key        uint32 [2], random key of the next `tell`
    """

    params: Params
    optimizer: Any
    age: jax.Array
    model: Model
    incumbent: Incumbent
    entropy: jax.Array
    key: jax.Array


@dataclasses.dataclass(frozen=True)
class Dyna:
    """Policy gradient on a model of the rewards, for expensive evaluations. The default."""

    members: int = 16
    """Policies in the mixture."""
    learning_rate: float = 0.2
    """Adam's learning rate in inner updates."""
    steps: int = 8
    """Inner updates of every member per batch."""
    samples: int = 16
    """Model-based samples per inner update."""
    temperature: float = 0.03
    """Entropy bonus per nat, in the model's unit: the rewards' largest standard deviation so
    far."""
    floor: float = 0.05
    """Probability distributed uniformly over each decision's choices in every member."""
    explorers: float = 0.125
    """Fraction of the members, and of a batch, that keep away from the incumbent."""
    distance: float = 0.33
    """Fraction of the decisions in which explorers differ from the incumbent, weighted by each
    decision's effect there."""
    neighbours: int = 4
    """Interval, in samples, between neighbours of the incumbent or of the model's best network."""
    patience: int = 3
    """Updates before a member may be restarted; after each batch, the worst such member is."""
    candidates: int = 512
    """Samples of the mixture from which a batch is selected; at least as many as the batch."""
    observations: int = 512
    """Capacity of the model: it is fitted to that many of the latest rewards, in cubic time."""

    def __post_init__(self) -> None:
        for field, most in LARGEST.items():
            require_whole("dyna", field, getattr(self, field), most=most)
        require_positive("dyna", "learning_rate", self.learning_rate, most=1000)
        require_between("dyna", "temperature", self.temperature, 0, 1000)
        for field in ("floor", "explorers"):
            require_fraction("dyna", field, getattr(self, field))
        require_between("dyna", "distance", self.distance, 0, 1)

    def spec(self, space: Space) -> "Spec":
        """Return the static arguments of this module's functions."""
        return Spec(
            space,
            self,
            policy=factorized(space, self.floor),
            optimizer=optax.adam(self.learning_rate, b1=0.0, b2=0.99),
            features=indicator_features(space),
            neighbourhoods=(single_changes(space), stage_exchanges(space), stage_copies(space)),
        )

    def build(self, space: Space) -> Controller:
        """Return Dyna over `space`.

        `log_probs` are those of the mixture, before the selection of candidates. NaN and infinite
        rewards are ignored. The order of a batch doesn't matter: it is sorted by reward.
        """
        return bind(self.spec(space), init, ask, tell, summary)


@dataclasses.dataclass(frozen=True)
class Spec:
    """Static arguments of the functions below.

    space, config   what the controller was built from
    policy          of each member
    optimizer       of each member's parameters
    features        of the Gaussian process
    neighbourhoods  in the order in which neighbour slots use them
    """

    space: Space
    config: Dyna
    policy: Policy
    optimizer: optax.GradientTransformation
    features: Features
    neighbourhoods: tuple[Neighbourhood, ...]


# --- init ---


def init(spec: Spec, key: jax.Array) -> DynaState:
    """Return the state before the first batch."""
    params, optimizer, age = new_members(spec, key)
    model = gaussian_process.empty(spec.space, spec.config.observations)
    entropy = mixture.mean_entropy(spec.policy, params, model.decisions[:1])
    incumbent = undefined(spec.space)
    return DynaState(params, optimizer, age, model, incumbent, entropy, jax.random.key_data(key))


def new_members(spec: Spec, key: jax.Array) -> tuple[Params, Any, jax.Array]:
    """Return (parameters, optimizer states, ages) of H untrained members."""
    members = spec.config.members
    params = mixture.init(spec.policy, key, members)
    return params, jax.vmap(spec.optimizer.init)(params), jnp.zeros(members, jnp.int32)


def excess_agreement(spec: Spec, decisions: jax.Array, incumbent: Incumbent) -> jax.Array:
    """Return how far networks [N, D] exceed an explorer's agreement with the incumbent: [N] ≥ 0."""
    allowed = (1 - spec.config.distance) * len(spec.space.sizes)
    return jnp.maximum(agreement(incumbent, decisions) - allowed, 0.0)


# --- ask ---


def ask(spec: Spec, state: DynaState, key: jax.Array, n: int) -> Proposals:
    """Return n proposals, different and unevaluated as long as there are such candidates."""
    sample_key, model_key = jax.random.split(key)
    members = spec.config.members
    each = math.ceil(max(spec.config.candidates, n) / members)
    sampled = mixture.sample(spec.policy, state.params, sample_key, members, each)
    count = math.ceil(n / PER_SAMPLE)
    functions, _ = posterior_samples(model_key, count, state.model, spec.features)
    centres = neighbour_centres(spec, state, functions)
    pool = candidates(spec.space, sampled, centres, spec.neighbourhoods)
    scores = functions(spec.features(pool.decisions))[jnp.arange(n) // PER_SAMPLE]  # [N, M]
    eligible = eligibility(spec, state, pool, centres, n)
    scores = jnp.where(eligible, scores, scores - INELIGIBLE_PENALTY)
    known = duplicates(pool.decisions, state.model.decisions, state.model.observed)
    scores = jnp.where(known[None], DUPLICATE_SCORE, scores)
    decisions = pool.decisions[assign_slots(scores)]
    log_probs = mixture.log_probs(spec.policy, state.params, decisions, members)
    return Proposals(decisions, log_probs)


def neighbour_centres(spec: Spec, state: DynaState, functions: Quadratic) -> jax.Array:
    """Return int32 [Z, D]: every posterior sample's best evaluated network, then the incumbent."""
    values = functions(spec.features(state.model.decisions))  # [F, C]
    values = jnp.where(state.model.observed[None], values, -jnp.inf)
    maximisers = state.model.decisions[values.argmax(1)]
    return jnp.concatenate([maximisers, state.incumbent.decisions[None]])


def neighbour_slots(spec: Spec, count: jax.Array, n: int) -> tuple[jax.Array, jax.Array]:
    """Return which batch slots are for neighbours, and of which kind.

    count  int32 [], observations before the batch

    neighbourhood   int32 [N], index of the neighbourhood plus 1; 0: no neighbour slot, as are all
                    before the first observation
    from_incumbent  bool [N], whether the centre is the incumbent, or else the maximiser of the
                    slot's posterior sample; alternates
    """
    number = count + jnp.arange(n)
    turn = number // spec.config.neighbours
    is_neighbour = (number % spec.config.neighbours == 0) & (count > 0)
    neighbourhood = jnp.where(is_neighbour, 1 + turn % len(spec.neighbourhoods), 0)
    return neighbourhood, turn % 2 == 0


def eligibility(
    spec: Spec, state: DynaState, pool: Candidates, centres: jax.Array, n: int
) -> jax.Array:
    """Return which candidates each batch slot accepts: bool [N, M].

    Neighbour slots accept neighbours of one kind, of one of the centres [Z, D]; explorer slots, the
    last ones, accept candidates far from the incumbent; all others accept every candidate.
    """
    slots, any_observed = jnp.arange(n), state.model.total > 0
    neighbourhood, from_incumbent = neighbour_slots(spec, state.model.total, n)
    is_neighbour = neighbourhood > 0
    is_explorer = (slots >= n - round(spec.config.explorers * n)) & ~is_neighbour
    # Of equal centres the first: the neighbours of the others are duplicates.
    first = (centres[:, None] == centres[None]).all(2).argmax(1)
    centre = first[jnp.where(from_incumbent, len(centres) - 1, slots // PER_SAMPLE)]
    matches = pool.neighbourhood[None] == neighbourhood[:, None]
    matches &= pool.centre[None] == centre[:, None]
    near = excess_agreement(spec, pool.decisions, state.incumbent) > 0
    accepted = jnp.where(is_neighbour[:, None], matches, ~(is_explorer[:, None] & near[None]))
    # Before the first observation centres are undefined.
    return accepted & ((pool.neighbourhood == 0)[None] | any_observed)


# --- tell ---


def tell(spec: Spec, state: DynaState, proposals: Proposals, rewards: jax.Array) -> DynaState:
    """Return the state after a batch; unchanged where no reward is finite."""
    decisions, _, rewards = validated("dyna", spec.space, proposals, rewards)
    decisions, _ = canonical(spec.space, decisions)
    finite = jnp.isfinite(rewards)
    rewards = jnp.where(finite, rewards, jnp.nan)
    return jax.lax.cond(
        finite.any(),
        lambda: update(spec, state, decisions, rewards),
        lambda: state,
    )


def update(spec: Spec, state: DynaState, decisions: jax.Array, rewards: jax.Array) -> DynaState:
    """Return the state after canonical decisions [N, D] with rewards [N], one at least not NaN."""
    members = spec.config.members
    model = gaussian_process.append(state.model, decisions, rewards)
    model = gaussian_process.fit(model, spec.features)
    key, model_key, member_key = jax.random.split(jax.random.wrap_key_data(state.key), 3)
    keys = jax.random.split(member_key, members)
    count = math.ceil(members / PER_SAMPLE)
    samples, mean = posterior_samples(model_key, count, model, spec.features)
    incumbent = incumbent_of(spec.space, spec.features, model, mean)
    functions = jax.tree.map(
        lambda leaf: jnp.concatenate([leaf] * PER_SAMPLE)[:members, None], samples
    )  # [H, F = 1, ...]
    explorer = jnp.arange(members) >= members - round(spec.config.explorers * members)
    train = jax.vmap(functools.partial(train_member, spec), (0, 0, 0, 0, 0, None))
    params, optimizer, values = train(
        state.params, state.optimizer, keys, functions, explorer, incumbent
    )
    # New members are deterministic, so the key may be used again in the next `tell`.
    fresh = new_members(spec, key)
    params, optimizer, age = restart_worst(spec, (params, optimizer, state.age + 1), fresh, values)
    entropy = mixture.mean_entropy(spec.policy, params, decisions)
    return DynaState(params, optimizer, age, model, incumbent, entropy, jax.random.key_data(key))


def train_member(
    spec: Spec,
    params: Params,
    optimizer: Any,
    key: jax.Array,
    function: Quadratic,
    explorer: jax.Array,
    incumbent: Incumbent,
) -> tuple[Params, Any, jax.Array]:
    """Return (params, optimizer, mean value [] in the last step) of one member after its steps.

    function  the member's posterior sample, F = 1
    explorer  bool [], whether agreement with the incumbent is penalised
    """

    def objective(decisions: jax.Array) -> jax.Array:
        values = function(spec.features(decisions))[0]
        return values - explorer * EXPLORER_PENALTY * excess_agreement(spec, decisions, incumbent)

    step = functools.partial(inner_update, spec, objective)
    keys = jax.random.split(key, spec.config.steps)
    (params, optimizer), values = jax.lax.scan(step, (params, optimizer), keys)
    return params, optimizer, values[-1]


def inner_update(
    spec: Spec,
    objective: Callable[[jax.Array], jax.Array],
    member: tuple[Params, Any],
    key: jax.Array,
) -> tuple[tuple[Params, Any], jax.Array]:
    """Return a member after one REINFORCE step on model-based samples, and their mean value [].

    objective  decisions [N, D] -> values float32 [N]
    member     (params, optimizer)
    """
    params, optimizer = member
    decisions, _ = spec.policy.sample(params, key, spec.config.samples)
    values = objective(decisions)

    # L = -mean (f - mean f) · log π(a) - temperature · mean H
    def loss(params: Params) -> jax.Array:
        log_probs, entropies = spec.policy.evaluate(params, decisions)
        advantages = values - values.mean()
        return -(advantages * log_probs + spec.config.temperature * entropies).mean()

    updates, optimizer = spec.optimizer.update(jax.grad(loss)(params), optimizer)
    return (optax.apply_updates(params, updates), optimizer), values.mean()


def restart_worst(spec: Spec, members: Any, fresh: Any, values: jax.Array) -> Any:
    """Return the members with the worst of those older than `patience` replaced by a fresh one.

    members, fresh  (params, optimizer, age), leaves [H, ...]
    values          float32 [H]
    """
    _, _, age = members
    old = age > spec.config.patience
    worst = jnp.argmin(jnp.where(old, values, jnp.inf))
    return jax.tree.map(
        lambda new, now: now.at[worst].set(jnp.where(old[worst], new[worst], now[worst])),
        fresh,
        members,
    )


# --- summary ---


def summary(spec: Spec, state: DynaState) -> dict[str, float]:
    """Return the mean reward of the observations, entropy in nats, and number of observations."""
    count = min(int(state.model.total), spec.config.observations)
    return {
        "baseline": float(state.model.rewards[:count].mean()) if count else 0.0,
        "entropy": float(state.entropy),
        "observations": float(count),
    }
