"""Dyna: what is proposed, what members learn, who starts afresh."""

import dataclasses
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mnas.controllers import dyna
from mnas.controllers.dyna import Dyna
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace

from mnas.controller import Proposals
from tests.controllers.spaces import NETWORKS, SPACE, kinds

LARGE = AccelNasbenchSpace().build()  # 28 decisions, none conditional


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_rank_promotion("raise"):  # optax itself needs dtype promotion
        yield


def key(seed):
    return jax.random.key(seed)


# Few settings and batch sizes, because each is compiled for itself. All 27 networks of `SPACE` are
# among 512 uniform samples: of the rarest, 1/48 each.
SMALL = Dyna(members=4, remembered=32, candidates=512, patience=2, floor=0.1, neighbours=99)
NEIGHBOURS = Dyna(members=4, remembered=32, candidates=64, patience=99, scouts=0.0, neighbours=4)
SCOUTS = dataclasses.replace(NEIGHBOURS, scouts=0.5, distance=0.5, neighbours=99)


@functools.cache
def build(config=SMALL, space=SPACE):
    """A controller and its first state."""
    controller = config.build(space)
    return controller, controller.init(key(0))


def tell(controller, state, decisions, rewards):
    """In a batch of 32; NaN, which counts for nothing, fills it up."""
    decisions, rewards = np.array(decisions, np.int32), np.array(rewards, np.float32)
    rest = 32 - len(rewards)
    decisions = np.pad(decisions, ((0, rest), (0, 0)))
    rewards = np.pad(rewards, (0, rest), constant_values=np.nan)
    return controller.tell(state, Proposals(decisions, np.zeros(32, np.float32)), rewards)


def towards(space, networks, logit):
    """Parameters of members that each prefer the choices of one network."""
    choices = np.arange(space.accepted.shape[2])
    return {"logits": jnp.asarray(logit * (np.array(networks)[..., None] == choices), jnp.float32)}


def test_names_tell_networks_apart():
    vectors = np.concatenate([NETWORKS, NETWORKS[::-1]])
    names = np.asarray(dyna._names(jnp.asarray(vectors)))
    assert len(set(names.tolist())) == 27 and (names >= 0).all()  # -1 is nobody's name
    np.testing.assert_array_equal(names[:27], names[:26:-1])
    rng = np.random.default_rng(0)
    many = np.unique([LARGE.sample(rng) for _ in range(2000)], axis=0)
    assert len(np.unique(dyna._names(jnp.asarray(many)))) == len(many)


# --- what is proposed ---


def test_nothing_is_proposed_twice_while_there_is_anything_else():
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
    again = controller.ask(state, key(3), 9)  # all are known: there is nothing else
    np.testing.assert_array_equal(again.decisions, SPACE.canonical(again.decisions))
    assert np.isfinite(again.log_probs).all()


def test_a_batch_may_be_larger_than_the_space_and_than_the_candidates():
    controller, state = build()
    decisions = controller.ask(state, key(0), 600).decisions.tolist()
    assert set(map(tuple, decisions[:27])) == set(map(tuple, NETWORKS.tolist()))
    np.testing.assert_array_equal(decisions, SPACE.canonical(decisions))


def test_what_the_model_thinks_best_is_proposed_first():
    """Only the kernel counts. Of 9 networks that are left, 3 have the good one."""
    controller, state = build()
    told = np.array([network for number, network in enumerate(NETWORKS) if number % 3])
    after = tell(controller, state, told, told[:, 2] == 2)._replace(params=state.params)
    firsts = [controller.ask(after, key(seed), 9).decisions[:3, 2] for seed in range(30)]
    assert (np.array(firsts) == 2).mean() > 0.9
    # The same candidates, before the model knows.
    firsts = [controller.ask(state, key(seed), 9).decisions[:3, 2] for seed in range(30)]
    assert (np.array(firsts) == 2).mean() < 0.6


