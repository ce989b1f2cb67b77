"""Smoothing of noisy measurements by a Gaussian process over decisions and covariates."""

import itertools

import numpy as np
import pytest
from scipy import stats

from mnas.loop import smoothing
from mnas.loop.smoothing import covariates, posterior_means

GRID = np.array(list(itertools.product(range(3), repeat=5)))  # [243, 5]
EFFECTS = np.random.default_rng(0).normal(size=(5, 3))
# With an interaction of a pair, which a model of single choices cannot represent.
TRUE = EFFECTS[np.arange(5), GRID].sum(1) + 2 * (GRID[:, 0] == 1) * (GRID[:, 1] == 2)
NONE = np.zeros((len(GRID), 0))  # no covariates


def noisy(seed, std=1.0):
    return TRUE + std * TRUE.std() * np.random.default_rng(seed).normal(size=len(TRUE))


def test_covariates_by_hand():
    found = covariates(np.array([1e6, 0]), np.array([10, 100]), np.array([3, 4]))
    np.testing.assert_allclose(found, [[np.log(1e6), np.log(10), 3], [0, np.log(100), 4]])


def test_values_without_noise_are_reproduced():
    assert np.abs(posterior_means(GRID, NONE, TRUE) - TRUE).max() < 0.05 * TRUE.std()


@pytest.mark.parametrize("seed", range(2))
def test_noise_is_removed(seed):
    measured = noisy(seed)
    means = posterior_means(GRID, NONE, measured)
    assert np.abs(means - TRUE).mean() < 0.5 * np.abs(measured - TRUE).mean()
    assert TRUE[means.argmax()] > np.quantile(TRUE, 0.9)


@pytest.mark.parametrize("seed", range(3))
def test_covariates_rank_networks_that_share_no_decision(seed):
    """Where decisions say nothing, or there are none, values that depend on costs are smoothed."""
    rng = np.random.default_rng(seed)
    known = rng.normal(size=(60, 3))
    true = known @ [1.0, -0.5, 2.0]
    measured = true + 2 * true.std() * rng.normal(size=60)
    for decisions in (np.arange(60)[:, None], np.zeros((60, 0), int)):
        tau = stats.kendalltau(posterior_means(decisions, known, measured), true).statistic
        assert tau > stats.kendalltau(measured, true).statistic + 0.2


def test_means_of_many_measurements_are_trusted_more():
    """Two equal outliers: the one that was measured 50 times stays nearer to its value."""
    measured = noisy(1)
    counts = np.ones(len(measured))
    for index in (40, 200):
        measured[index] = TRUE[index] + 3 * TRUE.std()
    counts[40] = 50
    error = np.abs(posterior_means(GRID, NONE, measured, counts) - measured)
    plain = np.abs(posterior_means(GRID, NONE, measured) - measured)
    assert error[40] < 0.5 * plain[40] and error[200] == pytest.approx(plain[200], rel=0.2)


def test_smoothing_is_equivariant_to_scale_and_offset():
    measured = noisy(0)
    assert posterior_means(GRID, NONE, 1e-3 * measured + 0.7) == pytest.approx(
        1e-3 * posterior_means(GRID, NONE, measured) + 0.7
    )
    known = GRID[:, :2].astype(float)
    assert posterior_means(GRID, 1e3 * known + 5, measured) == pytest.approx(
        posterior_means(GRID, known, measured)
    )


def test_one_outlier_does_not_change_the_model():
    broken = TRUE.copy()
    broken[7] = -1e6
    others = np.arange(len(TRUE)) != 7
    found = posterior_means(GRID, NONE, broken)[others]
    assert np.corrcoef(found, TRUE[others])[0, 1] > 0.9


def test_equal_latest_values_are_returned_unchanged(monkeypatch):
    monkeypatch.setattr(smoothing, "LARGEST", 3)
    values = np.array([0.1, 0.5, 0.5, 0.5])
    assert posterior_means(GRID[:4], NONE[:4], values).tolist() == [-np.inf, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.7], [0.5, 0.5, 0.5]])
def test_few_or_equal_values_are_returned_unchanged(values):
    count = len(values)
    assert posterior_means(GRID[:count], NONE[:count], np.array(values)).tolist() == values


def test_model_is_fitted_to_the_latest_networks_only(monkeypatch):
    monkeypatch.setattr(smoothing, "LARGEST", 100)
    means = posterior_means(GRID, NONE, TRUE)
    assert np.isneginf(means[:-100]).all() and np.isfinite(means[-100:]).all()
    assert means[-100:].tolist() == posterior_means(GRID[-100:], NONE[-100:], TRUE[-100:]).tolist()


def test_amplitudes_are_fitted_to_a_part_of_many_networks(monkeypatch):
    monkeypatch.setattr(smoothing, "LARGEST_CHOICE", 60)
    measured = noisy(2)
    means = posterior_means(GRID, NONE, measured)
    assert np.isfinite(means).all()
    assert np.abs(means - TRUE).mean() < 0.6 * np.abs(measured - TRUE).mean()
