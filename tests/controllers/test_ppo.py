"""PPO against hand-computed numbers and a NumPy reference."""

import functools
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controller import Proposals
from mnas.controllers.ppo import Ppo
from mnas.controllers.reinforce import Reinforce
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from tests.controllers.spaces import TWO

pytestmark = pytest.mark.promotes_dtypes  # optax does


@functools.cache  # building compiles
def build(**settings):
    """Return a controller and its initial state."""
    settings = {"policy": "factorized", "gradient_norm": 1e6, **settings}
    controller = Ppo(**settings).build(TWO)
    return controller, controller.init(jax.random.key(0))


def tell(controller, state, decisions, rewards, ratios=1.0):
    """Tell a batch with log-probabilities such that uniform choices have these ratios."""
    decisions = np.array(decisions, np.int32)
    log_probs = np.log(1 / 6 / np.broadcast_to(ratios, len(decisions))).astype(np.float32)
    return controller.tell(state, Proposals(decisions, log_probs), np.array(rewards, np.float32))


def gradient(state):
    """Return the latest gradient: Adam's first moment for b1 = 0."""
    return state.optimizer[1][0].mu


def logits(state):
    return np.asarray(state.params["logits"])


FOUR = [[0, 0], [0, 1], [1, 2], [1, 0]], [0.7, 0.5, 0.7, 0.5]  # A = 1, -1, 1, -1


def test_clipped_gradient_by_hand():
    controller, state = build(epochs=1, clip=0.2)
    state = tell(controller, state, *FOUR, ratios=[1.5, 1.5, 0.5, 0.5])
    # The first and the last are clipped: r A = 0, -1.5, 0.5, 0 have a gradient.
    # -1/4 Σ r A (onehot - p) is
    # kernel  -1/4 (-1.5 (1/2, -1/2) + 0.5 (-1/2, 1/2))
    # layers  -1/4 (-1.5 (-1/3, 2/3, -1/3) + 0.5 (-1/3, -1/3, 2/3))
    expected = [[0.25, -0.25, 0], [-0.083333, 0.291667, -0.208333]]
    np.testing.assert_allclose(gradient(state)["logits"], expected, atol=5e-6)
    assert float(state.baseline) == pytest.approx(0.6)
    assert float(state.entropy) == pytest.approx(math.log(6), rel=1e-6)


@pytest.mark.parametrize("policy", ["lstm", "factorized"])
def test_first_gradient_is_that_of_reinforce(policy):
    settings = {"policy": policy, "hidden": 5, "embedding": 3, "entropy_weight": 0.1}
    ppo = Ppo(epochs=1, gradient_norm=1e6, **settings).build(TWO)
    reinforce = Reinforce(**settings).build(TWO)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: leaf + rng.normal(size=leaf.shape).astype("f"),
        ppo.init(jax.random.key(0)).params,
    )
    one = ppo.init(jax.random.key(0))._replace(params=params)
    other = reinforce.init(jax.random.key(0))._replace(params=params)
    proposals = ppo.ask(one, jax.random.key(1), 9)
    rewards = rng.normal(size=9).astype(np.float32)
    one, other = (c.tell(s, proposals, rewards) for c, s in ((ppo, one), (reinforce, other)))
    moments = gradient(one), other.optimizer[0].mu
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6), *moments)
    for name in ("baseline", "entropy", "updates"):
        assert float(getattr(one, name)) == pytest.approx(float(getattr(other, name)), rel=1e-5)


