"""Dyna: selection of batches, training and restarts of members."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controller import Proposals
from mnas.controllers import dyna
from mnas.controllers.core.candidates import Candidates
from mnas.controllers.core.incumbent import Incumbent
from mnas.controllers.dyna import Dyna
from mnas.errors import UsageError
from tests.controllers.spaces import (
    LARGE,
    NETWORKS,
    SPACE,
    levels,
    with_stages_copied,
    with_stages_exchanged,
)

pytestmark = pytest.mark.promotes_dtypes  # optax does


def key(seed):
    return jax.random.key(seed)


# Few settings and batch sizes: each is compiled. 512 uniform samples of `SPACE` contain all its 27
# networks, of which the rarest have probability 1/48.
SMALL = Dyna(members=4, observations=32, candidates=512, patience=2, floor=0.1, neighbours=99)
NEIGHBOURS = Dyna(
    members=4, observations=32, candidates=64, patience=99, explorers=0.0, neighbours=4
)
EXPLORERS = dataclasses.replace(NEIGHBOURS, explorers=0.5, distance=0.5, neighbours=99)


@functools.cache
def build(config=SMALL, space=SPACE):
    """Return a controller and its initial state."""
    controller = config.build(space)
    return controller, controller.init(key(0))


def tell(controller, state, decisions, rewards):
    """Tell a batch, padded to 32 by NaN rewards so that one program serves all."""
    decisions, rewards = np.array(decisions, np.int32), np.array(rewards, np.float32)
    rest = 32 - len(rewards)
    decisions = np.pad(decisions, ((0, rest), (0, 0)))
    rewards = np.pad(rewards, (0, rest), constant_values=np.nan)
    return controller.tell(state, Proposals(decisions, np.zeros(32, np.float32)), rewards)


def preferring(space, networks, logit):
    """Return parameters of members that each prefer the choices of one network."""
    choices = np.arange(space.accepted.shape[2])
    return {"logits": jnp.asarray(logit * (np.array(networks)[..., None] == choices), jnp.float32)}


# --- selection of a batch ---


def test_no_network_is_proposed_twice_while_others_are_left():
    controller, first = build()
    state, seen = first, set()
    for batch in range(3):
        proposals = controller.ask(state, key(batch), 9)
        new = set(map(tuple, proposals.decisions.tolist()))
        assert len(new) == 9 and not new & seen
        seen |= new
        rewards = 0.6 + 0.01 * np.asarray(proposals.decisions).sum(1)
        state = tell(controller, state, proposals.decisions, rewards)
        state = state._replace(params=first.params)  # uniform again
    assert seen == set(map(tuple, NETWORKS.tolist()))
    again = controller.ask(state, key(3), 9)  # duplicates: none is left
    np.testing.assert_array_equal(again.decisions, SPACE.canonical(again.decisions))
    assert np.isfinite(again.log_probs).all()


def test_batch_may_be_larger_than_the_space_and_the_candidates():
    controller, state = build()
    decisions = controller.ask(state, key(0), 600).decisions.tolist()
    assert set(map(tuple, decisions[:27])) == set(map(tuple, NETWORKS.tolist()))
    np.testing.assert_array_equal(decisions, SPACE.canonical(decisions))


def test_networks_that_the_model_prefers_are_proposed_first():
    """Only the kernel has an effect. Of 9 networks that are left, 3 have the best one."""
    controller, state = build()
    evaluated = np.array([network for number, network in enumerate(NETWORKS) if number % 3])
    after = tell(controller, state, evaluated, evaluated[:, 2] == 2)
    after = after._replace(params=state.params)
    firsts = [controller.ask(after, key(seed), 9).decisions[:3, 2] for seed in range(30)]
    assert (np.array(firsts) == 2).mean() > 0.9
    # The same candidates, without observations.
    firsts = [controller.ask(state, key(seed), 9).decisions[:3, 2] for seed in range(30)]
    assert (np.array(firsts) == 2).mean() < 0.6


def test_log_probs_are_those_of_the_mixture():
    controller, state = build()
    logits = np.random.default_rng(0).normal(size=(4, 5, 3))
    state = state._replace(params={"logits": jnp.asarray(logits, jnp.float32)})
    proposals = controller.ask(state, key(0), 9)
    for network, log_prob in zip(proposals.decisions.tolist(), proposals.log_probs, strict=True):
        members = []
        for member in range(4):
            p = 1.0
            for d, level in enumerate(levels(network)):
                size = (2, 2, 3, 2, 2)[d]
                weights = np.exp(logits[member, d, :size])
                if level != "inactive":
                    p *= 0.9 * weights[level] / weights.sum() + 0.1 / size
            members.append(p)
        assert float(log_prob) == pytest.approx(math.log(np.mean(members)), rel=1e-5)


# --- explorer slots ---


def test_excess_agreement_by_hand():
    spec = dataclasses.replace(SMALL, distance=0.4).spec(SPACE)  # at most 3 of 5 may agree
    incumbent = Incumbent(jnp.array([0, 1, 2, 1, 1]), jnp.array([2.0, 1.0, 1.0, 0.5, 0.5]))
    networks = jnp.array([[0, 1, 2, 1, 1], [0, 1, 0, 1, 0], [0, 0, 2, 0, 0]])
    excess = dyna.excess_agreement(spec, networks, incumbent)
    np.testing.assert_allclose(excess, [2.0, 0.5, 0.0], atol=1e-6)


def test_eligibility_of_each_kind_of_slot():
    """Four candidates: sampled near and far from the incumbent, neighbours of either centre."""
    config = dataclasses.replace(SMALL, explorers=0.25, distance=0.5, neighbours=3)
    spec = config.spec(SPACE)
    _, state = build()
    incumbent = jnp.array([0, 1, 2, 0, 0])
    state = state._replace(
        model=state.model._replace(total=jnp.int32(5)),
        incumbent=Incumbent(incumbent, jnp.ones(5)),
    )
    pool = Candidates(
        decisions=jnp.array([[0, 1, 2, 1, 1], [1, 0, 0, 1, 1], [0, 1, 1, 0, 0], [1, 0, 1, 0, 0]]),
        neighbourhood=np.array([0, 0, 3, 3]),
        centre=np.array([-1, -1, 1, 0]),
    )
    centres = jnp.stack([jnp.array([1, 0, 0, 0, 0]), incumbent])
    eligible = dyna.eligibility(spec, state, pool, centres, 4)
    # Slots are samples 5 to 8. Sample 6 is neighbour 2: of the incumbent, in neighbourhood 3.
    every = [True] * 4
    neighbours, far = [False, False, True, False], [False, True, False, True]
    assert eligible.tolist() == [every, neighbours, every, far]
    before = state._replace(model=state.model._replace(total=jnp.int32(0)))
    eligible = dyna.eligibility(spec, before, pool, centres, 3)
    assert not eligible[:, 2:].any()  # no neighbours before the first observation


def test_explorer_slots_are_far_from_the_incumbent():
    rng = np.random.default_rng(0)
    best = LARGE.sample(rng)
    other = np.where(np.arange(28) % 2, best, (best + 1) % LARGE.sizes)  # just far enough
    controller, state = build(EXPLORERS, LARGE)
    evaluated = np.stack([best] + [LARGE.sample(rng) for _ in range(20)])
    state = tell(controller, state, evaluated, (evaluated == best).mean(1))
    # Two members prefer the incumbent, two a network just far enough for explorers.
    state = state._replace(params=preferring(LARGE, [best, best, other, other], 4.0))
    for seed in range(10):
        differ = (np.asarray(controller.ask(state, key(seed), 8).decisions) != best).sum(1)
        assert (differ[:4] < 14).all()
        assert (differ[4:] >= 14).all()  # half of the slots, half of the decisions


def test_explorer_slots_differ_in_decisions_with_an_effect():
    """Only the first 7 decisions have an effect; differences in all others don't count."""
    rng = np.random.default_rng(0)
    best = LARGE.sample(rng)
    controller, state = build(EXPLORERS, LARGE)
    evaluated = np.stack([best] + [LARGE.sample(rng) for _ in range(31)])
    state = tell(controller, state, evaluated, (evaluated == best)[:, :7].mean(1))
    changed, matters = (best + 1) % LARGE.sizes, np.arange(28) < 7
    neutral, far = np.where(matters, best, changed), np.where(matters, changed, best)
    state = state._replace(params=preferring(LARGE, [best, neutral, neutral, far], 6.0))
    proposed = np.array([controller.ask(state, key(seed), 8).decisions for seed in range(10)])
    differ = (proposed != best)[:, 4:, :7].sum(-1)  # in the explorer slots
    assert differ.mean() > 4 and (differ > 1).all()


