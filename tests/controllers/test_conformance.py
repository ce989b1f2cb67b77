"""Every registered controller satisfies the contract of `mnas.controller`, and learns."""

import jax
import numpy as np
import pytest

from mnas.controllers import Dyna, Evolution, Exhaustive, Ppo, RandomSearch, Reinforce
from mnas.controllers.core.policy import factorized, lstm
from mnas.search_spaces import AccelNasbenchSpace, EfficientNetSpace
from mnas.testing import check_controller
from tests.parts import registered

CONFIGS = {
    # Smaller than by default, for speed.
    "dyna": Dyna(members=8, candidates=128, observations=128),
    "reinforce-lstm": Reinforce(policy="lstm"),
    "reinforce-factorized": Reinforce(policy="factorized"),
    "ppo-lstm": Ppo(policy="lstm"),
    "ppo-factorized": Ppo(policy="factorized"),
    "evolution": Evolution(),  # random samples throughout most of the checks
    "evolution-small": Evolution(population=16, tournament=4),  # mutations from batch 3 on
    "random": RandomSearch(),
    "exhaustive": Exhaustive(),
}
LEARNING = [name for name in CONFIGS if name not in ("random", "exhaustive")]
POLICIES = {"factorized": factorized, "lstm": lstm}
POLICY = [name for name, config in CONFIGS.items() if isinstance(config, Reinforce | Ppo)]
UNIFORM = [name for name in CONFIGS if name not in POLICY and name != "dyna"]

SPACE = EfficientNetSpace().build()  # D = 42, with conditions
N = 12


pytestmark = pytest.mark.promotes_dtypes  # optax does


@pytest.fixture(scope="module")
def controllers():
    """Controllers by name, each built once: building compiles."""
    return {name: config.build(SPACE) for name, config in CONFIGS.items()}


def key(seed):
    return jax.random.key(seed)


def updated(controller, state, seeds):
    for seed in seeds:
        proposals = controller.ask(state, key(seed), N)
        rewards = 0.6 + 0.01 * np.cos(np.asarray(proposals.decisions)).sum(1)
        state = controller.tell(state, proposals, rewards.astype(np.float32))
    return state


def test_every_registered_controller_is_covered():
    assert set(map(type, CONFIGS.values())) == set(registered("controller").values())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_controllers_conform(config):
    check_controller(config, SPACE, N)


@pytest.mark.parametrize("name", CONFIGS)
def test_proposals_of_a_batch_are_diverse_and_depend_on_the_key(name, controllers):
    controller = controllers[name]
    state = updated(controller, controller.init(key(0)), range(2))
    decisions = np.asarray(controller.ask(state, key(9), N).decisions)
    assert len(np.unique(decisions, axis=0)) > N // 2
    same = np.array_equal(decisions, controller.ask(state, key(10), N).decisions)
    assert same == (name == "exhaustive")  # the only controller without randomness


@pytest.mark.parametrize("name", POLICY)
def test_log_probs_are_those_of_the_proposing_policy(name, controllers):
    policy = POLICIES[CONFIGS[name].policy](SPACE)
    state = updated(controllers[name], controllers[name].init(key(0)), range(3))
    proposals = controllers[name].ask(state, key(1), N)
    log_probs, _ = policy.evaluate(state.params, proposals.decisions)
    np.testing.assert_allclose(proposals.log_probs, log_probs, rtol=1e-4)


@pytest.mark.parametrize("name", UNIFORM)
def test_log_probs_without_a_policy_are_those_of_uniform_choices(name, controllers):
    uniform = factorized(SPACE)
    for batches in range(3):
        state = updated(controllers[name], controllers[name].init(key(0)), range(batches))
        proposals = controllers[name].ask(state, key(1), N)
        log_probs, _ = uniform.evaluate(uniform.init(key(0)), proposals.decisions)
        np.testing.assert_allclose(proposals.log_probs, log_probs, rtol=1e-5)


@pytest.mark.parametrize("name", LEARNING)
def test_a_planted_optimum_is_learned(name):
    """Reward is the fraction of 28 decisions as planted: from 0.44 to 0.8 in 640 samples."""
    space = AccelNasbenchSpace().build()
    controller = CONFIGS[name].build(space)
    planted = space.sample(np.random.default_rng(3))
    state, means = controller.init(key(3)), []
    for step in range(40):
        proposals = controller.ask(state, key(step), 16)
        rewards = (np.asarray(proposals.decisions) == planted).mean(1).astype(np.float32)
        state = controller.tell(state, proposals, rewards)
        means.append(rewards.mean())
    assert np.mean(means[:2]) < 0.55
    assert np.mean(means[-5:]) > 0.8