def reference(batches, rate, epochs, clip, weight, decay, norm):
    """Return the logits [2, 3] after batches of (decisions, rewards, log_probs), in float64."""
    theta, square, t, baseline = np.zeros((2, 3)), np.zeros((2, 3)), 0, 0.0
    exists = np.array([[True, True, False], [True, True, True]])
    for number, (decisions, rewards, old) in enumerate(batches, start=1):
        weights = np.array([(1 - decay) * decay ** (number - i) for i in range(1, number + 1)])
        means = [np.mean(batch[1]) for batch in batches[:number]]
        baseline = weights @ means / weights.sum()
        advantages = rewards - baseline
        advantages = advantages / np.sqrt((advantages**2).mean())
        onehot = np.eye(3)[decisions]  # [N, 2, 3]
        for _ in range(epochs):
            p = np.where(exists, np.exp(theta), 0)
            p /= p.sum(1, keepdims=True)
            log_p = np.log(np.where(exists, p, 1))
            ratios = np.exp((onehot * log_p).sum((1, 2)) - old)
            unclipped = np.where(advantages > 0, ratios < 1 + clip, ratios > 1 - clip)
            pull = (unclipped * ratios * advantages)[:, None, None] * (onehot - p)
            entropies = -(p * log_p).sum(1, keepdims=True)
            g = -pull.mean(0) + weight * p * (log_p + entropies)  # dH/dz = -p (log p + H)
            g *= min(1, norm / np.sqrt((g**2).sum()))
            t, square = t + 1, 0.999 * square + 0.001 * g**2
            theta = theta - rate * g / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
    return theta


@pytest.mark.parametrize("norm", [1e6, 0.1])
def test_several_epochs_and_batches_equal_the_numpy_reference(norm):
    settings = {"epochs": 5, "clip": 0.3, "entropy_weight": 0.05, "baseline_decay": 0.6}
    controller, state = build(learning_rate=0.05, gradient_norm=norm, **settings)
    rng, batches = np.random.default_rng(1), []
    for step in range(3):
        proposals = controller.ask(state, jax.random.key(step), 6)
        rewards = rng.normal(0.6, 0.1, 6).astype(np.float32)
        state = controller.tell(state, proposals, rewards)
        batches.append((np.asarray(proposals.decisions), rewards, np.asarray(proposals.log_probs)))
    expected = reference(batches, 0.05, 5, 0.3, 0.05, 0.6, norm)
    assert np.abs(expected).max() > 0.15
    np.testing.assert_allclose(logits(state), expected, atol=5e-4)


def ratio(state, decisions):
    """Return the probability relative to that of uniform choices."""
    log_p = jax.nn.log_softmax(jnp.where(jnp.array([[1, 1, 0], [1, 1, 1]]), logits(state), -1e9))
    return float(jnp.exp(log_p[0, decisions[0]] + log_p[1, decisions[1]])) * 6


def test_clipped_ratios_stop_changing():
    batch = [[0, 0], [1, 1]], [0.7, 0.5]
    learned = {}
    for clip, epochs in ((0.2, 1), (0.2, 20), (0.2, 200), (0.6, 200)):
        controller, state = build(epochs=epochs, clip=clip, learning_rate=0.01)
        learned[clip, epochs] = tell(controller, state, *batch)
    np.testing.assert_array_equal(logits(learned[0.2, 20]), logits(learned[0.2, 200]))
    assert ratio(learned[0.2, 1], [0, 0]) < 1.1
    # One step of 0.01 changes a log-probability by 0.02 at most.
    assert 1.2 <= ratio(learned[0.2, 200], [0, 0]) < 1.2 * 1.04
    assert 0.8 >= ratio(learned[0.2, 200], [1, 1]) > 0.8 / 1.04
    assert ratio(learned[0.6, 200], [0, 0]) >= 1.6


def test_gradients_are_clipped_to_the_norm():
    (small, state), (large, _) = build(epochs=1, gradient_norm=0.125), build(epochs=1)
    short, full = (gradient(tell(c, state, *FOUR))["logits"] for c in (small, large))
    assert float(jnp.linalg.norm(full)) > 0.3
    assert float(jnp.linalg.norm(short)) == pytest.approx(0.125, rel=1e-5)
    np.testing.assert_allclose(short / 0.125, full / jnp.linalg.norm(full), atol=1e-6)