# --- neighbour slots ---


def test_neighbour_slots_alternate_between_neighbourhoods_and_centres():
    spec = NEIGHBOURS.spec(LARGE)  # every fourth sample
    neighbourhood, from_incumbent = dyna.neighbour_slots(spec, jnp.int32(21), 12)
    # Samples 21 to 32; neighbours 6, 7 and 8 are samples 24, 28 and 32.
    assert neighbourhood.tolist() == [0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3]
    assert from_incumbent.tolist()[3::4] == [True, False, True]


def test_no_slot_is_for_neighbours_before_the_first_observation():
    neighbourhood, _ = dyna.neighbour_slots(NEIGHBOURS.spec(LARGE), jnp.int32(0), 12)
    assert neighbourhood.tolist() == [0] * 12


def test_neighbour_slots_propose_neighbours_of_the_incumbent():
    rng = np.random.default_rng(0)
    best, other = LARGE.sample(rng), LARGE.sample(rng)
    controller, state = build(NEIGHBOURS, LARGE)
    evaluated = np.stack([best] + [LARGE.sample(rng) for _ in range(20)])
    state = tell(controller, state, evaluated, (evaluated == best).mean(1))
    state = state._replace(params=preferring(LARGE, [other] * 4, 6.0))
    exchanged, copied = with_stages_exchanged(best), with_stages_copied(best)
    for seed in range(10):
        decisions = controller.ask(state, key(seed), 12).decisions.tolist()
        assert np.sum(decisions[3] != best) == 1
        assert decisions[7] in exchanged
        assert decisions[11] in copied


