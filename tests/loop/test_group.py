"""Several searches run as one."""

import itertools

import pytest

from mnas.evaluation import failure
from mnas.loop.config import SearchConfig
from mnas.loop.group import SearchGroup
from mnas.loop.journal import Journal
from mnas.loop.search import Search, TooManyFailures
from tests.loop.searches import (
    ACCURACY,
    BATCH,
    SPACE,
    TRIALS,
    A,
    B,
    accuracy,
    evaluate,
    facts,
    finish,
    hashing,
    scripted,
)


@pytest.fixture
def make(tmp_path):
    """Return a function that returns a search with a controller and a seed."""
    numbers, journals = itertools.count(), []

    def make(controller, seed=0, **config):
        journals.append(Journal(tmp_path / f"{next(numbers)}.jsonl"))
        config = {"failed_batches": 0, **config}
        return Search(SPACE, controller, ACCURACY, SearchConfig(seed=seed, **config), journals[-1])

    yield make
    for journal in journals:
        journal.close()


def test_the_next_search_begins_while_the_one_before_waits(make):
    searches = [make(scripted([A, B]), seed, trials=2, batch=2) for seed in (0, 1)]
    group = SearchGroup(searches)
    trials = list(iter(group.ask, None))
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert [trial.hash for trial in trials[:2]] == [trial.hash for trial in trials[2:]]
    assert len({trial.seed for trial in trials}) == 4
    for value, trial in enumerate(reversed(trials)):
        assert not group.done
        result = group.tell(trial, accuracy(value / 10))
        assert result.evaluation.accuracy == value / 10
    assert group.done and group.ask() is None and group.batches_done == 2
    found = [[s.results[n].evaluation.accuracy for n in (0, 1)] for s in searches]
    # larger networks are handed out first
    assert sorted(found[0]) == [0.2, 0.3] and sorted(found[1]) == [0.0, 0.1]
    assert {n: r.evaluation.accuracy for n, r in group.results.items()} == {
        3: 0.0,
        2: 0.1,
        1: 0.2,
        0: 0.3,
    }


def test_results_are_those_of_each_search_alone(make):
    settings = {"trials": TRIALS, "batch": BATCH}
    searches = [make(hashing(), seed, **settings) for seed in (0, 1, 2)]
    group = SearchGroup(searches)
    while not group.done:
        trials = list(itertools.islice(iter(group.ask, None), 7))
        for trial in reversed(trials):
            group.tell(trial, evaluate(trial))
    for seed, search in enumerate(searches):
        alone = finish(make(hashing(), seed, **settings))
        assert facts(search.journal.path) == facts(alone.journal.path)


def test_a_search_with_too_many_failures_ends_the_group(make):
    searches = [make(scripted([A, B]), trials=2, batch=2, failed_batches=1) for _ in range(2)]
    group = SearchGroup(searches)
    trials = list(iter(group.ask, None))
    group.tell(trials[0], failure("out of memory"))
    with pytest.raises(TooManyFailures, match="2 of the first 2 children failed"):
        group.tell(trials[1], failure("out of memory"))


def test_a_trial_is_told_once_and_only_after_it_was_asked_for(make):
    group = SearchGroup([make(scripted([A]), trials=1, batch=1)])
    trial = group.ask()
    group.tell(trial, accuracy(0.5))
    with pytest.raises(ValueError, match="trial 0 is not waiting for a result"):
        group.tell(trial, accuracy(0.5))
    with pytest.raises(ValueError, match="no search"):
        SearchGroup([])
