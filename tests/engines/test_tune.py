import dataclasses
import os

import pytest

from mnas.architecture.architecture import Architecture
from mnas.engines.config import EngineConfig
from mnas.loop.early_stopping import StoppingConfig, StoppingRule
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig, notes, trainable
from tests.engines.searches import build_search, facts

pytest.importorskip("ray")
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from mnas.engines import tune as engine
from mnas.engines.tune_searcher import MnasSearcher

TUNE = EngineConfig(kind="tune", workers=2)


class StopsAfterTwoEpochs(FIFOScheduler):
    """Stops every trial of an odd number."""

    def on_trial_result(self, tune_controller, trial, result):
        odd = trial.config["child"]["trial"] % 2 == 1
        return TrialScheduler.STOP if odd and result["epoch"] == 2 else TrialScheduler.CONTINUE


def test_silent_and_leaves_nothing_behind(tmp_path, local_ray, capfd, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path / "temporary"))
    before = dict(os.environ)
    search = build_search(tmp_path / "journal.jsonl", trials=4, batch=4)
    evaluator = TableConfig(directory=str(tmp_path), seconds=0.2)
    engine.run(search, evaluator, TUNE)
    assert capfd.readouterr() == ("", "")
    assert list((tmp_path / "temporary").iterdir()) == []
    assert dict(os.environ) == before
    assert len(notes(tmp_path, "builds")) == 2  # one a worker, not one a child


def test_loggers_write_where_they_are_told_to(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=2, batch=2)
    engine.run(search, TableConfig(), TUNE, storage_path=tmp_path / "tune")
    for number in range(2):
        lines = (tmp_path / "tune" / "batch-0" / f"trial-{number}" / "result.json").read_text()
        assert lines.count("\n") == 1
        assert f'"accuracy": {search.results[number].evaluation.accuracy}' in lines


def test_environment_of_the_children(tmp_path, local_ray, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere/else")
    search = build_search(tmp_path / "journal.jsonl", trials=1)
    engine.run(search, TableConfig(fault="environment", every=1), TUNE)
    assert search.results[0].evaluation.error == "RuntimeError: 1 1 cpu /somewhere/else 0.0 -1"


def test_a_scheduler_stops_children_early(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=6, batch=6)
    engine.run(search, TableConfig(epochs=4), TUNE, scheduler=StopsAfterTwoEpochs())
    whole = build_search(tmp_path / "whole.jsonl", trials=6, batch=6)
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
    """Stops all children after two epochs, once one has been trained to its end."""

    one_ended = False

    def on_trial_result(self, tune_controller, trial, result):
        if result["epoch"] == 2 and self.one_ended:
            return TrialScheduler.STOP
        return TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller, trial, result):
        self.one_ended = True


def test_a_child_stopped_after_its_last_epoch_is_whole(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=4, batch=4)
    config = EngineConfig(kind="tune", workers=1)
    engine.run(search, TableConfig(epochs=2), config, scheduler=StopsAtTheLastEpoch())
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
def test_schedulers_of_tune(scheduler, tmp_path, local_ray):
    """Two batches with one scheduler: what it knows of the first serves in the second."""
    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=4)
    engine.run(search, TableConfig(epochs=5), TUNE, scheduler=scheduler)
    epochs = [r.evaluation.epochs for r in search.results.values()]
    assert search.done and not any(r.evaluation.error for r in search.results.values())
    assert min(epochs) < max(epochs) == 5


def test_refuses_what_tune_cannot_do(tmp_path, local_ray):
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


def test_a_worker_lost_again_and_again_is_recorded(tmp_path, local_ray):
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


def test_a_worker_lost_once_changes_nothing(tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    evaluator = TableConfig(fault="kill-once", every=6, directory=str(tmp_path))
    engine.run(build_search(path, trials=8, batch=8), evaluator, TUNE)
    attempts = notes(tmp_path, "attempts")
    assert len(attempts) > len(set(attempts))
    assert facts(path) == reference(trials=8, batch=8)


def test_errors_of_the_search_come_out_of_tune(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"6 of the first 6 .*ValueError: this network"):
        engine.run(search, TableConfig(fault="raise", every=1), TUNE)
    search = build_search(tmp_path / "other.jsonl")
    with pytest.raises(RuntimeError, match=r"Ray workers don't start: OSError: no images here"):
        engine.run(search, TableConfig(fault="build"), TUNE)
    assert not search.results


# --- the searcher ---


def tuner(search, function, tmp_path):
    return tune.Tuner(
        function,
        tune_config=tune.TuneConfig(
            search_alg=MnasSearcher(search), num_samples=-1, max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), verbose=0),
    )


