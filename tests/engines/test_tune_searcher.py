import pickle

import pytest

from mnas.architecture.architecture import Architecture
from mnas.loop.early_stopping import StoppingConfig, StoppingRule
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig, trainable
from tests.engines.searches import build_search, facts

pytest.importorskip("ray")
from ray import tune

from mnas.engines.tune_searcher import MnasSearcher


def tuner(search, function, tmp_path):
    """Return a Tuner of two concurrent trials with a searcher on `search`."""
    return tune.Tuner(
        function,
        tune_config=tune.TuneConfig(
            search_alg=MnasSearcher(search), num_samples=-1, max_concurrent_trials=2
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path / "tune"), verbose=0),
    )


def test_a_tuner_gives_the_journal_of_the_inline_engine(tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=6, batch=3)
    results = tuner(search, trainable, tmp_path).fit()
    assert search.done
    assert facts(path) == reference(trials=6, batch=3)
    assert len(results) == sum(r.duplicate_of is None for r in search.results.values())


def test_too_many_failures_end_the_tuner(tmp_path, local_ray):
    def fails(config):
        raise OSError("no images")

    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=4, failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"4 of the first 4 .*failed in Ray Tune"):
        tuner(search, fails, tmp_path).fit()


def test_results_may_be_told_in_any_order(tmp_path, reference):
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
        name, last = running.popitem()  # the batch is outstanding; the last one is told first
        result = TableConfig().build()(Architecture.from_dict(last["architecture"]), last["seed"])
        searcher.on_trial_complete(name, {"accuracy": result.accuracy, "epochs": result.epochs})
        assert last["trial"] in search.results
    searcher.on_trial_complete("unknown id", {"accuracy": 0.5})
    assert facts(path) == reference()


def test_the_rule_of_the_search_stops_children(tmp_path, reference):
    """With the trainable of the module's docstring; the last trial is told first."""
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


def test_missing_and_failed_results_are_recorded_as_errors(tmp_path):
    search = build_search(tmp_path / "journal.jsonl", trials=3, batch=3, seed=1)
    searcher = MnasSearcher(search)
    first, second, third = (searcher.suggest(name) for name in "abc")
    searcher.on_trial_complete("a")  # ended by Tune without a result
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


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"accuracy": 93.1}, "evaluation: accuracy = 93.1; accepted: 0 to 1"),
        ({"accuracy": "high"}, "evaluation: accuracy = 'high'; accepted: a number"),
        ({"accuracy": 0.5, "epochs": None}, "evaluation: epochs = None; accepted: a number"),
        ({"accuracy": 0.5, "error": ValueError("lost")}, "ValueError: lost"),
        ({"accuracy": 0.5, "latency_ms": -1}, "evaluation: latency_ms = -1.0; accepted: a number "),
    ],
)
def test_results_of_another_kind_are_recorded_as_errors(tmp_path, result, error):
    search = build_search(tmp_path / "journal.jsonl")
    searcher = MnasSearcher(search)
    number = searcher.suggest("a")["trial"]
    searcher.on_trial_complete("a", result)
    assert search.results[number].evaluation.error.startswith(error)


def test_reports_of_another_kind_are_recorded_as_errors(tmp_path):
    stopping = StoppingConfig(quantile=0.5, min_curves=1)
    search = build_search(tmp_path / "journal.jsonl", stopping=stopping)
    searcher = MnasSearcher(search)
    number = searcher.suggest("a")["trial"]
    searcher.on_trial_result("a", {"accuracy": 93.1, "epochs": 1})
    searcher.on_trial_complete("a", {"accuracy": 0.5, "epochs": 2})
    expected = "report: evaluation: accuracy = 93.1; accepted: 0 to 1"
    assert search.results[number].evaluation.error == expected


def test_a_restored_searcher_names_the_journal_to_resume_from(tmp_path):
    search = build_search(tmp_path / "journal.jsonl")
    searcher = MnasSearcher(search)
    searcher.suggest("a")
    searcher.save(str(tmp_path / "state"))
    with pytest.raises(RuntimeError, match=r"resumes from its journal, .*journal\.jsonl"):
        searcher.restore(str(tmp_path / "state"))
    with pytest.raises(RuntimeError, match=r"build a Search on the journal"):
        pickle.loads(pickle.dumps(searcher)).suggest("a")
