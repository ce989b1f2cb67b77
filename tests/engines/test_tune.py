import dataclasses
import os

import pytest

from mnas.engines.config import EngineConfig
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search, facts

pytest.importorskip("ray")
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from mnas.engines import tune as engine

TUNE = EngineConfig(kind="tune", workers=2)
ONE_WORKER = EngineConfig(kind="tune", workers=1)


class StopsOddTrials(FIFOScheduler):
    """Scheduler that stops trials of odd number after two epochs."""

    def on_trial_result(self, tune_controller, trial, result):
        odd = trial.config["child"]["trial"] % 2 == 1
        return TrialScheduler.STOP if odd and result["epoch"] == 2 else TrialScheduler.CONTINUE


def test_children_have_their_share_of_a_gpu_and_must_compute_on_it(monkeypatch):
    monkeypatch.setattr(engine.tune, "with_parameters", lambda child, **parameters: parameters)
    monkeypatch.setattr(engine.tune, "with_resources", lambda *arguments: arguments)
    config = EngineConfig(kind="tune", gpus_per_worker=0.25)
    parameters, resources = engine._trainable(TableConfig(), config, reports=False)
    assert resources == {"cpu": 1, "gpu": 0.25}
    assert parameters["environment"]["XLA_CLIENT_MEM_FRACTION"] == "0.225"
    assert parameters["backend"] == "gpu" and parameters["cores"] == 0
    parameters, resources = engine._trainable(TableConfig(), TUNE, reports=False)
    assert resources == {"cpu": 1} and parameters["backend"] == "cpu"


def test_a_search_prints_nothing_and_leaves_no_files_or_variables(
    tmp_path, local_ray, capfd, monkeypatch
):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path / "temporary"))
    before = dict(os.environ)
    search = build_search(tmp_path / "journal.jsonl", trials=4, batch=4)
    evaluator = TableConfig(directory=str(tmp_path), seconds=0.1)
    engine.run(search, evaluator, TUNE)
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert dict(os.environ) == before
    assert len(notes(tmp_path, "builds")) == 2  # one per worker, not one per child


def test_loggers_write_to_the_storage_path(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=2, batch=2)
    engine.run(search, TableConfig(), TUNE, storage_path=tmp_path / "tune")
    for number in range(2):
        lines = (tmp_path / "tune" / "batch-0" / f"trial-{number}" / "result.json").read_text()
        assert lines.count("\n") == 1
        assert f'"accuracy": {search.results[number].evaluation.accuracy}' in lines


def test_workers_have_the_environment_of_the_configuration(tmp_path, local_ray, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere/else")
    search = build_search(tmp_path / "journal.jsonl", trials=1)
    engine.run(search, TableConfig(fault="environment", every=1), ONE_WORKER)
    assert search.results[0].evaluation.error == "RuntimeError: 1 1 cpu /somewhere/else 0.0 -1"


def test_a_child_stopped_by_a_scheduler_keeps_its_last_reported_accuracy(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=4, batch=4)
    engine.run(search, TableConfig(epochs=4), ONE_WORKER, scheduler=StopsOddTrials())
    whole = build_search(tmp_path / "whole.jsonl", trials=4, batch=4)
    engine.run(whole, TableConfig(epochs=4), EngineConfig(kind="inline"))
    assert search.done
    for number, result in search.results.items():
        if result.duplicate_of is not None:
            continue
        evaluation, other = result.evaluation, whole.results[number].evaluation
        assert evaluation.error is None
        if number % 2 == 1:
            assert evaluation.epochs == 2
            assert evaluation.accuracy == other.accuracy / 2
            assert evaluation.history == ((1, other.accuracy / 4), (2, other.accuracy / 2))
        else:
            assert [epoch for epoch, _ in evaluation.history] == [1, 2, 3, 4]
            assert dataclasses.replace(evaluation, history=()) == other
        assert evaluation.stopped == (number % 2 == 1)
    assert search.best.trial.number % 2 == 0


class StopsAtTheLastEpoch(FIFOScheduler):
    """Scheduler that stops children after two epochs, once one child is complete."""

    one_complete = False

    def on_trial_result(self, tune_controller, trial, result):
        if result["epoch"] == 2 and self.one_complete:
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller, trial, result):
        self.one_complete = True