def test_a_tuner_with_the_searcher_gives_the_same_journal(tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=10, batch=5)
    results = tuner(search, trainable, tmp_path).fit()
    assert search.done
    assert facts(path) == reference(trials=10, batch=5)
    assert len(results) == sum(r.duplicate_of is None for r in search.results.values())


def test_a_searcher_stops_a_failing_search(tmp_path, local_ray):
    def fails(config):
        raise OSError("no images")

    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=4, failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"4 of the first 4 .*failed in Ray Tune"):
        tuner(search, fails, tmp_path).fit()


def test_searcher_by_hand(tmp_path, reference):
    path = tmp_path / "journal.jsonl"
    search = build_search(path)
    searcher = MnasSearcher(search)
    running, count = {}, 0
    while (config := searcher.suggest(str(count))) != searcher.FINISHED:
        if config is not None:
            assert set(config) == {"trial", "seed", "decisions", "architecture"}
            assert set(config["decisions"]) == {d.name for d in search.space.decisions}
            running[str(count)] = config
            count += 1
            continue
        name, last = running.popitem()  # the batch waits; told last first
        result = TableConfig().build()(Architecture.from_dict(last["architecture"]), last["seed"])
        searcher.on_trial_complete(name, {"accuracy": result.accuracy, "epochs": result.epochs})
        assert last["trial"] in search.results  # at once
    searcher.on_trial_complete("never heard of", {"accuracy": 0.5})
    assert facts(path) == reference()


def test_searcher_whose_search_stops_children(tmp_path, reference):
    """By hand, the trainable as the module shows it, told last first."""
    settings = {"trials": 12, "batch": 6, "stopping": StoppingConfig(0.5, min_curves=4)}
    path = tmp_path / "journal.jsonl"
    search = build_search(path, **settings)
    searcher = MnasSearcher(search)
    running, count = {}, 0
    while (config := searcher.suggest(str(count))) != searcher.FINISHED:
        if config is not None:
            running[str(count)] = config
            count += 1
            continue
        name, last = running.popitem()
        rule, reported = StoppingRule(last["thresholds"]), {}

        def report(epoch, accuracy, name=name, rule=rule, reported=reported):
            reported |= {"accuracy": accuracy, "epochs": epoch}
            searcher.on_trial_result(name, dict(reported))
            return rule(epoch, accuracy)

        TableConfig().build()(Architecture.from_dict(last["architecture"]), last["seed"], report)
        searcher.on_trial_complete(name, reported)
    assert any(r.evaluation.stopped for r in search.results.values())
    assert facts(path) == reference(**settings)


def test_searcher_results_that_are_none(tmp_path):
    search = build_search(tmp_path / "journal.jsonl", trials=3, batch=3, seed=1)
    searcher = MnasSearcher(search)
    first, second, third = (searcher.suggest(name) for name in "abc")
    searcher.on_trial_complete("a")  # Tune dropped it without starting it
    assert searcher.suggest("d") == first
    searcher.on_trial_complete("b", {"loss": 1.0})
    searcher.on_trial_complete("c", {"accuracy": 0.5, "error": "out of memory"})
    searcher.on_trial_complete("d", error=True)
    errors = {number: result.evaluation.error for number, result in search.results.items()}
    assert errors == {
        first["trial"]: "the trial failed in Ray Tune",
        second["trial"]: "the trainable reported no accuracy",
        third["trial"]: "out of memory",
    }
    assert searcher.suggest("e") == searcher.FINISHED


def test_searcher_is_resumed_from_the_journal(tmp_path):
    import pickle

    search = build_search(tmp_path / "journal.jsonl")
    searcher = MnasSearcher(search)
    searcher.suggest("a")
    searcher.save(str(tmp_path / "state"))
    with pytest.raises(RuntimeError, match=r"resumes from its journal, .*journal\.jsonl"):
        searcher.restore(str(tmp_path / "state"))
    with pytest.raises(RuntimeError, match=r"build a Search on the journal"):
        pickle.loads(pickle.dumps(searcher)).suggest("a")
