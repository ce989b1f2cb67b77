"""Weights & Biases: what it is called with, and the library itself where it is installed."""

from types import SimpleNamespace

import pytest

from tests.trackers.stand_ins import RECORDS, fresh, stand_in, tracked


class Run(SimpleNamespace):
    """Stand-in for a run of wandb."""

    def __init__(self, settings):
        super().__init__(settings=settings, logged=[], metrics=[], summary={}, exit_code=None)
        self.id, self.url, self.dir = settings["id"] or "new", "https://host/run", "run/files"
        self.offline = settings["project"] == "offline"

    def define_metric(self, name, step_metric):
        self.metrics.append((name, step_metric))

    def log(self, values):
        self.logged.append(values)

    def finish(self, exit_code):
        self.exit_code = exit_code


@pytest.fixture
def begin(monkeypatch):
    """Return the tracker's class and the runs that it begins."""
    runs = []

    def init(**settings):
        runs.append(Run(settings))
        return runs[-1]

    stand_in(monkeypatch, "wandb", init=init, Settings=SimpleNamespace)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fresh("wandb").WandbTracker, runs


def named(run):
    """Return what a run of wandb is called."""
    return tuple(run.settings[field] for field in ("project", "group", "job_type", "name"))


def test_a_search_is_a_run_of_the_project(begin, tmp_path):
    tracker, runs = begin
    observer = tracker(tracked(tmp_path / "digits-1"))
    for record in RECORDS:
        observer(record)
    observer.close(True)
    (run,) = runs
    assert (observer.id, observer.address) == ("new", "https://host/run")
    assert named(run) == ("mnas", "digits", "digits", "digits-1")
    assert (run.settings["id"], run.settings["resume"]) == (None, "allow")
    assert run.settings["config"]["search.trials"] == 2
    # Trials arrive in any order, which the steps of wandb itself don't allow.
    assert run.metrics == [("*", "step")]
    assert [values["step"] for values in run.logged] == [0, 1, 2]
    assert run.logged[0]["child/reward"] == 0.25 and "child/reward" not in run.logged[1]
    assert run.logged[2]["search/failed"] == 1
    assert run.summary["best"].startswith("Trial 0: reward 0.2500") and run.exit_code == 0


def test_a_resumed_search_is_the_same_run(begin, tmp_path):
    tracker, runs = begin
    observer = tracker(tracked(tmp_path, "abc"))
    observer.close(False)
    assert runs[0].settings["id"] == observer.id == "abc" and runs[0].exit_code == 1


def test_searches_of_a_study_are_a_group(begin, tmp_path):
    tracker, runs = begin
    tracker(tracked(tmp_path / "exact" / "seed-3", study="ablation"))
    assert named(runs[0]) == ("mnas", "ablation", "digits", "exact/seed-3")


def test_project_is_that_of_the_environment(begin, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "offline")
    tracker, runs = begin
    assert tracker(tracked(tmp_path)).address == "run/files"
    assert runs[0].settings["project"] == "offline"


@pytest.mark.filterwarnings("ignore")  # its own
def test_the_library_keeps_a_resumed_search_in_one_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = fresh("wandb").WandbTracker
    first = tracker(tracked(tmp_path))
    for record in RECORDS:
        first(record)
    first.close(False)
    second = tracker(tracked(tmp_path, first.id))
    second(RECORDS[-1])
    second.close(True)
    runs = list((tmp_path / "wandb").glob(f"offline-run-*-{first.id}"))
    assert second.id == first.id and runs
    contents = [path.read_bytes() for run in runs for path in run.glob("*.wandb")]
    assert any(b"child/reward" in content for content in contents)
