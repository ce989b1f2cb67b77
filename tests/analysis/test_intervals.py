"""Intervals of proportions and of means of curves."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binomtest

from mnas.analysis.intervals import mean_band, wilson


@pytest.mark.parametrize(("right", "n"), [(0, 10), (253, 300), (300, 300)])
def test_wilson_is_that_of_scipy(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high))


def test_band_of_one_curve_has_no_width():
    mean, half = mean_band(np.array([[0.1, 0.2]]))
    assert mean.tolist() == [0.1, 0.2] and half.tolist() == [0.0, 0.0]


def test_band_is_the_interval_of_the_mean_by_the_bootstraps_standard_error():
    mean, half = mean_band(np.array([[0.60], [0.64], [0.65]]))
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2; t(0.975, 2) = 4.3027.
    assert mean == pytest.approx([0.63])
    assert half == pytest.approx([4.3027 * 0.0007**0.5 / 3**0.5], rel=1e-4)


def test_error_is_that_of_means_of_resamples_but_for_its_narrowness():
    values = np.random.default_rng(0).normal(5.0, 2.0, 10)
    drawn = np.random.default_rng(1).integers(0, 10, (20_000, 10))
    resampled = values[drawn].mean(1).std() * (10 / 9) ** 0.5
    _, half = mean_band(values[:, None])
    assert half / stats.t.ppf(0.975, 9) == pytest.approx([resampled], rel=0.02)


def test_intervals_of_four_curves_hold_the_mean_in_95_percent():
    curves = np.random.default_rng(0).normal(0.0, 1.0, (4, 4000))
    mean, half = mean_band(curves)
    assert np.mean(np.abs(mean) <= half) == pytest.approx(0.95, abs=0.015)