def test_every_other_centre_is_the_best_network_by_the_model():
    """The incumbent was lucky: all similar networks are bad."""
    rng = np.random.default_rng(0)
    lucky, core = LARGE.sample(rng), LARGE.sample(rng)
    pairs = np.arange(28) // 2
    near_core = [np.where(pairs == pair, 0, core) for pair in range(14)]
    near_lucky = [np.where(pairs == pair, 0, lucky) for pair in range(14)]
    controller, state = build(NEIGHBOURS, LARGE)
    evaluated = np.stack([lucky, *near_core, *near_lucky, core])  # 30
    state = tell(controller, state, evaluated, [0.61] + [0.6] * 14 + [0.4] * 14 + [0.6])
    copied, exchanged = with_stages_copied(lucky), with_stages_exchanged(lucky)
    for seed in range(10):
        decisions = controller.ask(state, key(seed), 12).decisions.tolist()
        # Samples 30 to 41; neighbours 8, 9 and 10 are samples 32, 36 and 40.
        assert decisions[2] in copied
        nearest = (np.array(decisions[6]) != evaluated).sum(1)
        assert nearest[1:15].min() == 1 or nearest[-1] == 1
        assert decisions[10] in exchanged


def test_first_batch_is_sampled_from_the_members():
    controller, state = build(NEIGHBOURS, LARGE)
    last = np.array(LARGE.sizes) - 1
    state = state._replace(params=preferring(LARGE, [last] * 4, 20.0))
    decisions = np.asarray(controller.ask(state, key(0), 8).decisions)
    assert ((decisions != 0).sum(1) > 14).all()


def test_slots_of_an_empty_neighbourhood_take_other_candidates():
    controller, state = build(dataclasses.replace(SMALL, neighbours=2))  # one stage: no exchanges
    state = tell(controller, state, NETWORKS[:3], [0.5, 0.6, 0.7])
    assert len(set(map(tuple, controller.ask(state, key(0), 8).decisions.tolist()))) == 8


# --- training and restarts of members ---


def after_inner_update(spec, objective):
    """Return the logits of an untrained member after one inner update, and the mean value."""
    params = spec.policy.init(key(0))
    member = params, spec.optimizer.init(params)
    (params, _), value = dyna.inner_update(spec, objective, member, key(1))
    return np.asarray(params["logits"]), float(value)


def test_inner_update_raises_the_probability_of_better_choices():
    spec = dataclasses.replace(SMALL, samples=64).spec(SPACE)
    logits, value = after_inner_update(spec, lambda decisions: 1.0 * (decisions[:, 2] == 1))
    assert logits[2, 1] > 0 > logits[2, [0, 2]].max()
    assert 0 < value < 1  # the fraction of samples with the better choice


def test_inner_update_without_advantages_and_entropy_bonus_changes_nothing():
    spec = dataclasses.replace(SMALL, temperature=0.0).spec(SPACE)
    logits, value = after_inner_update(spec, lambda decisions: jnp.full(len(decisions), 0.25))
    assert not logits.any() and value == 0.25


