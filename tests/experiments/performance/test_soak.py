"""The soak test: slopes by hand, and a short search."""

import json

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.experiments.performance import soak
from mnas.experiments.performance.soak import Slope


def test_slope_of_an_exact_line_has_no_width():
    slope = Slope.fit([1000, 2000, 3000, 4000], [5.0, 5.5, 6.0, 6.5])
    assert np.allclose([slope.value, slope.low, slope.high], 0.5)


def test_slope_of_a_constant_is_zero():
    assert Slope.fit([1000, 2000, 3000], [0.0, 0.0, 0.0]) == Slope(0.0, 0.0, 0.0)


def test_interval_of_a_slope_by_hand():
    # x = 0, 1, 2 thousand trials, y = 0, 0, 3: slope 1.5, residuals .5, -1, .5, so the standard
    # error is √(1.5 / 1) / √2 = 0.8660; Student's t with one degree of freedom is 12.706.
    slope = Slope.fit([0, 1000, 2000], [0.0, 0.0, 3.0])
    assert slope.value == pytest.approx(1.5)
    assert slope.high - slope.value == pytest.approx(12.706 * 0.8660, rel=1e-3)


def test_short_soak_reports_windows_and_resumption(capsys):
    flags = ["--controllers", "random", "--trials", "64", "--windows", "4", "--json"]
    assert soak.main(flags) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert [window["trials"] for window in result["windows"]] == [16, 32, 48, 64]
    assert result["resume_seconds"] > 0 and result["resume_cpu_seconds"] > 0
    assert result["journal_mib"] > 0


def test_extent_out_of_range_is_rejected():
    with pytest.raises(
        UsageError, match=r"^soak: windows = 3; accepted: a whole number of at least"
    ):
        soak.Arguments(windows=3)
