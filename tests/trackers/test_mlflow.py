"""MLflow: what it is called with, and the library itself where it is installed."""

from types import SimpleNamespace

import pytest

from tests.runs import result
from tests.trackers.stand_ins import RECORDS, fresh, stand_in, tracked


class Client:
    """Stand-in for a client of MLflow that keeps its calls."""

    tracking_uri = "sqlite:///mlflow.db"
    known = None

    def __init__(self):
        self.calls = []

    def get_experiment_by_name(self, name):
        return self.known

    def create_run(self, of, tags, run_name):
        self.calls.append(("create_run", of, tags, run_name))
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def __getattr__(self, name):
        def call(*words, **named):
            self.calls.append((name, *words, *named.values()))
            return "e1"

        return call


@pytest.fixture
def tracker(monkeypatch):
    entities = SimpleNamespace(Metric=lambda *values: values)
    stand_in(monkeypatch, "mlflow", MlflowClient=Client, entities=entities)
    stand_in(monkeypatch, "mlflow.entities", **vars(entities))
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return fresh("mlflow").MlflowTracker


def test_a_search_is_a_run_with_params_metrics_and_texts(tracker, tmp_path):
    observer = tracker(tracked(tmp_path / "digits-1"))
    for record in RECORDS:
        observer(record)
    observer.close(True)
    assert (observer.id, observer.address) == ("r1", "sqlite:///mlflow.db, run r1")
    calls = observer._client.calls
    assert calls[:3] == [
        ("create_experiment", "mnas"),
        ("create_run", "e1", {"experiment": "digits"}, "digits-1"),
        ("log_param", "r1", "search.trials", 2),
    ]
    logged = [call[2] for call in calls if call[0] == "log_batch"]
    assert len(logged) == 3 and ("child/reward", 0.25, 5000, 0) in logged[0]
    assert ("search/failed", 1, 7000, 2) in logged[2]
    (text,) = [call for call in calls if call[0] == "log_text"]
    assert text[2].startswith("Trial 0: reward 0.2500") and text[3] == "best.md"
    assert calls[-1] == ("set_terminated", "r1", "FINISHED")


def test_a_resumed_search_is_the_same_run(tracker, tmp_path):
    observer = tracker(tracked(tmp_path, "r0"))
    observer.close(False)
    assert observer.id == "r0"
    assert observer._client.calls == [
        ("update_run", "r0", "RUNNING"),
        ("set_terminated", "r0", "KILLED"),
    ]


def test_searches_of_a_study_have_a_tag(tracker, tmp_path):
    observer = tracker(tracked(tmp_path / "exact" / "seed-3", study="ablation"))
    tags = {"experiment": "digits", "study": "ablation"}
    assert observer._client.calls[1] == ("create_run", "e1", tags, "exact/seed-3")


def test_experiment_is_that_of_the_environment(tracker, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")
    assert ("create_experiment", "other") in tracker(tracked(tmp_path))._client.calls
    monkeypatch.setattr(Client, "known", SimpleNamespace(experiment_id="e7"))
    assert tracker(tracked(tmp_path))._client.calls[0][:2] == ("create_run", "e7")


@pytest.mark.filterwarnings("ignore")  # its own
def test_the_library_keeps_a_resumed_search_in_one_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    tracker = fresh("mlflow").MlflowTracker
    first = tracker(tracked(tmp_path))
    for record in RECORDS:
        first(record)
    first.close(False)
    second = tracker(tracked(tmp_path, first.id))
    second(result(3, 0.5, time=8.0))
    second.close(True)
    client = mlflow.MlflowClient()
    run = client.get_run(first.id)
    assert second.id == first.id and run.info.status == "FINISHED"
    assert run.data.params["search.trials"] == "2" and run.data.tags["experiment"] == "digits"
    history = client.get_metric_history(first.id, "child/reward")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.25), (3, 0.5)]
