"""`search` and `load_run`: a whole run in one call, and the view of its directory."""

import dataclasses
import json

import numpy as np
import pytest

from mnas.api.run import load_run
from mnas.api.search import search
from mnas.architecture.sources import find
from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluation import Evaluation
from mnas.evaluators.proxy import ProxyConfig, ProxyEvaluator
from mnas.loop.journal import Journal
from mnas.loop.records import ProposalsRecord, ResultRecord, UpdateRecord
from mnas.search_spaces import EfficientNetSpace
from tests.registered import register
from tests.runs import ACCURACY, head, proposals, result, run_of, settings, write_run
from tests.studies import NOISY, RANDOM, SMALL


def test_search_returns_the_finished_run(tmp_path):
    kinds = []
    run = search(RANDOM, tmp_path / "run", [lambda record: kinds.append(type(record))])
    assert run.directory == tmp_path / "run" and run.experiment_name == "b0-imagenet"
    assert [result.trial for result in run.results] == list(range(8))
    assert [kinds.count(kind) for kind in (ProposalsRecord, ResultRecord, UpdateRecord)] == [
        2,
        8,
        2,
    ]
    assert run.best == max(run.results, key=lambda result: result.reward)
    assert run.architecture.canonical_hash() == run.best.hash
    assert run.spec == json.loads((run.directory / "best.json").read_text())
    assert find(str(run.directory)) == run.architecture
    assert load_run(run.directory) == run


def test_search_by_name_chooses_a_new_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    register(monkeypatch, "experiment", "small", dataclasses.replace(RANDOM, name="small"))
    assert [str(search("small").directory) for _ in range(2)] == ["runs/small-1", "runs/small-2"]


def test_search_takes_other_trials_and_another_seed(tmp_path):
    run = search(RANDOM, tmp_path / "run", trials=4, seed=7)
    assert len(run.results) == 4 and run.settings["search"]["seed"] == 7
    assert search(RANDOM, tmp_path / "run", trials=8, seed=7).results[:4] == run.results
    with pytest.raises(UsageError, match="search: trials = 0"):
        search(RANDOM, tmp_path / "other", trials=0)


def test_search_measures_its_best_networks_again(tmp_path):
    run = search(NOISY, tmp_path / "run", remeasure=3)
    again = [network for network in run.ranked if network.remeasured is not None]
    assert again == run.ranked[:3] and len(run.remeasured) == 9
    best = run.ranked[0]
    assert best.result == run.best and best.score == best.remeasured.reward
    spec = json.loads((run.directory / "best.json").read_text())
    assert run.spec == spec
    found = spec["search"]
    assert (found["accuracy"], found["reward"]) == (run.best.accuracy, run.best.reward)
    assert found["smoothed_accuracy"] == pytest.approx(run.smoothed[run.best.trial], abs=1e-6)
    assert found["remeasured"] == {
        "accuracy": best.remeasured.mean,
        "low": pytest.approx(best.remeasured.mean - best.remeasured.half_interval),
        "high": pytest.approx(best.remeasured.mean + best.remeasured.half_interval),
        "reward": best.score,
        "n": 3,
        "failed": 0,
    }
    top = json.loads((run.directory / "top.json").read_text())
    assert [item["search"]["remeasured"] is not None for item in top] == 3 * [True] + 5 * [False]


def test_finished_search_can_be_measured_again_and_with_more_seeds(tmp_path):
    before = search(NOISY, tmp_path / "run")
    assert before.remeasured == () and before.spec["search"]["remeasured"] is None
    run = search(NOISY, tmp_path / "run", remeasure=2)
    assert run.results == before.results and len(run.remeasured) == 6
    again = dataclasses.replace(NOISY.search, remeasure=2, remeasure_seeds=4)
    more = search(dataclasses.replace(NOISY, search=again), tmp_path / "run")
    assert len(more.remeasured) == 8
    assert all(record in more.remeasured for record in run.remeasured)
    with pytest.raises(UsageError, match="search: remeasure = -1"):
        search(NOISY, tmp_path / "run", remeasure=-1)


def test_search_has_the_classes_of_its_data(tmp_path, monkeypatch):
    monkeypatch.setattr(ProxyEvaluator, "__call__", lambda *_: Evaluation(accuracy=0.5, epochs=1))
    pixels = np.arange(24 * 64, dtype=np.uint8).reshape(24, 8, 8)
    np.savez(tmp_path / "x.npz", train_images=pixels, train_labels=np.arange(24) % 5)
    evaluator = ProxyConfig(data=DataConfig(str(tmp_path / "x.npz"), validation=4))
    space = EfficientNetSpace(resolution=16)
    experiment = dataclasses.replace(RANDOM, evaluator=evaluator, space=space)
    run = search(experiment, tmp_path / "run", trials=2)
    assert space.classes != 5 and run.architecture.classes == 5
    assert run.settings["space"]["classes"] == 5
    assert len(search(experiment, tmp_path / "run", trials=4).results) == 4  # resumed