def test_a_child_stopped_after_its_last_epoch_counts_as_complete(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=4, batch=4)
    engine.run(search, TableConfig(epochs=2), ONE_WORKER, scheduler=StopsAtTheLastEpoch())
    evaluations = [r.evaluation for r in search.results.values() if r.duplicate_of is None]
    assert {(e.epochs, e.stopped) for e in evaluations} == {(2, False)}
    assert sum(e.timings == {} for e in evaluations) > 1  # these were stopped by Tune


@pytest.mark.parametrize(
    "scheduler",
    [
        ASHAScheduler(max_t=100, grace_period=1, reduction_factor=2),
        MedianStoppingRule(time_attr="training_iteration", grace_period=1, min_samples_required=2),
    ],
    ids=["asha", "median"],
)
def test_schedulers_of_tune_stop_children(scheduler, tmp_path, local_ray):
    """One scheduler keeps its state over two batches."""
    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=4)
    engine.run(search, TableConfig(epochs=5), ONE_WORKER, scheduler=scheduler)
    epochs = [r.evaluation.epochs for r in search.results.values()]
    assert search.done and not any(r.evaluation.error for r in search.results.values())
    assert min(epochs) < max(epochs) == 5


def test_unsupported_settings_are_usage_errors(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match=r"time_limit_seconds = 5: .*accepted with engine ray"):
        engine.run(search, TableConfig(), EngineConfig(kind="tune", time_limit_seconds=5.0))
    with pytest.raises(ValueError, match=r"HyperBandScheduler pauses .*accepted: ASHAScheduler"):
        engine.run(search, TableConfig(), TUNE, scheduler=HyperBandScheduler())
    stopping = build_search(tmp_path / "other.jsonl", stopping=StoppingConfig(quantile=0.25))
    with pytest.raises(
        ValueError, match=r"AsyncHyperBandScheduler with .*quantile = 0.25; accepted: one of"
    ):
        engine.run(stopping, TableConfig(), TUNE, scheduler=ASHAScheduler())
    with pytest.raises(ValueError, match=r"workers = 3 .*accepted: 1 to 2"):
        engine.run(search, TableConfig(), EngineConfig(kind="tune", workers=3))


def test_a_child_whose_workers_die_is_retried_and_then_recorded_as_failed(tmp_path, local_ray):
    evaluator = TableConfig(fault="exit", every=6, directory=str(tmp_path))
    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=8)
    engine.run(search, evaluator, EngineConfig(kind="tune", workers=2, retries=1))
    evaluated = [r for r in search.results.values() if r.duplicate_of is None]
    lost = [r for r in evaluated if evaluator.faulty(r.trial.architecture)]
    assert lost and search.done
    for result in evaluated:
        error = result.evaluation.error
        assert error == ("worker lost: ActorDiedError" if result in lost else None)
        tries = notes(tmp_path, "attempts").count(result.trial.hash)
        assert tries == (2 if result in lost else 1)


def test_a_worker_that_dies_is_replaced_without_changing_the_journal(
    tmp_path, reference, local_ray
):
    path = tmp_path / "journal.jsonl"
    evaluator = TableConfig(fault="kill-once", every=6, directory=str(tmp_path))
    engine.run(build_search(path, trials=8, batch=8), evaluator, TUNE)
    attempts = notes(tmp_path, "attempts")
    assert len(attempts) > len(set(attempts))
    assert facts(path) == reference(trials=8, batch=8)


def test_errors_of_the_search_and_of_the_evaluator_end_the_run(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"6 of the first 6 .*ValueError: this network"):
        engine.run(search, TableConfig(fault="raise", every=1), ONE_WORKER)
    search = build_search(tmp_path / "other.jsonl")
    with pytest.raises(RuntimeError, match=r"Ray workers don't start: OSError: no images here"):
        engine.run(search, TableConfig(fault="build"), ONE_WORKER)
    assert not search.results
