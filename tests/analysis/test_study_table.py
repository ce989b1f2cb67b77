import csv
import dataclasses

import pytest

from mnas.analysis.study_table import rows, summaries, write_csv
from mnas.experiment.study import drive
from tests.runs import result
from tests.studies import SMALL, outcome


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    return drive(SMALL, tmp_path_factory.mktemp("study"), workers=1)


def test_rows_match_hand_computation():
    """Without a judge: the search's own accuracy, at a cost equal to the target."""
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 3))
    at_target = {"mult_adds": 400e6, "params": 5}
    results = [
        result(0, 0.4, **at_target),
        result(1, 0.4, duplicate_of=0, **at_target),
        result(2, 0.6, accuracy=0.5, **at_target),
    ]
    table = rows(study, [outcome(results)])
    columns = [(row.samples, row.trial, row.reward, row.judged_reward) for row in table]
    assert columns == [(1, 0, 0.4, 0.4), (3, 2, 0.6, 0.5)]
    assert [row.networks for row in table] == [1, 2]


def test_judged_reward_is_without_noise(outcomes):
    table = {(row.variant, row.seed, row.samples): row for row in rows(SMALL, outcomes)}
    assert len(table) == 8
    for seed in (0, 1):
        exact, noisy = table["exact", seed, 8], table["noisy", seed, 8]
        assert exact.reward == pytest.approx(exact.judged_reward, abs=1e-12)
        assert abs(noisy.reward - noisy.judged_reward) > 1e-3
        # Both saw the same networks, and the exact search exported the judge's best of them.
        assert noisy.judged_reward <= exact.judged_reward + 1e-12


def test_summaries_match_hand_computation():
    study = dataclasses.replace(SMALL, judge=None, marks=(1,))
    (row,) = rows(study, [outcome([result(0, 0.4)])])
    rewards = (0.60, 0.64, 0.65)
    table = [dataclasses.replace(row, seed=i, judged_reward=r) for i, r in enumerate(rewards)]
    (summary,) = summaries(table)
    assert (summary.seeds, summary.reward_worst) == (3, 0.60)
    assert summary.reward == pytest.approx(0.63)
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2.
    assert summary.reward_std == pytest.approx(0.0007**0.5)
    assert summaries(table[:1])[0].reward_std == 0.0


def test_csv_holds_all_rows(outcomes, tmp_path):
    table = rows(SMALL, outcomes)
    write_csv(tmp_path / "runs.csv", table)
    with open(tmp_path / "runs.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["judged_reward"]) for line in lines] == [row.judged_reward for row in table]
    assert list(lines[0]) == [field.name for field in dataclasses.fields(table[0])]