def test_members_follow_the_model_and_explorers_keep_their_distance():
    rng = np.random.default_rng(0)
    networks = np.tile(LARGE.sample(rng), (32, 1))
    best = networks[0].copy()
    for network in networks[1:]:
        changed = rng.permutation(28)[: rng.integers(1, 28)]
        network[changed] = (best[changed] + 1) % LARGE.sizes[changed]
    controller, state = build(EXPLORERS, LARGE)
    common = []
    for _ in range(40):
        state = tell(controller, state, networks, (networks == best).mean(1))
        exists = np.arange(LARGE.accepted.shape[2]) < LARGE.sizes[:, None]
        p = np.asarray(jax.nn.softmax(jnp.where(exists, state.params["logits"], -jnp.inf)))
        common.append(p[:, np.arange(28), best].sum(1))  # expected agreement, without the floor
    common = np.mean(common[20:], 0)
    assert (common[:2] > 18).all() and (common[2:] < 15).all()


@pytest.mark.parametrize(
    ("ages", "restarted"),
    [
        ([3, 3, 3, 3], 1),  # the worst
        ([3, 2, 3, 3], 3),  # the worst of those older than the patience
        ([2, 2, 0, 1], None),  # none is old enough
    ],
)
def test_worst_old_member_is_restarted(ages, restarted):
    members = jnp.arange(4.0), jnp.arange(8.0).reshape(4, 2), jnp.array(ages)
    fresh = jnp.full(4, -1.0), jnp.full((4, 2), -1.0), jnp.zeros(4, jnp.int32)
    values = jnp.array([0.3, 0.1, 0.4, 0.2])
    result = dyna.restart_worst(SMALL.spec(SPACE), members, fresh, values)
    for now, new, after in zip(members, fresh, result, strict=True):
        for member in range(4):
            expected = new if member == restarted else now
            np.testing.assert_array_equal(after[member], expected[member])


def test_one_member_per_update_is_restarted_once_all_are_old():
    controller, state = build()
    untrained = state.params["logits"][0]
    ages = []
    for update in range(6):
        state = tell(controller, state, NETWORKS[update : update + 3], [0.5, 0.6, 0.7])
        ages.append(state.age.tolist())
        for age, logits in zip(ages[-1], state.params["logits"], strict=True):
            assert np.array_equal(logits, untrained) == (age == 0)
    assert ages[:2] == [[1] * 4, [2] * 4]
    assert sorted(ages[2]) == [0, 3, 3, 3] and sorted(ages[3]) == [0, 1, 4, 4]


def test_bad_rewards_leave_the_state_unchanged():
    controller, state = build()
    state = tell(controller, state, NETWORKS[:3], [0.5, 0.6, 0.7])
    after = tell(controller, state, NETWORKS[3:6], [np.nan, np.inf, -np.inf])
    jax.tree.map(np.testing.assert_array_equal, state, after)
    mixed = tell(controller, state, NETWORKS[3:6], [np.inf, 0.8, np.nan])
    assert int(mixed.model.total) == 4 and float(mixed.model.rewards[3]) == pytest.approx(0.8)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(mixed))


def test_observations_are_canonical():
    controller, state = build()
    state = tell(controller, state, [[1, 1, 2, 0, 1]], [0.5])
    assert state.model.decisions[0].tolist() == [1, 0, 2, 0, 0]


# --- summary and settings ---


def test_summary():
    controller, state = build()
    # Before the first batch at the network of all first choices: op, expand, kernel, layers.
    entropy = pytest.approx(math.log(2 * 2 * 3 * 2), rel=1e-5)
    assert controller.summary(state) == {"baseline": 0.0, "entropy": entropy, "observations": 0.0}
    summary = controller.summary(tell(controller, state, NETWORKS[:3], [0.5, 0.6, np.nan]))
    assert summary["baseline"] == pytest.approx(0.55) and summary["observations"] == 2


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("members", 0, "a whole number of at least 1 and at most 4,096"),
        ("members", 1_000_000_000, "a whole number of at least 1 and at most 4,096"),
        ("steps", 2.5, "a whole number of at least 1"),
        ("samples", -1, "a whole number of at least 1"),
        ("neighbours", 0, "a whole number of at least 1"),
        ("patience", 0, "a whole number of at least 1"),
        ("candidates", 0, "a whole number of at least 1"),
        ("observations", 0, "a whole number of at least 1"),
        ("learning_rate", 0.0, "a number above 0"),
        ("learning_rate", math.nan, "a number above 0"),
        ("temperature", -0.1, "0 to 1000"),
        ("floor", 1.0, "0 or more, below 1"),
        ("explorers", -0.1, "0 or more, below 1"),
        ("distance", 1.1, "0 to 1"),
    ],
)
def test_settings_out_of_range_are_rejected(name, value, accepted):
    with pytest.raises(UsageError, match=f"dyna: {name} = {value!r}; accepted: {accepted}"):
        Dyna(**{name: value})