def test_scouts_places_are_far_from_the_best():
    rng = np.random.default_rng(0)
    best = LARGE.sample(rng)
    other = np.where(np.arange(28) % 2, best, (best + 1) % LARGE.sizes)  # just far enough
    controller, state = build(SCOUTS, LARGE)
    told = np.stack([best] + [LARGE.sample(rng) for _ in range(20)])
    state = tell(controller, state, told, (told == best).mean(1))
    # Two members stay close to the best network, two about as far from it as scouts are to be.
    state = state._replace(params=towards(LARGE, [best, best, other, other], 4.0))
    for seed in range(10):
        differ = (np.asarray(controller.ask(state, key(seed), 8).decisions) != best).sum(1)
        assert (differ[:4] < 14).all()
        assert (differ[4:] >= 14).all()  # half the places, half the decisions


def test_scouts_differ_in_what_matters():
    """Only the first 7 decisions count; to differ in all the others is not to be far away."""
    rng = np.random.default_rng(0)
    best = LARGE.sample(rng)
    controller, state = build(SCOUTS, LARGE)
    told = np.stack([best] + [LARGE.sample(rng) for _ in range(31)])
    state = tell(controller, state, told, (told == best)[:, :7].mean(1))
    changed = (best + 1) % LARGE.sizes
    matters = np.arange(28) < 7
    neutral, far = np.where(matters, best, changed), np.where(matters, changed, best)
    state = state._replace(params=towards(LARGE, [best, neutral, neutral, far], 6.0))
    proposed = np.array([controller.ask(state, key(seed), 8).decisions for seed in range(10)])
    differ = (proposed != best)[:, 4:, :7].sum(-1)  # of the scouts' places
    assert differ.mean() > 4 and (differ > 1).all()


def stages(decisions):
    return np.reshape(decisions, (7, 4)).tolist()


def network(stages):
    # The sixth stage has a fourth number of layers, for which the others take their third.
    return np.minimum(np.ravel(stages), np.array(LARGE.sizes) - 1).tolist()


def stages_exchanged(decisions):
    for a, b in itertools.combinations(range(7), 2):
        changed = stages(decisions)
        changed[a], changed[b] = changed[b], changed[a]
        yield network(changed)


def stages_copied(decisions):
    for a, b in itertools.combinations(range(7), 2):
        for to, source in ((a, b), (b, a)):
            changed = stages(decisions)
            changed[to] = changed[source]
            yield network(changed)


def test_every_so_many_samples_one_is_a_neighbour_of_the_best_of_each_kind_in_turn():
    rng = np.random.default_rng(0)
    best, other = LARGE.sample(rng), LARGE.sample(rng)
    controller, state = build(NEIGHBOURS, LARGE)
    told = np.stack([best] + [LARGE.sample(rng) for _ in range(20)])
    state = tell(controller, state, told, (told == best).mean(1))
    # The members know nothing but another network.
    state = state._replace(params=towards(LARGE, [other] * 4, 6.0))
    exchanged, copied = list(stages_exchanged(best)), list(stages_copied(best))
    for seed in range(10):
        decisions = controller.ask(state, key(seed), 12).decisions.tolist()
        # 21 are remembered: these are samples 21 to 32, and neighbours 6, 7 and 8 are 24, 28, 32.
        assert np.sum(decisions[3] != best) == 1
        assert decisions[7] in exchanged
        assert decisions[11] in copied