def test_proposals_with_extreme_ratios_have_no_gradient():
    controller, state = build(learning_rate=0.1)
    rewards = [0.7, 0.5, 0.7, 0.5]
    far = tell(controller, state, FOUR[0], rewards, ratios=[1e30, 1e30, 11.0, 11.0])
    np.testing.assert_array_equal(logits(far), 0)
    gone = tell(controller, state, FOUR[0], rewards, ratios=1e-30)
    assert np.isfinite(logits(gone)).all()
    # A ratio of 5 has one: the second network's negative advantage.
    near = tell(controller, state, FOUR[0], rewards, ratios=[1e30, 5.0, 1e30, 1e30])
    assert logits(near)[0, 0] < 0 < logits(near)[0, 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_rewards_and_log_probs_are_ignored(bad):
    controller, state = build(learning_rate=0.1)
    good = tell(controller, state, [[0, 0], [1, 2]] * 2, [0.5, 0.7] * 2)
    decisions = np.array([[0, 1], [0, 0], [1, 1], [1, 2]], np.int32)
    log_probs = np.array([-1.8, -math.log(6), bad, -math.log(6)], np.float32)
    rewards = np.array([bad, 0.5, 0.9, 0.7], np.float32)
    mixed = controller.tell(state, Proposals(decisions, log_probs), rewards)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), good, mixed)
    nothing = Proposals(decisions, np.where([0, 1, 0, 1], bad, log_probs))
    after = controller.tell(good, nothing, np.where([1, 0, 1, 0], bad, rewards))
    jax.tree.map(np.testing.assert_array_equal, good, after)


def test_equal_rewards_have_no_gradient_despite_rounding():
    controller, state = build(epochs=1)
    for reward in (0.1, 1 / 3, 0.0):
        after = tell(controller, state, [[0, 0]] * 7, [reward] * 7)
        assert np.abs(gradient(after)["logits"]).max() < 0.1
        assert np.isfinite(logits(after)).all()


def test_summary_is_plain_floats():
    controller, state = build(learning_rate=0.1)
    entropy = pytest.approx(math.log(6))
    assert controller.summary(state) == {"baseline": 0.0, "entropy": entropy, "updates": 0.0}
    summary = controller.summary(tell(controller, state, *FOUR))
    assert summary == {"baseline": pytest.approx(0.6), "entropy": entropy, "updates": 1.0}
    assert all(type(value) is float for value in summary.values())


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("policy", "mlp", "lstm, factorized"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", math.nan, "above 0"),
        ("b1", 1.0, "below 1"),
        ("b2", -0.1, "below 1"),
        ("epochs", 0, "at least 1"),
        ("epochs", 2.5, "at least 1"),
        ("clip", 3, "above 0, below 1"),
        ("clip", 0.0, "above 0, below 1"),
        ("baseline_decay", 1.0, "below 1"),
        ("entropy_weight", -1e-5, "at least 0"),
        ("gradient_norm", 0.0, "above 0"),
        ("gradient_norm", math.inf, "above 0"),
        ("hidden", 0, "at least 1"),
        ("embedding", 2.5, "at least 1"),
    ],
)
def test_settings_out_of_range_are_rejected(name, value, accepted):
    with pytest.raises(ValueError, match=f"ppo: {name} = .*; accepted: .*{accepted}"):
        Ppo(**{name: value})


def test_learns_from_noisy_rewards():
    """320 samples in batches of 16; noise of half the standard deviation of random networks."""
    space = AccelNasbenchSpace().build()
    controller = Ppo(policy="factorized").build(space)
    gains = []
    for seed in range(4):
        key, rng = jax.random.key(seed), np.random.default_rng(seed)
        effects = rng.normal(size=space.accepted.shape[::2])  # [D, M]
        state, means = controller.init(key), []
        for step in range(20):
            proposals = controller.ask(state, jax.random.fold_in(key, step), 16)
            signal = effects[np.arange(28), np.asarray(proposals.decisions)].sum(1)
            rewards = 0.6 + 0.01 * (signal + 2.0 * rng.normal(size=16))
            state = controller.tell(state, proposals, rewards.astype(np.float32))
            means.append(signal.mean())
        gains.append(np.mean(means[-2:]) - np.mean(means[:2]))
    # Random networks have a standard deviation of about 4.
    assert min(gains) > 8, gains