def test_search_resumes_a_run_of_the_same_experiment(tmp_path):
    def interrupt(record):
        if isinstance(record, ResultRecord) and record.trial == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(RANDOM, tmp_path / "run", [interrupt])
    assert 0 < len(load_run(tmp_path / "run").results) < 8
    assert (tmp_path / "run" / "best.json").exists()
    resumed, whole = search(RANDOM, tmp_path / "run"), search(RANDOM, tmp_path / "whole")
    rewards = [[result.reward for result in run.results] for run in (resumed, whole)]
    assert rewards[0] == rewards[1] and len(rewards[0]) == 8


def test_search_rejects_a_run_of_another_experiment(tmp_path):
    search(RANDOM, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=r"kinds.evaluator was .*; accepted"):
        search(SMALL.variants["noisy"], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_search_rejects_studies_and_unknown_names(monkeypatch, tmp_path):
    register(monkeypatch, "experiment", "small", SMALL)
    with pytest.raises(UsageError, match="small is a study"):
        search("small", tmp_path)
    with pytest.raises(UsageError, match=r"unknown experiment 'b0-imagene'; did you mean"):
        search("b0-imagene", tmp_path)
    assert not list(tmp_path.iterdir())


def test_finish_is_called_with_the_search_and_the_directory(tmp_path):
    def finish(finished, directory):
        (directory / "trials.txt").write_text(f"{len(finished.results)}")

    run = search(dataclasses.replace(RANDOM, finish=finish), tmp_path)
    assert (run.directory / "trials.txt").read_text() == "8"


def test_results_are_ordered_by_trial_and_best_follows_the_selection(tmp_path):
    records = [proposals([[0], [1], [2]]), result(2, 0.9, stopped=True), result(0, 0.4)]
    run = run_of([*records, result(1, 0.6)])
    assert [result.trial for result in run.results] == [0, 1, 2]
    assert run.best.trial == 1
    assert run_of([*records[:1], result(0, 0.0, accuracy=None, error="lost")]).best is None
    described = {"name": "hand", **settings(selection="model")}
    assert load_run(write_run(tmp_path, records, described=described)).selection == "model"


def test_run_without_a_successful_evaluation_has_no_architecture():
    run = run_of([proposals([[0]])])
    assert (run.best, run.architecture, run.spec) == (None, None, None)


def test_load_run_rejects_what_is_no_run(tmp_path):
    with pytest.raises(UsageError, match="holds no run; accepted: a directory that mnas search"):
        load_run(tmp_path)
    (tmp_path / "experiment.json").write_text("{}")
    with pytest.raises(UsageError, match=r"experiment.json: search = None; accepted: settings"):
        load_run(tmp_path)
    (tmp_path / "experiment.json").write_text('{"search": {"selection": ["model"]}}')
    with pytest.raises(UsageError, match=r"experiment.json: search.selection = \['model'\]; acc"):
        load_run(tmp_path)
    (tmp_path / "experiment.json").write_text(json.dumps(settings()))
    with pytest.raises(UsageError, match=r"journal.jsonl can't be read"):
        load_run(tmp_path)
    (tmp_path / "journal.jsonl").write_text("")
    with pytest.raises(UsageError, match="the journal is empty"):
        load_run(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    assert load_run(write_run(tmp_path, [], head(name="x"))).experiment_name == "x"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward": []}, r"settings.reward = \[\]; accepted: settings by name"),
        ({"reward": None}, "settings.reward = None"),
        ({"kinds": "space"}, "settings.kinds = 'space'"),
        ({"reward": {"cost": "mult_adds"}}, "settings.reward = .*; accepted: form, cost, target_m"),
        ({"reward": dataclasses.asdict(ACCURACY) | {"w": "x"}}, "settings: reward: w = 'x'; acc"),
    ],
)
def test_heads_of_another_kind_are_rejected_by_line_and_field(tmp_path, settings, message):
    directory = write_run(tmp_path, [], head(settings=settings))
    with pytest.raises(UsageError, match=rf"journal.jsonl, line 1: {message}"):
        load_run(directory)


def test_journal_of_a_search_in_python_is_a_run(tmp_path):
    path = tmp_path / "own.jsonl"
    with Journal(path) as journal:
        for record in (proposals([[0], [1]]), result(0), result(1, 0.75)):
            journal.append(record)
    run = load_run(path)
    assert (run.directory, run.selection, run.best.trial) == (tmp_path, "measured", 1)
    assert run.spec["search"]["seed"] is None and run.experiment_name == "search"
    path.rename(tmp_path / "journal.jsonl")
    assert load_run(tmp_path).results == run.results


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([result(0)], "result of trial 0, which was not proposed"),
        ([proposals([[0]]), result(0), result(0)], "several results of one trial"),
    ],
)
def test_results_that_do_not_fit_the_proposals_are_rejected(tmp_path, records, message):
    with pytest.raises(UsageError, match=rf"journal.jsonl: {message}"):
        load_run(write_run(tmp_path, records))
