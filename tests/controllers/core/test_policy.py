"""Policies: exact probabilities over a small conditional space, and hand-computed numbers."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.controllers.core.policy import (
    Policy,
    build_policy,
    factorized,
    lstm,
    uniform_log_probs,
)
from mnas.space import OneOf
from tests.controllers.spaces import NETWORKS, SPACE, one_block

EVERY_VECTOR = np.array(list(itertools.product(*map(range, SPACE.sizes))), np.int32)


def jitted(policy):
    return Policy(policy.init, jax.jit(policy.sample, static_argnums=2), jax.jit(policy.evaluate))


POLICIES = {
    "factorized": jitted(factorized(SPACE)),
    "lstm": jitted(lstm(SPACE)),
    "small lstm": jitted(lstm(SPACE, hidden=3, embedding=2)),
    "floor": jitted(factorized(SPACE, floor=0.3)),
}


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]


def noisy(policy, seed=0):
    """Return random parameters, under which no two choices have the same probability."""
    params = policy.init(jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return tree.unflatten([leaf + rng.normal(size=leaf.shape).astype("f") for leaf in leaves])


def test_networks_are_all_canonical_vectors_of_the_space():
    assert SPACE.sizes.tolist() == [2, 2, 3, 2, 2]
    assert len(NETWORKS) == SPACE.cardinality() == 27
    every = {tuple(vector) for vector in SPACE.canonical(EVERY_VECTOR).tolist()}
    assert every == {tuple(vector) for vector in NETWORKS.tolist()}


def test_untrained_policy_is_uniform(policy):
    log_probs, entropies = policy.evaluate(policy.init(jax.random.key(0)), NETWORKS)
    log_sizes = np.where(SPACE.active(NETWORKS), np.log(SPACE.sizes), 0).sum(1)
    np.testing.assert_allclose(log_probs, -log_sizes, rtol=1e-6)
    np.testing.assert_allclose(entropies, log_sizes, rtol=1e-6)


def test_probabilities_of_all_networks_sum_to_one(policy):
    log_probs, _ = policy.evaluate(noisy(policy), NETWORKS)
    probabilities = np.exp(np.asarray(log_probs, np.float64))
    assert probabilities.std() > 0.01
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)


def test_samples_are_canonical_and_follow_the_probabilities_of_evaluate(policy):
    params, n = noisy(policy), 5_000
    decisions, log_probs = policy.sample(params, jax.random.key(1), n)
    assert decisions.shape == (n, 5) and decisions.dtype == jnp.int32
    assert log_probs.shape == (n,) and log_probs.dtype == jnp.float32
    np.testing.assert_array_equal(decisions, SPACE.canonical(decisions))
    np.testing.assert_allclose(log_probs, policy.evaluate(params, decisions)[0], rtol=1e-5)
    expected = np.exp(np.asarray(policy.evaluate(params, NETWORKS)[0]))
    seen = (np.asarray(decisions)[:, None] == NETWORKS[None]).all(-1).mean(0)
    # Five standard errors of a frequency.
    assert np.all(np.abs(seen - expected) < 5 * np.sqrt(expected * (1 - expected) / n) + 1e-4)


def test_mean_entropy_of_samples_estimates_the_policys_entropy(policy):
    params = noisy(policy)
    log_probs, entropies = map(np.asarray, policy.evaluate(params, NETWORKS))
    # Chain rule: E over vectors of Σ H(decision | earlier) = -Σ p log p.
    probabilities = np.exp(log_probs)
    assert probabilities @ entropies == pytest.approx(-probabilities @ log_probs, rel=1e-4)


def test_evaluate_makes_vectors_canonical(policy):
    params = noisy(policy)
    for result, expected in zip(
        policy.evaluate(params, EVERY_VECTOR),
        policy.evaluate(params, SPACE.canonical(EVERY_VECTOR)),
        strict=True,
    ):
        np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_log_probs_and_entropy_by_hand():
    policy = factorized(SPACE)
    params = policy.init(jax.random.key(0))
    # p(op) = 3/4, 1/4; p(expand) = 1/2, 1/2; p(kernel) = 1/6, 2/6, 3/6; the rest 1/2, 1/2.
    logits = jnp.zeros((5, 3)).at[0, 0].set(math.log(3))
    params["logits"] = logits.at[2].set(jnp.log(jnp.array([1.0, 2.0, 3.0])))
    log_probs, entropies = policy.evaluate(params, np.array([[0, 1, 2, 0, 0], [1, 0, 1, 1, 1]]))
    # mbconv, ratio 6, kernel 7, one layer (no skip):  3/4 · 1/2 · 1/2 · 1/2
    # conv (no ratio), kernel 5, two layers, no skip:  1/4 · 1/3 · 1/2 · 1/2
    np.testing.assert_allclose(log_probs, [math.log(3 / 32), math.log(1 / 48)], rtol=1e-6)
    # H(op) = 3/4 ln(4/3) + 1/4 ln 4 = 0.562335;
    # H(kernel) = ln 6 - (2 ln 2 + 3 ln 3) / 6 = 1.011404.
    # In both vectors one of expand and skip is active: two decisions of ln 2 besides.
    np.testing.assert_allclose(entropies, 0.562335 + 1.011404 + 2 * math.log(2), rtol=1e-5)


def test_floor_by_hand():
    policy = POLICIES["floor"]
    params = policy.init(jax.random.key(0))
    params["logits"] = params["logits"].at[2].set(jnp.log(jnp.array([1.0, 2.0, 7.0])))
    # p(kernel) = 0.7 (0.1, 0.2, 0.7) + 0.3 / 3 = 0.17, 0.24, 0.59; the others 1/2.
    kernels = np.array([[0, 0, k, 0, 0] for k in range(3)])
    log_probs, entropies = policy.evaluate(params, kernels)
    np.testing.assert_allclose(np.exp(log_probs), np.array([0.17, 0.24, 0.59]) / 8, rtol=1e-5)
    # H = -0.17 ln 0.17 - 0.24 ln 0.24 - 0.59 ln 0.59 = 0.955049, and of the others ln 2 each
    np.testing.assert_allclose(entropies, 0.955049 + 3 * math.log(2), rtol=1e-5)


def test_no_choice_is_less_likely_than_the_floor():
    policy = POLICIES["floor"]
    params = jax.tree.map(
        lambda leaf: 100 * leaf, noisy(policy)
    )  # deterministic except for the floor
    probabilities = np.exp(np.asarray(policy.evaluate(params, NETWORKS)[0], np.float64))
    assert probabilities.sum() == pytest.approx(1, abs=1e-6)
    active, lowest = SPACE.active(NETWORKS), []
    for d, size in enumerate(SPACE.sizes):
        sums = [probabilities[active[:, d] & (NETWORKS[:, d] == c)].sum() for c in range(size)]
        lowest.append(size * min(sums) / sum(sums))
    np.testing.assert_allclose(lowest, 0.3, rtol=1e-4)
    gradient = jax.grad(lambda params: policy.evaluate(params, NETWORKS)[0].sum())(params)
    assert np.isfinite(gradient["logits"]).all()


def test_inactive_decisions_and_missing_choices_have_no_gradient(policy):
    def score(params):
        log_probs, entropies = policy.evaluate(params, np.array([[1, 0, 2, 0, 0]]))
        return (log_probs + entropies).sum()

    gradients = jax.grad(score)(noisy(policy))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(gradients))
    logits = np.asarray(gradients.get("each", gradients)["logits"])  # the factorized has no "each"
    assert (logits[[1, 4]] == 0).all()  # expand ratio beside conv, skip beside one layer
    assert (logits[[0, 3], :2] != 0).all() and (logits[2] != 0).all()
    assert (logits[[0, 3], 2] == 0).all()  # the third choice of decisions with two


def test_choices_depend_on_earlier_ones_in_lstm_only():
    kernels = np.array([[0, 0, k, 0, 0] for k in range(3)] + [[0, 1, k, 0, 0] for k in range(3)])
    for policy, depends in ((POLICIES["lstm"], True), (POLICIES["factorized"], False)):
        log_probs = np.asarray(policy.evaluate(noisy(policy), kernels)[0])
        after_first, after_second = (p - p[0] for p in (log_probs[:3], log_probs[3:]))
        assert (np.abs(after_first - after_second).max() > 0.01) == depends


def test_a_decision_with_one_choice_is_certain():
    space = one_block(kernel=OneOf(3), repeats=OneOf(1, 2))
    for policy in (factorized(space), lstm(space, 3, 2)):
        log_probs, entropies = policy.evaluate(policy.init(jax.random.key(0)), [[0, 0], [0, 1]])
        np.testing.assert_allclose(log_probs, -math.log(2), rtol=1e-6)
        np.testing.assert_allclose(entropies, math.log(2), rtol=1e-6)


def test_uniform_log_probs_are_those_of_an_untrained_policy():
    policy = factorized(SPACE)
    expected, _ = policy.evaluate(policy.init(jax.random.key(0)), NETWORKS)
    log_probs = uniform_log_probs(SPACE, SPACE.active(NETWORKS))
    np.testing.assert_allclose(log_probs, expected, rtol=1e-6)


def test_policies_are_built_by_name():
    assert build_policy("lstm", SPACE, 7, 5).init(jax.random.key(0))["choice"].shape == (3, 5)
    assert build_policy("factorized", SPACE, 7, 5).init(jax.random.key(0)).keys() == {"logits"}
