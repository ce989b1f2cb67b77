"""Further measurements of a search's best networks: choice, recording, resumption."""

import dataclasses

import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.evaluation import Evaluation, failure
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal, read
from mnas.loop.records import RemeasuredRecord, RemeasureRecord, to_json
from mnas.loop.remeasuring import Remeasuring, ranked
from mnas.loop.search import Search
from tests.loop.searches import ACCURACY, SPACE, accuracy, hashing, without_times

TRIALS, BATCH = 12, 4
CONFIG = SearchConfig(trials=TRIALS, batch=BATCH, failed_batches=0, remeasure=3, remeasure_seeds=2)


def evaluate(trial) -> Evaluation:
    """Return noise around an accuracy of the network; some measurements fail."""
    true = int(trial.hash, 16) % 97 / 200
    noise = np.random.default_rng(trial.seed).random()
    if trial.seed % 7 == 0:
        return failure("unlucky")
    return accuracy(true + 0.5 * noise)


def opened(path, observers=(), **changes):
    """Return the source of a search on the journal at `path`, new or resumed."""
    config = dataclasses.replace(CONFIG, **changes)
    journal = Journal(path)
    OPEN.append(journal)
    return Remeasuring(Search(SPACE, hashing(), ACCURACY, config, journal, observers))


OPEN: list[Journal] = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while OPEN:
        OPEN.pop().close()


def finish(source, rng=None, evaluate=evaluate):
    """Run to the end; with `rng`, results arrive in random order."""
    waiting = []
    while not source.done:
        while (trial := source.ask()) is not None:
            waiting.append(trial)
            if rng is None:
                break
        if waiting:
            trial = waiting.pop(int(rng.integers(len(waiting))) if rng is not None else 0)
            result = source.tell(trial, evaluate(trial))
            assert result.trial.architecture == trial.architecture
    return source


def close(source):
    source.search.journal.close()


def kinds(path):
    return [record.kind for record in read(path)]


def facts(path):
    """Return the records without times; those of arrival order sorted."""
    records = [without_times(record) for record in read(path)]
    key = {"result": "trial", "remeasured": "trial"}
    return sorted(
        records, key=lambda r: (r["kind"], r.get(key.get(r["kind"]), 0), r.get("number", 0))
    )


@pytest.fixture
def reference(tmp_path):
    source = finish(opened(tmp_path / "reference.jsonl"))
    return source, tmp_path / "reference.jsonl"


def test_best_networks_are_evaluated_again_after_the_last_update(reference):
    source, path = reference
    search = source.search
    assert kinds(path)[-7:] == ["remeasure"] + 6 * ["remeasured"]
    assert kinds(path).count("remeasure") == 1
    best = [n.result.trial for n in ranked(search, again=False)[:3]]
    assert search.rounds.all[0].trials == tuple(best)
    records = search.rounds.counted()
    assert sorted((r.trial, r.number) for r in records) == [
        (trial, number) for trial in sorted(best) for number in range(2)
    ]
    own = {result.trial.seed for result in search.results.values()}
    assert len({record.seed for record in records} | own) == 6 + len(own)
    for record in records:
        trial = search.results[record.trial].trial.again(0, record.number)
        expected = evaluate(trial)
        assert record.seed == trial.seed and record.error == expected.error
        if expected.error is None:
            assert record.accuracy == record.reward == expected.accuracy


def test_networks_are_exported_by_the_further_measurements(reference):
    source, _ = reference
    networks = ranked(source.search)
    means = [n.remeasured.mean for n in networks[:3] if n.remeasured.mean is not None]
    assert means == sorted(means, reverse=True) and len(means) >= 2
    assert all(n.remeasured is None for n in networks[3:])


def test_nothing_is_measured_again_by_default(tmp_path):
    source = finish(opened(tmp_path / "journal.jsonl", remeasure=0))
    assert source.done and source.ask() is None
    assert "remeasure" not in kinds(tmp_path / "journal.jsonl")


@pytest.mark.parametrize("seed", range(3))
def test_journal_does_not_depend_on_the_order_of_results(seed, tmp_path, reference):
    path = tmp_path / "journal.jsonl"
    source = finish(opened(path), np.random.default_rng(seed))
    assert facts(path) == facts(reference[1])
    assert [n.result.trial for n in ranked(source.search)] == [
        n.result.trial for n in ranked(reference[0].search)
    ]


@pytest.mark.parametrize("selection", ["measured", "model"])
def test_a_search_killed_after_any_record_resumes_to_the_same_journal(selection, tmp_path):
    expected, path = tmp_path / "expected.jsonl", tmp_path / "journal.jsonl"
    close(finish(opened(expected, selection=selection)))
    lines = expected.read_bytes().splitlines(keepends=True)
    first = next(n for n, record in enumerate(read(expected)) if record.kind == "remeasure")
    for count in range(first - 1, len(lines) + 1):
        path.write_bytes(b"".join(lines[:count]))
        source = opened(path, selection=selection)
        assert source.done == (count == len(lines))
        close(finish(source))
        assert facts(path) == facts(expected), count


