"""Retrained networks: means over seeds, rank correlation with the proxy."""

import pytest

from mnas.analysis.retraining import Candidate, Row, correlation, kendall_interval
from tests.runs import network


def row(proxy, *accuracies, failed=()):
    return Row(Candidate(network(), trial=0, proxy_accuracy=proxy), accuracies, failed)


def test_mean_and_interval_are_those_of_students_t():
    two = row(0.5, 0.8, 0.9)
    assert two.mean == pytest.approx(0.85)
    assert two.interval == pytest.approx(12.7062 * 0.05)  # t(0.975, 1) · s/√2
    assert (row(0.5, 0.8).mean, row(0.5, 0.8).interval) == (0.8, None)
    assert (row(0.5).mean, row(0.5).interval) == (None, None)


def test_row_as_plain_data():
    assert row(0.5, 0.8, 0.9, failed=("diverged",)).to_dict() == {
        "network": "unnamed",
        "trial": 0,
        "params": 378,
        "mult_adds": 2336,
        "proxy_accuracy": 0.5,
        "accuracy": pytest.approx(0.85),
        "half_interval": pytest.approx(0.6353, abs=1e-4),
        "n": 2,
        "failed": 1,
    }


def test_correlation_of_five_networks():
    rows = [row(proxy, mean) for proxy, mean in zip((1, 2, 3, 4, 5), (1, 2, 3, 5, 4), strict=True)]
    found = correlation([*rows, Row(Candidate(network()), (0.7,))])  # a reference has no proxy
    assert (found.tau, found.n) == (pytest.approx(0.8), 5)
    # tanh(atanh 0.8 ± 1.959964 · sqrt(0.437))
    assert (found.low, found.high) == (
        pytest.approx(-0.1945, abs=1e-4),
        pytest.approx(0.9835, abs=1e-4),
    )


def test_fewer_than_five_networks_and_equal_accuracies_have_no_correlation():
    assert correlation([row(n, n) for n in range(4)]) is None
    assert correlation([row(n, 0.5) for n in range(5)]) is None
    assert correlation([row(n) for n in range(5)]) is None


def test_interval_of_a_perfect_correlation_has_a_width():
    perfect = kendall_interval(1.0, 6)
    assert perfect.high == 1.0 and 0 < perfect.low < 1
    reverse = kendall_interval(-1.0, 6)
    assert (reverse.low, reverse.high) == (-1.0, pytest.approx(-perfect.low))
