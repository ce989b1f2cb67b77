"""Batches: trials handed out, duplicates, updates of the controller, the best result."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.errors import UsageError
from mnas.evaluation import failure
from mnas.loop.config import SearchConfig
from mnas.loop.journal import read
from mnas.reward import RewardConfig
from tests.loop.searches import (
    ALSO_A,
    SPACE,
    A,
    B,
    C,
    D,
    E,
    accuracy,
    ask_all,
    scripted,
    tiny_space,
    updates_of,
)


def test_hands_out_a_batch_once_and_then_waits(start):
    search = start(scripted([A, B], [C, D], [E]), trials=5, batch=2)
    first, second = ask_all(search)
    assert [first.number, second.number] == [0, 1]
    assert first.architecture == SPACE.decode(A) and second.architecture == SPACE.decode(B)
    assert first.hash == SPACE.decode(A).canonical_hash()
    assert search.ask() is None and not search.done
    search.tell(first, accuracy(0.5))
    assert search.ask() is None and not updates_of(search)  # No update with half a batch.
    search.tell(second, accuracy(0.6))
    assert len(updates_of(search)) == 1
    assert [trial.number for trial in ask_all(search)] == [2, 3]


def test_hands_out_a_batch_by_decreasing_mult_adds_then_by_number(start, tmp_path):
    search = start(scripted([A, C, B, E, A], [B, D]), trials=7, batch=5)
    asked = list(iter(search.ask, None))
    costs = [network_cost(trial.architecture).mult_adds for trial in asked]
    assert [trial.cost.mult_adds for trial in asked] == costs == sorted(costs, reverse=True)
    assert [trial.number for trial in asked] == [1, 3, 2, 0]  # kernel 7, two layers, 5, 3
    search.tell(asked[0], accuracy(0.5))
    search = start(search.controller, trials=7, batch=5)  # Resumed.
    assert [trial.number for trial in iter(search.ask, None)] == [3, 2, 0]
    equals = start(scripted([D, E]), path=tmp_path / "equals", trials=2, batch=2)
    first, second = iter(equals.ask, None)
    assert (first.number, second.number) == (0, 1) and first.cost.mult_adds == second.cost.mult_adds


def test_last_batch_has_the_remaining_trials(start):
    search = start(scripted([A, B], [C, D], [E]), trials=5, batch=2)
    numbers = []
    while not search.done:
        for trial in ask_all(search):
            numbers.append(trial.number)
            search.tell(trial, accuracy(0.5))
    assert numbers == [0, 1, 2, 3, 4]
    assert search.ask() is None and search.done
    assert [len(rewards) for _, rewards in updates_of(search)] == [2, 2, 1]
    assert sorted(search.results) == numbers


def test_updates_controller_in_order_of_trials(start):
    search = start(scripted([A, B, C, D]), trials=4, batch=4)
    trials = ask_all(search)
    for number in (2, 0, 3, 1):
        search.tell(trials[number], accuracy(0.1 * number))
    ((proposals, rewards),) = updates_of(search)
    assert rewards.dtype == np.float32
    assert rewards.tolist() == [np.float32(0.1 * number) for number in range(4)]
    assert proposals.decisions.tolist() == [A, B, C, D]
    assert proposals.log_probs.tolist() == [np.float32(-i / 3) for i in range(4)]


def test_reward_combines_accuracy_and_cost(start):
    target = network_cost(SPACE.decode(A)).mult_adds / 2
    search = start(
        scripted([A]), trials=1, batch=1, reward=RewardConfig(form="hard", target_madds=target)
    )
    result = search.tell(search.ask(), accuracy(0.5))
    assert result.reward == pytest.approx(0.25)  # twice the target, beta = -1
    assert result.cost == network_cost(SPACE.decode(A))
    assert search.results == {0: result} and result.duplicate_of is None


def test_trial_seed_depends_on_search_seed_and_trial_number_only(start, tmp_path):
    def seeds(decisions, name, **config):
        search = start(scripted(decisions), path=tmp_path / name, trials=3, batch=3, **config)
        return [trial.seed for trial in ask_all(search)]

    first = seeds([A, B, C], "a")
    assert len(set(first)) == 3 and all(type(seed) is int for seed in first)
    assert seeds([D, E, A], "b") == first
    assert set(seeds([A, B, C], "c", seed=1)).isdisjoint(first)


def test_duplicates_copy_the_first_evaluation_and_are_not_handed_out(start):
    search = start(scripted([A, B, A, ALSO_A], [C, B, A, C]), trials=8, batch=4)
    first, second = ask_all(search)
    assert [first.number, second.number] == [0, 1]
    search.tell(second, accuracy(0.7))
    assert sorted(search.results) == [1]
    search.tell(first, accuracy(0.4))
    assert sorted(search.results) == [0, 1, 2, 3]
    (third,) = ask_all(search)
    assert third.number == 4
    assert sorted(search.results) == [0, 1, 2, 3, 5, 6]  # duplicates of the first batch at once
    search.tell(third, accuracy(0.6))
    assert search.done
    originals = {number: result.duplicate_of for number, result in search.results.items()}
    assert originals == {0: None, 1: None, 2: 0, 3: 0, 4: None, 5: 1, 6: 0, 7: 4}
    for number, first in originals.items():
        result = search.results[number]
        if first is not None:
            original = search.results[first]
            assert result.evaluation == dataclasses.replace(
                original.evaluation, seconds=0.0, timings={}
            )
            assert (result.reward, result.cost) == (original.reward, original.cost)
            assert result.trial.seed != original.trial.seed
    assert [rewards.tolist() for _, rewards in updates_of(search)] == [
        [np.float32(r) for r in (0.4, 0.7, 0.4, 0.4)],
        [np.float32(r) for r in (0.6, 0.7, 0.4, 0.6)],
    ]


def test_ask_answers_batches_of_duplicates_itself(start):
    search = start(scripted([A, A], [ALSO_A, A], [A, A]), trials=6, batch=2)
    trial = search.ask()
    assert search.ask() is None
    search.tell(trial, accuracy(0.3))
    assert not search.done and search.ask() is None
    assert search.done and len(search.results) == 6 and len(updates_of(search)) == 3


def test_duplicate_of_a_failed_network_fails(start):
    search = start(scripted([A, B], [A, C]), trials=4, batch=2, failed_batches=0)
    for trial in ask_all(search):
        search.tell(trial, failure("broken") if trial.number == 0 else accuracy(0.5))
    (trial,) = ask_all(search)
    assert trial.number == 3
    assert search.results[2].evaluation.error == "broken" and search.results[2].duplicate_of == 0


def test_best_is_the_earliest_of_equals_in_any_order_of_results(start, tmp_path):
    values = (0.3, 0.8, 0.8, 0.1)
    for name, order in enumerate(itertools.permutations(range(4))):
        search = start(scripted([A, B, C, D]), path=tmp_path / f"{name}", trials=4, batch=4)
        trials = ask_all(search)
        for number in order:
            search.tell(trials[number], accuracy(values[number]))
        assert search.best.trial.number == 1


def test_tell_rejects_trials_that_are_not_waiting(start):
    search = start(scripted([A, B], [C, D]), trials=4, batch=2)
    first, second = ask_all(search)
    search.tell(first, accuracy(0.5))
    with pytest.raises(ValueError, match="trial 0 is not waiting for a result"):
        search.tell(first, accuracy(0.6))
    with pytest.raises(ValueError, match="trial 7 is not waiting for a result"):
        search.tell(dataclasses.replace(second, number=7), accuracy(0.6))
    search.tell(second, accuracy(0.5))
    with pytest.raises(ValueError, match="trial 1 is not waiting"):
        search.tell(second, accuracy(0.6))
    assert len(search.results) == 2
    assert [r.kind for r in read(search.journal.path)].count("result") == 2


@pytest.mark.parametrize(
    "field, value",
    [("trials", 0), ("batch", 0), ("seed", -1), ("failed_batches", -1), ("failed_fraction", 1.5),
     ("failed_fraction", math.nan), ("failed_reward", math.nan), ("failed_reward", 0.1),
     ("seed", 2**32), ("trials", 10**30), ("batch", 10**6)],
)  # fmt: skip
def test_invalid_setting_is_rejected_with_its_name(field, value):
    with pytest.raises(ValueError, match=rf"search: {field} = {value}; accepted:"):
        SearchConfig(**{field: value})


def test_journal_of_another_space_is_rejected(start):
    search = start(scripted([A, B]), trials=2, batch=2)
    search.tell(search.ask(), accuracy(0.5))
    with pytest.raises(UsageError, match=r"line 3: result of trial 1 of space tiny: hash = "):
        start(scripted([A, B]), trials=2, batch=2, space=tiny_space(kernels=(5, 3, 7)))
    with pytest.raises(ValueError, match=r"blocks\[0\].kernel = choice 1; accepted: 0 to 0"):
        start(scripted([A, B]), trials=2, batch=2, space=tiny_space(kernels=(3,)))


def test_proposals_outside_the_space_are_rejected_before_recording(start):
    search = start(scripted([[3, 0, 0]]), trials=1, batch=1)
    with pytest.raises(ValueError, match=r"kernel = choice 3; accepted: 0 to 2"):
        search.ask()
    assert [r.kind for r in read(search.journal.path)] == ["experiment"]
