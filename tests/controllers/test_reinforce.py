"""REINFORCE against hand-computed numbers."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Proposals
from mnas.controllers.core.policy import factorized, lstm
from mnas.controllers.reinforce import Reinforce
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.space import OneOf, Space
from tests.controllers.spaces import TWO

pytestmark = pytest.mark.promotes_dtypes  # optax does


def tell(controller, state, decisions, rewards):
    decisions = np.array(decisions, np.int32)
    log_probs = np.zeros(len(decisions), np.float32)
    return controller.tell(state, Proposals(decisions, log_probs), np.array(rewards, np.float32))


def gradient(state):
    """Return the latest gradient of the logits: Adam's first moment for b1 = 0."""
    return np.asarray(state.optimizer[0].mu["logits"])


def untrained(**settings):
    """Return a controller of tiny learning rate, whose choices stay uniform, and its state."""
    controller = Reinforce(policy="factorized", learning_rate=1e-9, **settings).build(TWO)
    return controller, controller.init(jax.random.key(0))


def test_gradient_by_hand():
    controller, state = untrained()
    state = tell(controller, state, [[0, 0], [0, 1], [1, 2], [1, 2]], [0.5, 0.5, 0.5, 0.9])
    # b = 0.6; R - b = -0.1, -0.1, -0.1, 0.3; root mean square sqrt(0.12 / 4) = 0.173205;
    # A = -0.577350, -0.577350, -0.577350, 1.732051. They sum to 0, so -1/4 Σ A (onehot - p) is
    # kernel  -1/4 (-1.154701, -0.577350 + 1.732051)             = ( 0.288675, -0.288675)
    # layers  -1/4 (-0.577350, -0.577350, -0.577350 + 1.732051)  = ( 0.144338, 0.144338, -0.288675)
    expected = [[0.288675, -0.288675, 0], [0.144338, 0.144338, -0.288675]]
    np.testing.assert_allclose(gradient(state), expected, atol=2e-6)
    assert float(state.baseline) == pytest.approx(0.6)
    # Adam's first step is -learning rate · sign(gradient).
    np.testing.assert_allclose(state.params["logits"], -1e-9 * np.sign(expected), rtol=1e-3, atol=0)


def test_baseline_and_gradient_by_hand_over_two_updates():
    controller, state = untrained(baseline_decay=0.5)
    state = tell(controller, state, [[0, 0], [1, 0]], [0.5, 0.7])
    assert float(state.baseline) == pytest.approx(0.6)
    state = tell(controller, state, [[0, 0], [1, 0]], [0.8, 1.0])
    # b = (1 - 0.5) / (1 - 0.5²) · (0.5 · 0.6 + 0.9) = 2/3 · 1.2 = 0.8
    assert float(state.baseline) == pytest.approx(0.8)
    # R - b = 0, 0.2; root mean square sqrt(0.04 / 2) = 0.141421; A = 0, 1.414214
    # kernel  -1/2 · 1.414214 ((0, 1) - (1/2, 1/2))              = (0.353553, -0.353553)
    # layers  -1/2 · 1.414214 ((1, 0, 0) - (1/3, 1/3, 1/3))      = (-0.471405, 0.235702, 0.235702)
    expected = [[0.353553, -0.353553, 0], [-0.471405, 0.235702, 0.235702]]
    np.testing.assert_allclose(gradient(state), expected, atol=1e-5)
    assert int(state.updates) == 2


def test_entropy_bonus_by_hand():
    controller, state = untrained(entropy_weight=0.5)
    logits = jnp.zeros((2, 3)).at[0, 0].set(math.log(3.0))
    state = state._replace(params={"logits": logits})
    state = tell(controller, state, [[0, 0], [1, 1]], [0.6, 0.6])  # equal rewards: A = 0
    # p(kernel) = 3/4, 1/4: H = 3/4 ln(4/3) + 1/4 ln 4 = 0.562335; H(layers) = ln 3 = 1.098612
    assert float(state.entropy) == pytest.approx(0.562335 + 1.098612, rel=1e-5)
    # -1/2 dH/dz_i = 1/2 p_i (ln p_i + H): 3/8 (-0.287682 + 0.562335) = 0.102995, and the opposite
    np.testing.assert_allclose(gradient(state), [[0.102995, -0.102995, 0], [0, 0, 0]], atol=1e-5)


def test_bad_rewards_are_ignored():
    controller, state = untrained()
    good = tell(controller, state, [[0, 0], [1, 2]], [0.5, 0.7])
    mixed = tell(
        controller,
        state,
        [[0, 1], [0, 0], [1, 1], [1, 2], [0, 2]],
        [np.nan, 0.5, np.inf, 0.7, -np.inf],
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), good, mixed)
    nothing = tell(controller, good, [[0, 1], [1, 1]], [np.nan, np.inf])
    jax.tree.map(np.testing.assert_array_equal, good, nothing)