def test_every_other_neighbour_is_of_what_the_model_thinks_best():
    """The best measured was lucky: all that is like it is bad."""
    rng = np.random.default_rng(0)
    lucky, core = LARGE.sample(rng), LARGE.sample(rng)
    like = [np.where(np.arange(28) // 2 == pair, 0, core) for pair in range(14)]
    unlike = [np.where(np.arange(28) // 2 == pair, 0, lucky) for pair in range(14)]
    controller, state = build(NEIGHBOURS, LARGE)
    told = np.stack([lucky, *like, *unlike, core])  # 30
    state = tell(controller, state, told, [0.61] + [0.6] * 14 + [0.4] * 14 + [0.6])
    copied, exchanged = list(stages_copied(lucky)), list(stages_exchanged(lucky))
    for seed in range(10):
        decisions = controller.ask(state, key(seed), 12).decisions.tolist()
        # Samples 30 to 41; neighbours 8, 9 and 10 are 32, 36 and 40.
        assert decisions[2] in copied
        nearest = (np.array(decisions[6]) != told).sum(1)
        assert nearest[1:15].min() == 1 or nearest[-1] == 1
        assert decisions[10] in exchanged


def test_single_changes_are_those_of_every_choice():
    changed = dyna._single_changes(SPACE)(jnp.array([1, 0, 2, 0, 0]))
    expected = [
        *([0, 0, 2, 0, 0], [1, 0, 2, 0, 0], [1, 0, 2, 0, 0], [1, 1, 2, 0, 0]),
        *([1, 0, 0, 0, 0], [1, 0, 1, 0, 0], [1, 0, 2, 0, 0]),
        *([1, 0, 2, 0, 0], [1, 0, 2, 1, 0], [1, 0, 2, 0, 0], [1, 0, 2, 0, 1]),
    ]
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("kind, expected", [(0, stages_exchanged), (1, stages_copied)])
def test_stages_are_rearranged_two_by_two(kind, expected):
    rearranged = dyna._rearranged(LARGE, dyna._stage_sources(LARGE)[kind])
    rng = np.random.default_rng(0)
    for _ in range(5):
        decisions = LARGE.sample(rng)
        np.testing.assert_array_equal(rearranged(jnp.asarray(decisions)), list(expected(decisions)))


def test_a_space_of_one_stage_has_nothing_to_rearrange():
    assert [rows.shape for rows in dyna._stage_sources(SPACE)] == [(0, 5), (0, 5)]
    controller, state = build(dataclasses.replace(SMALL, neighbours=2))
    state = tell(controller, state, NETWORKS[:3], [0.5, 0.6, 0.7])
    assert len(set(map(tuple, controller.ask(state, key(0), 8).decisions.tolist()))) == 8


def test_before_anything_is_known_nothing_is_a_neighbour():
    """The first batch is of the members alone, who here have learned to avoid first choices."""
    controller, state = build(NEIGHBOURS, LARGE)
    last = np.array(LARGE.sizes) - 1
    state = state._replace(params=towards(LARGE, [last] * 4, 20.0))
    decisions = np.asarray(controller.ask(state, key(0), 8).decisions)
    assert ((decisions != 0).sum(1) > 14).all()


def test_log_probs_are_those_of_the_mixture():
    controller, state = build()
    logits = np.random.default_rng(0).normal(size=(4, 5, 3))
    state = state._replace(params={"logits": jnp.asarray(logits, jnp.float32)})
    proposals = controller.ask(state, key(0), 9)
    for network, log_prob in zip(proposals.decisions.tolist(), proposals.log_probs, strict=True):
        members = []
        for member in range(4):
            p = 1.0
            for d, kind in enumerate(kinds(network)):
                size = (2, 2, 3, 2, 2)[d]
                weights = np.exp(logits[member, d, :size])
                if kind != "off":
                    p *= 0.9 * weights[kind] / weights.sum() + 0.1 / size
            members.append(p)
        assert float(log_prob) == pytest.approx(math.log(np.mean(members)), rel=1e-5)


# --- what members learn, and who starts afresh ---


def test_members_learn_what_the_model_says_and_scouts_keep_their_distance():
    rng = np.random.default_rng(0)
    networks = np.tile(LARGE.sample(rng), (32, 1))
    best = networks[0].copy()
    for network in networks[1:]:
        places = rng.permutation(28)[: rng.integers(1, 28)]
        network[places] = (best[places] + 1) % LARGE.sizes[places]
    controller, state = build(SCOUTS, LARGE)
    common = []
    for _ in range(40):
        state = tell(controller, state, networks, (networks == best).mean(1))
        exists = np.arange(LARGE.accepted.shape[2]) < LARGE.sizes[:, None]
        p = np.asarray(jax.nn.softmax(jnp.where(exists, state.params["logits"], -jnp.inf)))
        common.append(p[:, np.arange(28), best].sum(1))  # expected, without the floor
    common = np.mean(common[20:], 0)
    assert (common[:2] > 18).all() and (common[2:] < 15).all()


def of_members(state, member):
    """The leaves of one member's parameters and optimizer."""
    leaves = jax.tree.leaves((state.params, state.optimizer))
    return [np.asarray(leaf[member]) for leaf in leaves]


def test_from_their_time_on_one_member_an_update_starts_afresh():
    controller, state = build()
    first = of_members(state, 0)
    ages = []
    for update in range(8):
        before = np.asarray(state.age)
        state = tell(controller, state, NETWORKS[update : update + 3], [0.5, 0.6, 0.7])
        ages.append(state.age.tolist())
        started = state.age == 0
        assert int(started.sum()) == bool((before >= 2).any())  # more than 2 updates, with this one
        np.testing.assert_array_equal(state.age, np.where(started, 0, before + 1))
        for member in range(4):
            fresh = jax.tree.map(np.array_equal, of_members(state, member), first)
            assert all(fresh) if started[member] else not any(fresh)
    assert ages[:2] == [[1] * 4, [2] * 4] and sorted(ages[2]) == [0, 3, 3, 3]
    assert sorted(ages[3]) == [0, 1, 4, 4]


@pytest.mark.parametrize("worst", range(4))
def test_the_worst_of_those_whose_time_has_come_starts_afresh(worst):
    """Members so sure that they stay: one at a bad network, the others at a good one."""
    controller, state = build()
    good, bad = [0, 0, 0, 0, 0], [1, 0, 2, 1, 1]
    members = [bad if member == worst else good for member in range(4)]
    state = state._replace(params=towards(SPACE, members, 20.0))
    for age in (5, 1):  # old enough; too young, so that another goes
        ages = jnp.full(4, 5).at[worst].set(age)
        after = tell(controller, state._replace(age=ages), [good, bad] * 2, [0.7, 0.5] * 2)
        fresh = np.flatnonzero(after.age == 0)
        assert len(fresh) == 1 and (fresh[0] == worst) == (age == 5)
        assert not after.params["logits"][fresh[0]].any()


def test_rewards_that_are_no_numbers_leave_everything_as_it_is():
    controller, state = build()
    state = tell(controller, state, NETWORKS[:3], [0.5, 0.6, 0.7])
    after = tell(controller, state, NETWORKS[3:6], [np.nan, np.inf, -np.inf])
    jax.tree.map(np.testing.assert_array_equal, state, after)
    mixed = tell(controller, state, NETWORKS[3:6], [np.inf, 0.8, np.nan])
    assert int(mixed.memory.count) == 4 and float(mixed.memory.rewards[3]) == pytest.approx(0.8)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(mixed))


def test_vectors_are_remembered_as_their_canonical_ones():
    controller, state = build()
    state = tell(controller, state, [[1, 1, 2, 0, 1]], [0.5])
    assert state.memory.decisions[0].tolist() == [1, 0, 2, 0, 0]


# --- what people see ---


def test_summary():
    controller, state = build()
    # Before the first batch, of the network of all first choices: op, expand, kernel, layers.
    entropy = pytest.approx(math.log(2 * 2 * 3 * 2), rel=1e-5)
    assert controller.summary(state) == {"baseline": 0.0, "entropy": entropy, "remembered": 0.0}
    summary = controller.summary(tell(controller, state, NETWORKS[:3], [0.5, 0.6, np.nan]))
    assert summary["baseline"] == pytest.approx(0.55) and summary["remembered"] == 2
    assert all(type(value) is float for value in summary.values())


def test_shapes_are_checked():
    controller, state = build()
    for shape in ((2, 5), (3, 4), (3,)):
        with pytest.raises(ValueError, match=r"dyna: decisions of .*; accepted: \[N, 5\] and \[N"):
            controller.tell(state, Proposals(jnp.zeros(shape, jnp.int32), None), np.zeros(3))


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("members", 0, "1 or more"),
        ("steps", 2.5, "1 or more"),
        ("imagined", -1, "1 or more"),
        ("neighbours", 0, "1 or more"),
        ("patience", 0, "1 or more"),
        ("candidates", 0, "1 or more"),
        ("remembered", 0, "1 or more"),
        ("learning_rate", 0.0, "a number above 0"),
        ("learning_rate", math.nan, "a number above 0"),
        ("temperature", -0.1, "0 or more"),
        ("floor", 1.0, "0 or more, below 1"),
        ("scouts", -0.1, "0 or more, below 1"),
        ("distance", 1.1, "0 to 1"),
    ],
)
def test_settings_are_checked(name, value, accepted):
    with pytest.raises(ValueError, match=f"dyna: {name} = {value!r}; accepted: {accepted}$"):
        Dyna(**{name: value})
