"""What a search exports: the best measured, or the best by a model of all that was measured."""

import itertools

import numpy as np
import pytest

from mnas.loop import selection
from mnas.loop.selection import expected, worth

GRID = np.array(list(itertools.product(range(3), repeat=5)))  # [243, 5]
EFFECTS = np.random.default_rng(0).normal(size=(5, 3))
# A pair of choices counts, too: what a model of single choices alone would get wrong.
TRUE = EFFECTS[np.arange(5), GRID].sum(1) + 2 * (GRID[:, 0] == 1) * (GRID[:, 1] == 2)


def test_measured_is_the_rewards():
    values = worth("measured", GRID[:3], [0.1, 0.3, 0.2])
    assert values.tolist() == [0.1, 0.3, 0.2]


def test_without_noise_the_model_says_what_was_measured():
    assert np.abs(expected(GRID, TRUE) - TRUE).max() < 0.02 * TRUE.std()


@pytest.mark.parametrize("seed", range(5))
def test_the_model_takes_noise_off(seed):
    noisy = TRUE + TRUE.std() * np.random.default_rng(seed).normal(size=len(TRUE))
    found = expected(GRID, noisy)
    error, noise = np.abs(found - TRUE).mean(), np.abs(noisy - TRUE).mean()
    assert error < 0.5 * noise
    assert TRUE[found.argmax()] > np.quantile(TRUE, 0.9)


def test_units_do_not_matter():
    noisy = TRUE + np.random.default_rng(0).normal(size=len(TRUE))
    assert expected(GRID, 1e-3 * noisy + 0.7) == pytest.approx(1e-3 * expected(GRID, noisy) + 0.7)


def test_one_failure_is_not_what_the_model_is_about():
    """A reward far below all others moves the model no more than a bad one does."""
    broken = TRUE.copy()
    broken[7] = -1e6
    others = np.arange(len(TRUE)) != 7
    assert np.corrcoef(expected(GRID, broken)[others], TRUE[others])[0, 1] > 0.9


def test_the_last_ones_may_all_be_equal(monkeypatch):
    monkeypatch.setattr(selection, "LARGEST", 3)
    rewards = np.array([0.1, 0.5, 0.5, 0.5])
    assert expected(GRID[:4], rewards).tolist() == [-np.inf, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("rewards", [[], [0.5], [0.5, 0.7], [0.5, 0.5, 0.5]])
def test_where_there_is_nothing_to_fit_rewards_decide(rewards):
    assert worth("model", GRID[: len(rewards)], rewards).tolist() == rewards


def test_of_very_many_only_the_last_are_looked_at(monkeypatch):
    monkeypatch.setattr(selection, "LARGEST", 100)
    found = expected(GRID, TRUE)
    assert np.isneginf(found[:-100]).all() and np.isfinite(found[-100:]).all()
    assert found[-100:].tolist() == expected(GRID[-100:], TRUE[-100:]).tolist()
