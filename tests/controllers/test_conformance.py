"""What every controller promises (`mnas.controller`). A new one joins by its lines in `CONFIGS`."""

import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controller import Proposals
from mnas.controllers.core.policy import factorized, lstm
from mnas.controllers.dyna import Dyna
from mnas.controllers.evolution import Evolution
from mnas.controllers.exhaustive import Exhaustive
from mnas.controllers.ppo import Ppo
from mnas.controllers.random_search import RandomSearch
from mnas.controllers.reinforce import Reinforce
from mnas.experiment import registry
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.search_spaces.efficientnet import EfficientNetSpace

CONFIGS = {
    # Smaller than by default, to be quick; the contract is the same.
    "dyna": Dyna(members=8, candidates=128, observations=128),
    "reinforce-lstm": Reinforce(policy="lstm"),
    "reinforce-factorized": Reinforce(policy="factorized"),
    "ppo-lstm": Ppo(policy="lstm"),
    "ppo-factorized": Ppo(policy="factorized"),
    "evolution": Evolution(),  # random samples in most of what follows
    "evolution-small": Evolution(population=16, tournament=4),  # mutations from the third batch on
    "random": RandomSearch(),
    "exhaustive": Exhaustive(),
}
LEARN = [
    name for name in CONFIGS if name not in ("random", "exhaustive")
]  # must find a planted optimum
MIXTURE = ["dyna"]  # log_probs of a distribution that has no name in `policy`
POLICY = [name for name, config in CONFIGS.items() if hasattr(config, "policy")]

SPACE = EfficientNetSpace().build()  # D = 42, with conditions
N = 12


@pytest.fixture(autouse=True)
def strict():
    with jax.numpy_rank_promotion("raise"):  # optax itself needs dtype promotion
        yield


@pytest.fixture(scope="module")
def controllers():
    """Built once: a controller compiles for every space and batch size."""
    return {name: config.build(SPACE) for name, config in CONFIGS.items()}


@pytest.fixture(params=CONFIGS)
def controller(request, controllers):
    return controllers[request.param]


def key(seed):
    return jax.random.key(seed)


def reward(proposals):
    """A smooth reward near 0.6 in which every decision counts."""
    return (0.6 + 0.01 * np.cos(np.asarray(proposals.decisions)).sum(1)).astype(np.float32)


def run(controller, state, seeds):
    for seed in seeds:
        proposals = controller.ask(state, key(seed), N)
        state = controller.tell(state, proposals, reward(proposals))
    return state


def assert_same(one, other, **tolerance):
    compare = (
        partial(np.testing.assert_allclose, **tolerance)
        if tolerance
        else np.testing.assert_array_equal
    )
    jax.tree.map(compare, one, other)


def assert_finite(state):
    for leaf in jax.tree.leaves(state):
        assert jnp.issubdtype(leaf.dtype, jnp.integer) or bool(jnp.isfinite(leaf).all())


def test_every_controller_is_here():
    assert set(map(type, CONFIGS.values())) == {
        entry.load() for entry in registry.entries("controller").values()
    }


def test_proposals(controller):
    state = run(controller, controller.init(key(0)), range(2))
    proposals = controller.ask(state, key(1), N)
    assert isinstance(proposals, Proposals)
    assert proposals.decisions.shape == (N, 42) and proposals.decisions.dtype == jnp.int32
    assert proposals.log_probs.shape == (N,) and proposals.log_probs.dtype == jnp.float32
    np.testing.assert_array_equal(proposals.decisions, SPACE.canonical(proposals.decisions))
    assert bool((proposals.log_probs <= 0).all()) and bool(jnp.isfinite(proposals.log_probs).all())
    assert len(np.unique(proposals.decisions, axis=0)) > N // 2


@pytest.mark.parametrize("name", POLICY)
def test_log_probs_are_those_of_the_policy_that_proposed(name, controllers):
    policy = {"factorized": factorized, "lstm": lstm}[CONFIGS[name].policy](SPACE)
    state = run(controllers[name], controllers[name].init(key(0)), range(3))
    proposals = controllers[name].ask(state, key(1), N)
    log_probs, _ = policy.evaluate(state.params, proposals.decisions)
    np.testing.assert_allclose(proposals.log_probs, log_probs, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in POLICY + MIXTURE])
