"""Ranking of the points of a finished grid search."""

import pytest

from mnas.analysis.grid_ranking import is_grid_run, ranked
from mnas.errors import UsageError


def test_only_runs_over_a_grid_can_be_ranked(tmp_path):
    assert not is_grid_run(tmp_path)
    with pytest.raises(UsageError, match="holds no run"):
        ranked(tmp_path)
