"""Sessions of a run: recorded by every process, read whatever the file holds."""

import dataclasses
import json

import pytest

from mnas.evaluators.noisy import NoisyConfig
from mnas.experiment import run, sessions
from mnas.loop.records import UpdateRecord
from tests.runs import proposals, result, run_of
from tests.studies import RANDOM


def test_every_process_adds_a_session(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.experiment.sessions.time.time", lambda: 100.0)
    run.create(RANDOM, tmp_path)
    assert sessions.recorded(json.loads((tmp_path / "experiment.json").read_text())) == []
    for count in (1, 2):
        run.write_experiment(RANDOM, tmp_path, sessions.extended(tmp_path, RANDOM))
        found = sessions.recorded(json.loads((tmp_path / "experiment.json").read_text()))
        assert [session["started"] for session in found] == [100.0] * count
    assert found[0]["engine"] == RANDOM.engine.kind and found[0]["accuracy_images"] is None


def test_sessions_are_no_settings_of_the_experiment(tmp_path, monkeypatch):
    run.create(RANDOM, tmp_path)
    run.write_experiment(RANDOM, tmp_path, sessions.extended(tmp_path, RANDOM))
    assert "sessions" not in run.identity(RANDOM)


@dataclasses.dataclass(frozen=True)
class Counted:
    """Evaluator that names the size of its sample."""

    def build(self):
        return None

    def accuracy_images(self):
        return 300


def test_number_of_images_is_that_of_the_evaluator(tmp_path):
    experiment = dataclasses.replace(RANDOM, evaluator=Counted())
    assert sessions.extended(tmp_path, experiment)[0]["accuracy_images"] == 300
    noisy = dataclasses.replace(RANDOM, evaluator=NoisyConfig())
    assert sessions.extended(tmp_path, noisy)[0]["accuracy_images"] is None


@pytest.mark.parametrize(
    "content",
    [None, [], {"sessions": 3}, {"sessions": [1, {}, {"started": "x"}, {"started": 10**400}]}],
)
def test_malformed_sessions_are_ignored(content):
    assert sessions.recorded(content) == []


def test_a_file_that_is_no_json_begins_anew(tmp_path):
    (tmp_path / "experiment.json").write_text("{")
    assert len(sessions.extended(tmp_path, RANDOM)) == 1


def timed(starts, times):
    """Return a run with a proposal, results and an update at these times."""
    first, *middle, last = times
    records = [
        dataclasses.replace(proposals([[n] for n in range(len(middle))]), time=first),
        *(dataclasses.replace(result(n), time=t) for n, t in enumerate(middle)),
        UpdateRecord(batch=0, mean_reward=0.5, time=last),
    ]
    made = run_of(records)
    whole = {**made.settings, "sessions": [{"started": start} for start in starts]}
    return dataclasses.replace(made, settings=whole)


def test_wall_clock_leaves_out_the_pauses_between_sessions():
    times = [11.0, 12.0, 15.0, 103.0, 104.0]
    assert sessions.seconds(timed([10.0, 100.0], times)) == 5 + 4
    assert sessions.seconds(timed([10.0], times)) == 94
    assert sessions.seconds(timed([], times)) == 93


def test_sessions_without_records_and_other_clocks_count_nothing():
    assert sessions.seconds(timed([10.0, 20.0, 30.0], [11.0, 12.0, 13.0])) == 3
    assert sessions.seconds(timed([50.0], [11.0, 12.0, 13.0])) == 2
    assert sessions.seconds(run_of([])) is None