def test_log_probs_without_a_policy_are_those_of_uniform_choices(name, controllers):
    uniform = factorized(SPACE)
    for batches in range(3):
        state = run(controllers[name], controllers[name].init(key(0)), range(batches))
        proposals = controllers[name].ask(state, key(1), N)
        log_probs, _ = uniform.evaluate(uniform.init(key(0)), proposals.decisions)
        np.testing.assert_allclose(proposals.log_probs, log_probs, rtol=1e-5)


def test_state_is_a_pytree_of_arrays_that_keeps_its_form(controller):
    first = controller.init(key(0))
    last = run(controller, first, range(2))
    assert jax.tree.structure(first) == jax.tree.structure(last)
    for before, after in zip(jax.tree.leaves(first), jax.tree.leaves(last), strict=True):
        assert isinstance(after, jax.Array)
        assert (before.shape, before.dtype) == (after.shape, after.dtype)


@pytest.mark.parametrize("name", CONFIGS)
def test_same_keys_same_everything(name, controllers):
    controller = controllers[name]
    one, other = (run(controller, controller.init(key(5)), range(3)) for _ in range(2))
    assert_same(one, other)
    assert_same(controller.ask(one, key(9), N), controller.ask(other, key(9), N))
    others = controller.ask(one, key(10), N).decisions
    same = np.array_equal(controller.ask(one, key(9), N).decisions, others)
    assert same == (name == "exhaustive")  # the one that draws nothing


def test_functions_are_pure(controller):
    state = run(controller, controller.init(key(0)), range(2))
    saved = jax.tree.map(np.array, state)
    run(controller, state, range(2))
    assert_same(state, saved)


def test_order_within_a_batch_does_not_matter(controller):
    state = run(controller, controller.init(key(0)), range(2))
    proposals = controller.ask(state, key(7), N)
    rewards, order = reward(proposals), np.random.default_rng(0).permutation(N)
    shuffled = jax.tree.map(lambda leaf: leaf[order], proposals)
    one = controller.tell(state, proposals, rewards)
    other = controller.tell(state, shuffled, rewards[order])
    assert_same(one, other, rtol=1e-3, atol=1e-5)


def test_save_and_restore_in_the_middle(controller):
    middle = run(controller, controller.init(key(0)), range(2))
    end = run(controller, middle, range(2, 5))
    leaves, tree = jax.tree.flatten(middle)
    saved = pickle.dumps([np.asarray(leaf) for leaf in leaves])
    restored = tree.unflatten([jnp.asarray(leaf) for leaf in pickle.loads(saved)])
    assert_same(run(controller, restored, range(2, 5)), end)
    assert_same(run(controller, pickle.loads(pickle.dumps(middle)), range(2, 5)), end)


def test_batches_of_others(controller):
    rng = np.random.default_rng(0)
    state = controller.init(key(0))
    for n in (1, N):
        decisions = np.stack([SPACE.sample(rng) for _ in range(n)])
        proposals = Proposals(decisions, np.full(n, -30.0, np.float32))
        state = controller.tell(state, proposals, reward(proposals))
    assert_finite(state)
    assert int(controller.ask(state, key(0), N).decisions.max()) > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_no_numbers(controller, bad):
    state = run(controller, controller.init(key(0)), range(2))
    proposals = controller.ask(state, key(7), N)
    rewards = reward(proposals)
    rewards[::3] = bad
    assert_finite(controller.tell(state, proposals, rewards))
    nothing = controller.tell(state, proposals, np.full(N, bad, np.float32))
    assert_finite(nothing)
    assert_same(controller.ask(nothing, key(8), N), controller.ask(state, key(8), N))


def test_summary(controller):
    for state in (controller.init(key(0)), run(controller, controller.init(key(0)), range(2))):
        summary = controller.summary(state)
        assert all(type(name) is str and type(value) is float for name, value in summary.items())
        assert np.isfinite(list(summary.values())).all()


@pytest.mark.parametrize("name", LEARN)
def test_a_planted_optimum_is_learned(name):
    """640 samples, reward the share of 28 decisions made as planted: from 0.44 to 0.8."""
    space = AccelNasbenchSpace().build()
    controller = CONFIGS[name].build(space)
    planted = space.sample(np.random.default_rng(3))
    state, shares = controller.init(key(3)), []
    for step in range(40):
        proposals = controller.ask(state, key(step), 16)
        rewards = (np.asarray(proposals.decisions) == planted).mean(1).astype(np.float32)
        state = controller.tell(state, proposals, rewards)
        shares.append(rewards.mean())
    assert np.mean(shares[:2]) < 0.55
    assert np.mean(shares[-5:]) > 0.8
