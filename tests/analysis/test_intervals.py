"""Intervals of proportions and of means of curves."""

import numpy as np
import pytest
from scipy.stats import binomtest

from mnas.analysis.intervals import bootstrap_band, wilson


@pytest.mark.parametrize(("right", "n"), [(0, 10), (253, 300), (300, 300)])
def test_wilson_is_that_of_scipy(right, n):
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson(right / n, n) == pytest.approx((expected.low, expected.high))


def test_band_of_one_curve_is_the_curve():
    curve = np.array([[0.1, 0.2]])
    assert all((part == curve[0]).all() for part in bootstrap_band(curve))


def test_band_of_many_curves_is_near_the_normal_interval_of_the_mean():
    curves = np.random.default_rng(0).normal(5.0, 2.0, (200, 3))
    mean, low, high = bootstrap_band(curves)
    half = 1.96 * curves.std(0) / np.sqrt(200)
    assert mean == pytest.approx(curves.mean(0))
    assert mean - low == pytest.approx(half, rel=0.15)
    assert high - mean == pytest.approx(half, rel=0.15)


def test_band_is_the_same_in_every_call():
    curves = np.random.default_rng(0).normal(size=(4, 5))
    first, second = bootstrap_band(curves), bootstrap_band(curves)
    assert all((one == other).all() for one, other in zip(first, second, strict=True))