def test_failed_measurements_are_recorded_and_not_repeated(tmp_path):
    path = tmp_path / "journal.jsonl"
    source = opened(path)

    def fails(trial):
        return failure("out of memory") if trial.number >= TRIALS else evaluate(trial)

    close(finish(source, evaluate=fails))
    resumed = opened(path)
    assert resumed.done and resumed.ask() is None
    networks = ranked(resumed.search)
    assert [n.remeasured.failed for n in networks[:3]] == [2, 2, 2]
    assert [n.score for n in networks] == sorted((n.score for n in networks), reverse=True)
    errors = {record.error for record in read(path) if isinstance(record, RemeasuredRecord)}
    assert errors == {"out of memory"}


def test_a_measurement_that_a_scheduler_stopped_has_failed(tmp_path):
    source = opened(tmp_path / "journal.jsonl")

    def stops(trial):
        evaluation = accuracy(0.9)
        return dataclasses.replace(evaluation, stopped=trial.number >= TRIALS)

    finish(source, evaluate=stops)
    assert {r.error for r in source.search.rounds.counted()} == {"stopped before its end"}


def test_more_seeds_or_networks_measure_only_what_is_missing(tmp_path):
    path = tmp_path / "journal.jsonl"
    close(finish(opened(path)))
    before = kinds(path).count("remeasured")
    for changes, more in (({"remeasure_seeds": 3}, 3), ({"remeasure": 4}, 2), ({}, 0)):
        close(finish(opened(path, **changes)))
        now = kinds(path).count("remeasured")
        assert now - before == more, changes
        before = now


def test_a_longer_search_measures_its_new_best_networks(tmp_path):
    path = tmp_path / "journal.jsonl"
    close(finish(opened(path)))
    source = finish(opened(path, trials=24))
    first, second = source.search.rounds.all
    assert (first.results, second.results) == (TRIALS, 24) and source.done
    assert second.trials == tuple(n.result.trial for n in ranked(source.search, again=False)[:3])
    close(source)
    assert opened(path, trials=24).done


def test_a_stopped_round_can_be_given_up(tmp_path):
    path = tmp_path / "journal.jsonl"
    close(finish(opened(path)))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    assert kinds(path).count("remeasured") == 4
    source = opened(path, remeasure=0)
    assert source.done and source.ask() is None
    assert all(n.remeasured is None for n in ranked(source.search))


def test_a_search_without_a_successful_network_measures_nothing_again(tmp_path):
    source = finish(opened(tmp_path / "journal.jsonl"), evaluate=lambda trial: failure("unlucky"))
    assert source.done and source.ask() is None
    assert "remeasure" not in kinds(tmp_path / "journal.jsonl")


def test_observers_are_called_with_rounds_and_measurements(tmp_path):
    seen = []
    finish(opened(tmp_path / "journal.jsonl", (seen.append,)))
    assert [record.kind for record in seen[-7:]] == ["remeasure"] + 6 * ["remeasured"]
    assert isinstance(seen[-7], RemeasureRecord)


def test_results_of_trials_that_nobody_waits_for_are_rejected(reference):
    source, _ = reference
    trial = source.results[0].trial
    for number in (0, TRIALS, TRIALS + 99):
        with pytest.raises(ValueError, match="not waiting"):
            source.tell(dataclasses.replace(trial, number=number), accuracy(0.5))


CHANGES = {
    "results": ("remeasure", "results", 8, "results = 8"),
    "failed trial": ("remeasure", "trials", [999], "trial 999 out of turn"),
    "trial": ("remeasured", "trial", 999, "measurement 0 of trial 999 out of turn"),
    "number": ("remeasured", "number", 2, "measurement 2 of trial .* out of turn"),
    "seed": ("remeasured", "seed", 1, "seed = 1, and"),
    "reward": ("remeasured", "reward", 0.123, "reward = 0.123, and"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_journals_of_other_measurements_are_rejected_by_line(change, reference, tmp_path):
    kind, key, value, message = CHANGES[change]
    _, path = reference
    edited = tmp_path / "edited.jsonl"
    records = read(path)
    line = next(
        n for n, r in enumerate(records) if r.kind == kind and to_json(r).get("error") is None
    )
    if isinstance(value, list):
        value = tuple(value)
    records[line] = dataclasses.replace(records[line], **{key: value})
    with Journal(edited, records[0]) as journal:
        for record in records[1 : line + 1]:
            journal.append(record)
    with pytest.raises(UsageError, match=rf"line {line + 1}: .*{message}"):
        opened(edited)
