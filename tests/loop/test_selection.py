"""Selection of the exported network: by measured reward, or by a model of all rewards."""

import itertools

import numpy as np
import pytest

from mnas.loop import selection
from mnas.loop.selection import posterior_means, selection_scores

GRID = np.array(list(itertools.product(range(3), repeat=5)))  # [243, 5]
EFFECTS = np.random.default_rng(0).normal(size=(5, 3))
# With an interaction of a pair, which a model of single choices cannot represent.
TRUE = EFFECTS[np.arange(5), GRID].sum(1) + 2 * (GRID[:, 0] == 1) * (GRID[:, 1] == 2)


def test_measured_scores_are_the_rewards():
    values = selection_scores("measured", GRID[:3], [0.1, 0.3, 0.2])
    assert values.tolist() == [0.1, 0.3, 0.2]


def test_model_reproduces_rewards_without_noise():
    assert np.abs(posterior_means(GRID, TRUE) - TRUE).max() < 0.02 * TRUE.std()


@pytest.mark.parametrize("seed", range(5))
def test_model_denoises_rewards(seed):
    noisy = TRUE + TRUE.std() * np.random.default_rng(seed).normal(size=len(TRUE))
    means = posterior_means(GRID, noisy)
    error, noise = np.abs(means - TRUE).mean(), np.abs(noisy - TRUE).mean()
    assert error < 0.5 * noise
    assert TRUE[means.argmax()] > np.quantile(TRUE, 0.9)


def test_model_is_equivariant_to_scale_and_offset():
    noisy = TRUE + np.random.default_rng(0).normal(size=len(TRUE))
    assert posterior_means(GRID, 1e-3 * noisy + 0.7) == pytest.approx(
        1e-3 * posterior_means(GRID, noisy) + 0.7
    )


def test_one_outlier_does_not_change_the_model():
    broken = TRUE.copy()
    broken[7] = -1e6
    others = np.arange(len(TRUE)) != 7
    assert np.corrcoef(posterior_means(GRID, broken)[others], TRUE[others])[0, 1] > 0.9


def test_equal_latest_rewards_are_returned_unchanged(monkeypatch):
    monkeypatch.setattr(selection, "LARGEST", 3)
    rewards = np.array([0.1, 0.5, 0.5, 0.5])
    assert posterior_means(GRID[:4], rewards).tolist() == [-np.inf, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("rewards", [[], [0.5], [0.5, 0.7], [0.5, 0.5, 0.5]])
def test_few_or_equal_rewards_are_returned_unchanged(rewards):
    assert selection_scores("model", GRID[: len(rewards)], rewards).tolist() == rewards


def test_model_is_fitted_to_the_latest_rewards_only(monkeypatch):
    monkeypatch.setattr(selection, "LARGEST", 100)
    means = posterior_means(GRID, TRUE)
    assert np.isneginf(means[:-100]).all() and np.isfinite(means[-100:]).all()
    assert means[-100:].tolist() == posterior_means(GRID[-100:], TRUE[-100:]).tolist()