def test_equal_rewards_have_no_gradient_despite_rounding():
    controller, state = untrained()
    for reward in (0.1, 0.1, 1 / 3, 1 / 3, 0.0):
        state = tell(controller, controller.init(jax.random.key(0)), [[0, 0]] * 7, [reward] * 7)
        assert np.abs(gradient(state)).max() < 0.1
        assert math.isfinite(float(state.baseline))


def test_reward_scale_and_offset_do_not_matter():
    controller = Reinforce(policy="factorized", entropy_weight=0.1).build(TWO)
    states = []
    for scale, offset in ((1.0, 0.0), (0.01, 0.6)):
        state = controller.init(jax.random.key(0))
        for rewards in ([0.1, 0.9, 0.4], [0.5, 0.7, 0.3]):
            rewards = scale * np.array(rewards) + offset
            state = tell(controller, state, [[0, 0], [1, 2], [1, 1]], rewards)
        states.append(state.params)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-3), *states)


def test_logits_of_choices_inactive_in_a_batch_are_unchanged():
    space = Space(
        "conditional",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    kernel=OneOf(3, 5),
                    repeats=OneOf(1, 2),
                    skip=OneOf("identity", "none", when={"repeats": [2]}),
                    filters=24,
                    stride=2,
                ),
            ),
        ),
    )
    controller = Reinforce(policy="factorized").build(space)
    state = tell(controller, controller.init(jax.random.key(0)), [[0, 1, 0], [1, 1, 1]], [0.5, 0.7])
    before = np.asarray(state.params["logits"])
    state = tell(controller, state, [[0, 0, 0], [1, 0, 0]], [0.5, 0.7])
    after = np.asarray(state.params["logits"])
    assert (before[2] != 0).all() and (after[2] == before[2]).all()
    assert (after[0] != before[0]).all()


def test_summary_is_plain_floats():
    controller, state = untrained()
    assert controller.summary(state) == {
        "baseline": 0.0,
        "entropy": pytest.approx(math.log(6)),
        "updates": 0.0,
    }
    summary = controller.summary(tell(controller, state, [[0, 0], [1, 2]], [0.5, 0.7]))
    assert summary["baseline"] == pytest.approx(0.6) and summary["updates"] == 1
    assert all(type(value) is float for value in summary.values())


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("policy", "mlp", "lstm, factorized"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", math.nan, "above 0"),
        ("b1", 1.0, "below 1"),
        ("b2", -0.1, "below 1"),
        ("baseline_decay", 1.0, "below 1"),
        ("entropy_weight", -1e-5, "at least 0"),
        ("hidden", 0, "at least 1"),
        ("embedding", 2.5, "at least 1"),
        ("hidden", 10**9, "at most 16,384"),
        ("learning_rate", 1e308, "at most 1,000"),
    ],
)
def test_settings_out_of_range_are_rejected(name, value, accepted):
    with pytest.raises(ValueError, match=f"reinforce: {name} = .*; accepted: .*{accepted}"):
        Reinforce(**{name: value})


@pytest.mark.parametrize("policy", ["lstm", "factorized"])
def test_learns_from_64_samples(policy):
    """Batches of 8; noise of half the standard deviation of the choices' effects."""
    space = AccelNasbenchSpace().build()
    controller = Reinforce(policy=policy).build(space)
    gains = []
    for seed in range(10):
        key, rng = jax.random.key(seed), np.random.default_rng(seed)
        effects = rng.normal(size=space.accepted.shape[::2])  # [D, M]
        effects -= np.where(np.arange(effects.shape[1]) < space.sizes[:, None], effects, 0).mean()
        state, means = controller.init(key), []
        for step in range(8):
            proposals = controller.ask(state, jax.random.fold_in(key, step), 8)
            signal = effects[np.arange(28), np.asarray(proposals.decisions)].sum(1)
            rewards = 0.6 + 0.01 * (signal + 2.0 * rng.normal(size=8))
            state = controller.tell(state, proposals, rewards.astype(np.float32))
            means.append(signal.mean())
        gains.append(np.mean(means[-2:]) - np.mean(means[:2]))
    assert np.mean(np.array(gains) > 0) >= 0.9 and np.mean(gains) > 2


def test_policy_is_built_by_name_and_sizes():
    for name, policy in (("lstm", lstm(TWO, 7, 5)), ("factorized", factorized(TWO))):
        controller = Reinforce(policy=name, hidden=7, embedding=5).build(TWO)
        params = policy.init(jax.random.key(3))
        jax.tree.map(
            np.testing.assert_array_equal, controller.init(jax.random.key(3)).params, params
        )
