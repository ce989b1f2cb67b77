import dataclasses
import itertools
import json
import math
import sys
from functools import partial

import jax
import numpy as np
import pytest

from controllers.random_search import RandomSearch
from mnas.architecture import Architecture, Block
from mnas.controller import Controller, Proposals
from mnas.cost import network_cost
from mnas.evaluation import Evaluation, evaluate_safely, failure
from mnas.journal import FORMAT, Journal, read
from mnas.loop import Search, SearchConfig, TooManyFailures
from mnas.progress import SearchProgress
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space
from mnas.stopping import StoppingConfig, StoppingRule
from search_spaces.efficientnet import EfficientNetSpace

ACCURACY = RewardConfig(w=0.0)  # reward = accuracy


def tiny_space(kernels=(3, 5, 7)) -> Space:
    block = partial(
        Block,
        kernel=OneOf(*kernels),
        repeats=OneOf(1, 2),
        skip=OneOf("identity", "none", when={"repeats": [2]}),
        stride=2,
        filters=8,
    )
    return Space(
        "tiny",
        partial(Architecture, blocks=(block,), resolution=16, stem=4, head=8, classes=10),
    )


SPACE = tiny_space()
A, B, C, D, E = [0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [0, 1, 1]
ALSO_A = [0, 0, 1]  # the skip of one layer that strides has no effect


def scripted(*batches) -> Controller:
    """Proposes the given batches; `told` are the arguments of every `tell`, without the state."""
    told = []

    def ask(state, key, n):
        return Proposals(np.array(batches[state], np.int32), np.arange(n, dtype=np.float32) / -3)

    def tell(state, proposals, rewards):
        told.append((proposals, rewards))
        return state + 1

    controller = Controller(lambda key: 0, ask, tell, lambda state: {"updates": float(state)})
    ask.told = told
    return controller


def told(search):
    return search.controller.ask.told


def hashing() -> Controller:
    """Proposals depend on the key and on all that was ever told, bit for bit."""

    def ask(state, key, n):
        words = [*np.asarray(jax.random.key_data(key)).tolist(), *state.tolist()]
        rng = np.random.default_rng(words)
        decisions = np.stack([SPACE.sample(rng) for _ in range(n)])
        return Proposals(decisions, rng.normal(size=n).astype(np.float32))

    def tell(state, proposals, rewards):
        content = (proposals.decisions, proposals.log_probs, rewards)
        assert [array.dtype.name for array in content] == ["int32", "float32", "float32"]
        words = np.frombuffer(b"".join(array.tobytes() for array in content), np.uint32)
        return np.random.SeedSequence([*state.tolist(), *words.tolist()]).generate_state(2)

    def init(key):
        return np.asarray(jax.random.key_data(key))

    return Controller(init, ask, tell, lambda state: {"state": float(state[0]), "nan": math.nan})


def open_journal(path) -> Journal:
    journal = Journal(path)
    if not journal.records:
        journal.append({"kind": "experiment", "format": FORMAT})
    return journal


@pytest.fixture
def start(tmp_path):
    """start(controller, trials=..., ...) -> Search on one journal, closed at the end."""
    opened = []

    def make(controller, *, path=None, reward=ACCURACY, observers=(), space=SPACE, **config):
        while opened:
            opened.pop().close()
        opened.append(open_journal(path or tmp_path / "journal.jsonl"))
        return Search(space, controller, reward, SearchConfig(**config), opened[-1], observers)

    yield make
    while opened:
        opened.pop().close()


def ask_all(search):
    """All that are handed out, by number."""
    return sorted(iter(search.ask, None), key=lambda trial: trial.number)


def accuracy(value) -> Evaluation:
    return Evaluation(accuracy=value, epochs=3, seconds=1.5, timings={"train": 1.25})


# --- batches ---


def test_a_batch_is_handed_out_once_and_then_waits(start):
    search = start(scripted([A, B], [C, D], [E]), trials=5, batch=2)
    first, second = ask_all(search)
    assert [first.number, second.number] == [0, 1]
    assert first.architecture == SPACE.decode(A) and second.architecture == SPACE.decode(B)
    assert first.hash == SPACE.decode(A).canonical_hash()
    assert search.ask() is None and not search.done
    search.tell(first, accuracy(0.5))
    assert search.ask() is None and not told(search)  # half a batch updates nothing
    search.tell(second, accuracy(0.6))
    assert len(told(search)) == 1
    assert [trial.number for trial in ask_all(search)] == [2, 3]


def test_a_batch_is_handed_out_largest_first_and_equals_by_number(start, tmp_path):
    search = start(scripted([A, C, B, E, A], [B, D]), trials=7, batch=5)
    asked = list(iter(search.ask, None))
    costs = [network_cost(trial.architecture).mult_adds for trial in asked]
    assert [trial.cost.mult_adds for trial in asked] == costs == sorted(costs, reverse=True)
    assert [trial.number for trial in asked] == [1, 3, 2, 0]  # kernel 7, two layers, 5, 3
    search.tell(asked[0], accuracy(0.5))
    search = start(search.controller, trials=7, batch=5)  # resumed
    assert [trial.number for trial in iter(search.ask, None)] == [3, 2, 0]
    equals = start(scripted([D, E]), path=tmp_path / "equals", trials=2, batch=2)
    first, second = iter(equals.ask, None)
    assert (first.number, second.number) == (0, 1) and first.cost.mult_adds == second.cost.mult_adds


def test_the_last_batch_is_short(start):
    search = start(scripted([A, B], [C, D], [E]), trials=5, batch=2)
    numbers = []
    while not search.done:
        for trial in ask_all(search):
            numbers.append(trial.number)
            search.tell(trial, accuracy(0.5))
    assert numbers == [0, 1, 2, 3, 4]
    assert search.ask() is None and search.done
    assert [len(rewards) for _, rewards in told(search)] == [2, 2, 1]
    assert sorted(search.results) == numbers


def test_rewards_reach_the_controller_in_the_order_of_trials(start):
    search = start(scripted([A, B, C, D]), trials=4, batch=4)
    trials = ask_all(search)
    for number in (2, 0, 3, 1):
        search.tell(trials[number], accuracy(0.1 * number))
    ((proposals, rewards),) = told(search)
    assert rewards.dtype == np.float32
    assert rewards.tolist() == [np.float32(0.1 * number) for number in range(4)]
    assert proposals.decisions.tolist() == [A, B, C, D]
    assert proposals.log_probs.tolist() == [np.float32(-i / 3) for i in range(4)]


def test_the_reward_is_of_accuracy_and_cost(start):
    target = network_cost(SPACE.decode(A)).mult_adds / 2
    search = start(
        scripted([A]), trials=1, batch=1, reward=RewardConfig(form="hard", target_madds=target)
    )
    result = search.tell(search.ask(), accuracy(0.5))
    assert result.reward == pytest.approx(0.25)  # twice the target, beta = -1
    assert result.cost == network_cost(SPACE.decode(A))
    assert search.results == {0: result} and result.repeat_of is None


def test_seeds_depend_on_search_seed_and_trial_number_only(start, tmp_path):
    def seeds(decisions, name, **config):
        search = start(scripted(decisions), path=tmp_path / name, trials=3, batch=3, **config)
        return [trial.seed for trial in ask_all(search)]

    first = seeds([A, B, C], "a")
    assert len(set(first)) == 3 and all(type(seed) is int for seed in first)
    assert seeds([D, E, A], "b") == first
    assert set(seeds([A, B, C], "c", seed=1)).isdisjoint(first)


# --- repeats ---


def test_repeats_within_a_batch_and_across_batches_are_never_handed_out(start):
    search = start(scripted([A, B, A, ALSO_A], [C, B, A, C]), trials=8, batch=4)
    first, second = ask_all(search)
    assert [first.number, second.number] == [0, 1]
    search.tell(second, accuracy(0.7))
    assert sorted(search.results) == [1]
    search.tell(first, accuracy(0.4))
    assert sorted(search.results) == [0, 1, 2, 3]
    (third,) = ask_all(search)
    assert third.number == 4
    assert sorted(search.results) == [0, 1, 2, 3, 5, 6]  # those of the first batch need no waiting
    search.tell(third, accuracy(0.6))
    assert search.done
    repeats = {number: result.repeat_of for number, result in search.results.items()}
    assert repeats == {0: None, 1: None, 2: 0, 3: 0, 4: None, 5: 1, 6: 0, 7: 4}
    for number, of in repeats.items():
        result = search.results[number]
        if of is not None:
            original = search.results[of]
            assert result.evaluation == dataclasses.replace(
                original.evaluation, seconds=0.0, timings={}
            )
            assert (result.reward, result.cost) == (original.reward, original.cost)
            assert result.trial.seed != original.trial.seed
    assert [rewards.tolist() for _, rewards in told(search)] == [
        [np.float32(r) for r in (0.4, 0.7, 0.4, 0.4)],
        [np.float32(r) for r in (0.6, 0.7, 0.4, 0.6)],
    ]


def test_batches_of_repeats_only_need_no_engine(start):
    search = start(scripted([A, A], [ALSO_A, A], [A, A]), trials=6, batch=2)
    trial = search.ask()
    assert search.ask() is None
    search.tell(trial, accuracy(0.3))
    assert not search.done and search.ask() is None  # asks on, and there is nothing to hand out
    assert search.done and len(search.results) == 6 and len(told(search)) == 3


def test_a_failed_network_is_not_tried_again(start):
    search = start(scripted([A, B], [A, C]), trials=4, batch=2, failed_batches=0)
    for trial in ask_all(search):
        search.tell(trial, failure("broken") if trial.number == 0 else accuracy(0.5))
    (trial,) = ask_all(search)
    assert trial.number == 3
    assert search.results[2].evaluation.error == "broken" and search.results[2].repeat_of == 0


# --- failures ---


@pytest.mark.parametrize(
    "evaluation, error",
    [
        (failure(MemoryError("out of memory\nmore")), "MemoryError: out of memory"),
        (Evaluation(accuracy=math.nan), "accuracy is not a number: nan"),
        (Evaluation(accuracy=math.inf), "accuracy is not a number: inf"),
        (Evaluation(accuracy=0.99, error=""), ""),
    ],
)
def test_failures_have_the_failed_reward_and_are_never_the_best(start, evaluation, error):
    config = {"trials": 3, "batch": 3, "failed_reward": 0.25, "failed_batches": 0}
    search = start(scripted([A, B, C]), **config)
    trials = ask_all(search)
    result = search.tell(trials[0], evaluation)
    assert (result.reward, result.evaluation.error) == (0.25, error)
    assert search.best is None
    search.tell(trials[1], accuracy(0.1))
    search.tell(trials[2], accuracy(0.05))
    assert search.best.trial.number == 1  # though 0.25 was more
    assert told(search)[0][1].tolist() == [0.25, np.float32(0.1), np.float32(0.05)]
    again = start(scripted([A, B, C]), **config)
    assert again.results[0].evaluation.error == error and again.best.trial.number == 1


def latency(value) -> Evaluation:
    return Evaluation(accuracy=0.5, latency_ms=value)


def test_latency_rewards(start):
    reward = RewardConfig(form="hard", cost="latency_ms", target_latency_ms=4.0)
    settings = {"failed_reward": -1.0, "failed_batches": 0}
    search = start(scripted([A, B, C, D, E]), trials=5, batch=5, reward=reward, **settings)
    errors = {}
    for trial, value in zip(ask_all(search), (8.0, None, 0.0, -2.0, math.nan), strict=True):
        errors[trial.number] = search.tell(trial, latency(value)).evaluation.error
    assert errors == {
        0: None,
        1: "the evaluator measured no latency_ms",
        2: "reward: latency_ms = 0.0; accepted: a positive number",
        3: "reward: latency_ms = -2.0; accepted: a positive number",
        4: "the evaluator measured no latency_ms",
    }
    assert told(search)[0][1].tolist() == [0.25, -1, -1, -1, -1]
    assert search.best.trial.number == 0


def test_numbers_of_any_kind_are_recorded_as_they_count(start):
    measured = Evaluation(
        accuracy=np.float32(0.1),
        latency_ms=jax.numpy.float32(2.5),
        epochs=np.int64(3),
        seconds=np.float64(1.5),
        timings={"train": np.float32(0.5), "odd": np.float32(np.nan)},
    )
    reward = RewardConfig(w=-0.07, target_madds=1e5)
    search = start(scripted([A]), trials=1, batch=1, reward=reward)
    live = search.tell(search.ask(), measured)
    replayed = start(scripted([A]), trials=1, batch=1, reward=reward).results[0]
    assert replayed.evaluation == live.evaluation
    assert replayed.reward == live.reward and type(live.reward) is float
    assert live.evaluation.timings == {"train": 0.5}


def fail_some(search, failing):
    while not search.done:
        for trial in ask_all(search):
            if trial.number in failing:
                search.tell(trial, failure("disk" if trial.number == 1 else "memory"))
            else:
                search.tell(trial, accuracy(0.5))


BATCHES = ([A, B], [C, D], [E, A])


def test_too_many_failures_stop_the_search_and_name_the_commonest(start):
    search = start(scripted(*BATCHES), trials=6, batch=2)
    with pytest.raises(
        TooManyFailures, match=r"3 of the first 4 children failed; most often \(2 times\): memory"
    ):
        fail_some(search, {1, 2, 3})
    assert len(told(search)) == 2
    kinds = [record["kind"] for record in read(search.journal.path)]
    assert kinds[-1] == "update"  # all of it is recorded


def test_as_many_failures_as_allowed_do_not(start, tmp_path):
    fail_some(start(scripted(*BATCHES), trials=6, batch=2), {1, 2})  # half is not more than half
    fail_some(start(scripted(*BATCHES), path=tmp_path / "b", trials=6, batch=2), {2, 3})
    never = start(scripted(*BATCHES), path=tmp_path / "c", trials=6, batch=2, failed_batches=0)
    fail_some(never, {0, 1, 2, 3, 4})
    assert never.done and never.best is None
    early = start(
        scripted(*BATCHES), path=tmp_path / "d", trials=6, batch=2, failed_batches=1,
        failed_share=0.0,
    )  # fmt: skip
    with pytest.raises(TooManyFailures, match="1 of the first 2"):
        fail_some(early, {1})


def test_a_search_shorter_than_the_first_batches_is_looked_at_too(start):
    search = start(scripted([A, B]), trials=2, batch=2)
    with pytest.raises(TooManyFailures, match="2 of the first 2"):
        fail_some(search, {0, 1})
    assert search.done and len(search.results) == 2


def test_only_the_first_batches_are_looked_at(start):
    search = start(scripted(*BATCHES), trials=6, batch=2, failed_batches=1)
    fail_some(search, {2, 3, 4})
    assert search.done


# --- the best ---


def test_the_best_is_the_earliest_of_equals_in_any_order(start, tmp_path):
    values = (0.3, 0.8, 0.8, 0.1)
    for name, order in enumerate(itertools.permutations(range(4))):
        search = start(scripted([A, B, C, D]), path=tmp_path / f"{name}", trials=4, batch=4)
        trials = ask_all(search)
        for number in order:
            search.tell(trials[number], accuracy(values[number]))
        assert search.best.trial.number == 1


# --- misuse ---


def test_each_trial_is_told_once(start):
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
    assert [r["kind"] for r in read(search.journal.path)].count("result") == 2


@pytest.mark.parametrize(
    "field, value",
    [("trials", 0), ("batch", 0), ("seed", -1), ("failed_batches", -1), ("failed_share", 1.5),
     ("failed_share", math.nan), ("failed_reward", math.nan)],
)  # fmt: skip
def test_bad_settings_are_named(field, value):
    with pytest.raises(ValueError, match=rf"search: {field} = {value}; accepted:"):
        SearchConfig(**{field: value})


def test_the_journal_of_another_space_is_refused(start):
    search = start(scripted([A, B]), trials=2, batch=2)
    search.tell(search.ask(), accuracy(0.5))
    with pytest.raises(ValueError, match=r"trial 1 is network .*, which space tiny does not give"):
        start(scripted([A, B]), trials=2, batch=2, space=tiny_space(kernels=(5, 3, 7)))
    with pytest.raises(ValueError, match=r"blocks\[0\].kernel = choice 1; accepted: 0 to 0"):
        start(scripted([A, B]), trials=2, batch=2, space=tiny_space(kernels=(3,)))


def test_proposals_outside_the_space_are_refused_before_they_are_recorded(start):
    search = start(scripted([[3, 0, 0]]), trials=1, batch=1)
    with pytest.raises(ValueError, match=r"kernel = choice 3; accepted: 0 to 2"):
        search.ask()
    assert [r["kind"] for r in read(search.journal.path)] == ["experiment"]


# --- the journal ---


def test_records_of_a_search(start):
    search = start(scripted([A, ALSO_A]), trials=2, batch=2, seed=3)
    trial = search.ask()
    search.tell(trial, accuracy(0.5))
    experiment, proposals, first, second, update = read(search.journal.path)
    assert experiment["kind"] == "experiment"
    cost = network_cost(SPACE.decode(A))
    assert without_times(proposals) == {
        "kind": "proposals", "batch": 0, "first_trial": 0, "decisions": [A, A],
        "log_probs": [0.0, float(np.float32(-1 / 3))],
    }  # fmt: skip
    assert first.pop("time") <= second.pop("time") <= update["time"]
    assert first == {
        "kind": "result", "trial": 0, "hash": trial.hash, "seed": trial.seed, "repeat_of": None,
        "reward": 0.5, "accuracy": 0.5, "params": cost.params, "mult_adds": cost.mult_adds,
        "latency_ms": None, "epochs": 3, "error": None, "seconds": 1.5, "timings": {"train": 1.25},
        "architecture": SPACE.decode(A).to_dict(),
    }  # fmt: skip
    different = {"trial": 1, "seed": second["seed"], "repeat_of": 0, "seconds": 0.0, "timings": {}}
    assert second == {**first, **different} and second["seed"] != first["seed"]
    assert without_times(update) == {
        "kind": "update", "batch": 0, "mean_reward": 0.5, "controller": {"updates": 1.0},
        "mean_log_prob": pytest.approx(-1 / 6),
    }  # fmt: skip


def test_observers_get_each_record_when_it_is_on_disk(start, tmp_path):
    path, seen = tmp_path / "watched.jsonl", []

    def observe(record):
        assert json.loads(path.read_bytes().splitlines()[-1]) == record
        seen.append(record)

    search = start(
        scripted([A, B, A], [C, D, E]), path=path, observers=(observe,), trials=6, batch=3
    )
    for trial in ask_all(search):
        search.tell(trial, accuracy(0.5))
    assert seen == read(path)[1:]
    count = len(seen)
    start(scripted([A, B, A], [C, D, E]), path=path, observers=(observe,), trials=6, batch=3)
    assert len(seen) == count  # what is replayed is not news


# --- order and resumption ---

TRIALS, BATCH = 23, 5


def evaluate(trial) -> Evaluation:
    """Fails for some networks; any accuracy bits otherwise."""
    number = int(trial.hash, 16)
    if number % 5 == 0:
        return failure("unlucky")
    if number % 5 == 1:
        return Evaluation(accuracy=math.nan)
    return accuracy(np.random.default_rng([number, trial.seed]).random())


def finish(search, rng=None, evaluate=evaluate):
    """To the end; with `rng`, in random order and with some results before the next `ask`."""
    waiting = []
    while not search.done:
        while (trial := search.ask()) is not None:
            waiting.append(trial)
            if rng is not None and rng.random() < 0.3:
                break
        if waiting:
            trial = waiting.pop(int(rng.integers(len(waiting))) if rng is not None else 0)
            search.tell(trial, evaluate(trial))
    assert not waiting
    return search


def without_times(record):
    return {k: v for k, v in record.items() if k not in ("time", "seconds", "timings")}


def facts(path):
    """The records without times, results of a batch sorted by trial."""
    found, batch = [], []
    for record in map(without_times, read(path)):
        if record["kind"] == "result":
            batch.append(record)
        else:
            found += [*sorted(batch, key=lambda result: result["trial"]), record]
            batch = []
    assert not batch
    return found


@pytest.fixture
def whole(start, tmp_path):
    """An uninterrupted search that has repeats, failures and a short last batch."""
    path = tmp_path / "whole.jsonl"
    search = finish(start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0))
    results = search.results.values()
    assert 3 < sum(result.repeat_of is not None for result in results) < TRIALS - 3
    assert sum(result.evaluation.error is not None for result in results) > 2
    assert search.best is not None and len(results) == TRIALS
    return search, path


def outcomes(search):
    return [
        (number, r.reward, r.repeat_of, r.trial.hash, r.trial.seed, r.evaluation.error, r.cost)
        for number, r in sorted(search.results.items())
    ]


def same(search, expected):
    assert outcomes(search) == outcomes(expected)
    assert search.best.trial.number == expected.best.trial.number
    assert search.state.tolist() == expected.state.tolist()
    assert search.batches_done == expected.batches_done and search.done


def test_the_order_of_results_does_not_matter(start, tmp_path, whole):
    expected, path = whole
    orders = set()
    for seed in range(8):
        other = tmp_path / f"{seed}.jsonl"
        search = start(hashing(), path=other, trials=TRIALS, batch=BATCH, failed_batches=0)
        same(finish(search, np.random.default_rng(seed)), expected)
        assert facts(other) == facts(path)
        orders.add(tuple(r["trial"] for r in read(other) if r["kind"] == "result"))
    assert len(orders) > 4


def test_a_search_resumed_anywhere_ends_as_if_never_interrupted(start, tmp_path, whole):
    expected, path = whole
    lines = path.read_bytes().splitlines(keepends=True)
    reference, cut = facts(path), tmp_path / "cut.jsonl"
    for count in range(len(lines) + 1):
        next_line = lines[count] if count < len(lines) else b'{"kind": "update", '
        for torn in (b"", next_line[: len(next_line) // 2], next_line[:-1]):
            cut.write_bytes(b"".join(lines[:count]) + torn)
            search = start(hashing(), path=cut, trials=TRIALS, batch=BATCH, failed_batches=0)
            same(finish(search, np.random.default_rng(count)), expected)
            assert facts(cut) == reference
            # What stood in the journal still stands there, as it was.
            assert cut.read_bytes().startswith(b"".join(lines[:count]))


def test_resumed_again_and_again_after_one_result_each(start, tmp_path, whole):
    expected, path = whole
    again = tmp_path / "again.jsonl"
    rng = np.random.default_rng(0)
    for _ in range(3 * TRIALS):
        search = start(hashing(), path=again, trials=TRIALS, batch=BATCH, failed_batches=0)
        waiting = ask_all(search)
        if search.done:
            break
        trial = waiting[rng.integers(len(waiting))]
        search.tell(trial, evaluate(trial))
    same(search, expected)
    assert facts(again) == facts(path)


def test_trials_in_flight_are_handed_out_again(start):
    search = start(scripted([A, B, A, C]), trials=4, batch=4)
    trials = ask_all(search)
    search.tell(trials[1], accuracy(0.5))
    resumed = start(scripted([A, B, A, C]), trials=4, batch=4)
    again = ask_all(resumed)
    assert [(t.number, t.seed, t.hash) for t in again] == [
        (t.number, t.seed, t.hash) for t in (trials[0], trials[2])
    ]
    assert [trial.number for trial in trials] == [0, 1, 3]


def test_a_finished_journal_gains_nothing_by_being_opened(start, whole):
    expected, path = whole
    before = path.read_bytes()
    search = start(hashing(), path=path, trials=TRIALS, batch=BATCH, failed_batches=0)
    assert search.done and search.ask() is None
    same(search, expected)
    assert path.read_bytes() == before


def test_a_finished_search_can_be_prolonged(start, whole):
    _, path = whole
    search = start(hashing(), path=path, trials=TRIALS + 2, batch=BATCH, failed_batches=0)
    finish(search)
    assert sorted(search.results) == list(range(TRIALS + 2))


def test_non_canonical_proposals_count_as_their_canonical_ones(start):
    search = start(scripted([ALSO_A]), trials=1, batch=1)
    search.tell(search.ask(), accuracy(0.5))
    assert told(search)[0][0].decisions.tolist() == [A]
    resumed = start(scripted([ALSO_A]), trials=1, batch=1)
    assert told(resumed)[0][0].decisions.tolist() == [A]
    assert resumed.results[0].trial.decisions.tolist() == A


# --- stopping ---

MEDIAN = StoppingConfig(quantile=0.5, min_curves=4)


def train(trial) -> Evaluation:
    """Three epochs of rising accuracy, or a failure."""
    number = int(trial.hash, 16)

    def curve(architecture, seed, report=None):
        if number % 5 == 0:
            raise RuntimeError("unlucky")
        final = np.random.default_rng([number, seed]).random()
        for epoch in (1, 2, 3):
            if report is not None and report(epoch, final * epoch / 3) == "stop":
                break
        return Evaluation(final * epoch / 3, epochs=epoch)

    return evaluate_safely(curve, trial.architecture, trial.seed, trial.report)


def history(*accuracies, stopped=False) -> Evaluation:
    curve = tuple(enumerate(accuracies, start=1))
    return Evaluation(accuracies[-1], epochs=len(curve), history=curve, stopped=stopped)


def test_thresholds_are_of_the_batches_before(start):
    batches = [A, B, C], [D, E, A]
    settings = {"trials": 6, "batch": 3, "stopping": StoppingConfig(0.5, min_curves=3)}
    search = start(scripted(*batches), **settings)
    for value, trial in zip((0.3, 0.1, 0.2), ask_all(search), strict=True):
        assert trial.report == StoppingRule()  # asks for reports, stops nothing
        search.tell(trial, history(value, 2 * value))
    first, second = ask_all(search)
    assert first.report == second.report == StoppingRule(((1, 0.2),))
    search.tell(first, history(0.9, 0.95))
    # The same half a batch later, when the journal is read.
    (again,) = ask_all(start(scripted(*batches), **settings))
    assert (again.number, again.report) == (second.number, second.report)


def test_without_stopping_there_is_no_rule_and_nothing_of_it_in_the_journal(start, tmp_path):
    search = start(scripted([A, B]), trials=2, batch=2)
    for trial in ask_all(search):
        assert trial.report is None
        search.tell(trial, train(trial))
    for record in read(tmp_path / "journal.jsonl"):
        assert not {"history", "stopped"} & record.keys()


def test_a_stopped_child_is_best_only_where_none_was_trained_to_its_end(start):
    search = start(scripted([A, B, C], [A]), trials=4, batch=3, stopping=MEDIAN)
    first, second, third = ask_all(search)
    search.tell(first, history(0.9, stopped=True))
    assert search.best.trial.number == 0 and search.best.reward == 0.9
    search.tell(second, history(0.2, 0.3))
    search.tell(third, history(0.1, 0.2))
    assert search.best.trial.number == 1
    search.ask()
    assert search.results[3].evaluation == search.results[0].evaluation  # a repeat
    resumed = start(scripted([A, B, C], [A]), trials=4, batch=3, stopping=MEDIAN)
    assert resumed.best.trial.number == 1
    assert [r.evaluation for r in resumed.results.values()] == [
        r.evaluation for r in search.results.values()
    ]


def test_a_search_that_stops_children_is_the_same_in_any_order_and_resumed(start, tmp_path):
    settings = {"trials": TRIALS, "batch": BATCH, "failed_batches": 0, "stopping": MEDIAN}
    path = tmp_path / "stopping.jsonl"
    expected = finish(start(hashing(), path=path, **settings), evaluate=train)
    evaluations = [r.evaluation for r in expected.results.values() if r.repeat_of is None]
    stopped = [evaluation.epochs for evaluation in evaluations if evaluation.stopped]
    assert len(stopped) > 1 and set(stopped) <= {1, 2}
    assert any(e.error for e in evaluations) and expected.best.evaluation.epochs == 3
    lines, reference = path.read_bytes().splitlines(keepends=True), facts(path)
    for count in range(len(lines) + 1):
        cut = tmp_path / "cut.jsonl"
        cut.write_bytes(b"".join(lines[:count]))
        search = start(hashing(), path=cut, **settings)
        same(finish(search, np.random.default_rng(count), train), expected)
        assert facts(cut) == reference


def lines_run(function) -> int:
    """Lines of `mnas` that a call runs: work counted without a clock."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        if "/mnas/" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def lines_for_each_tell(tmp_path, trials: int, batch: int) -> list[int]:
    """Of the `tell`s of a search's last batch but the last one, which updates."""
    config = SearchConfig(trials=trials, batch=batch)

    def stage():  # its choices cost no lines: each network takes as many
        return partial(Block, kernel=OneOf(3, 5, 7), stride=1, filters=OneOf(*range(8, 800, 8)))

    stages = tuple(stage() for _ in range(4))
    space = Space("alike", partial(Architecture, resolution=32, blocks=stages))
    path = tmp_path / f"{trials}-{batch}.jsonl"
    progress = SearchProgress()
    with Journal(path) as journal:
        journal.append({"kind": "experiment", "format": FORMAT})
        controller = RandomSearch().build(space)
        search = Search(space, controller, RewardConfig(), config, journal, (progress,))
        progress.follow(search)
        while len(search.results) < trials - batch:
            search.tell(search.ask(), Evaluation(0.5))
        handed = list(iter(search.ask, None))
        counts = [lines_run(partial(search.tell, trial, Evaluation(0.5))) for trial in handed]
    return counts


def test_work_for_a_result_grows_neither_with_the_search_nor_with_the_batch(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.journal.os.fsync", lambda file: None)  # nothing to be kept
    # After the first two batches, whose updates look for failures as well.
    few = lines_for_each_tell(tmp_path, trials=40, batch=10)
    late = lines_for_each_tell(tmp_path, trials=210, batch=10)
    many = lines_for_each_tell(tmp_path, trials=200, batch=200)
    # Two hundred of anything would be seen.
    typical = np.median(few[:-1])
    assert np.median(late[:-1]) == pytest.approx(typical, rel=0.1)
    assert np.median(many[:-1]) == pytest.approx(typical, rel=0.1)
    # The update looks at its own batch, and at no result before it.
    assert late[-1] == pytest.approx(few[-1], rel=0.1)


def lines_for_a_batch(tmp_path, batches: int) -> int:
    """Of the `ask` that proposes a batch of one after so many, where children may be stopped."""
    config = SearchConfig(batches + 1, batch=1, stopping=StoppingConfig(0.01, min_curves=1))
    path = tmp_path / f"{batches}.jsonl"
    evaluation = Evaluation(0.5, epochs=3, history=((1, 0.3), (2, 0.4), (3, 0.5)))
    with Journal(path) as journal:
        journal.append({"kind": "experiment", "format": FORMAT})
        space = EfficientNetSpace(resolution=32).build()
        search = Search(space, RandomSearch().build(space), RewardConfig(), config, journal)
        while len(search.results) < batches:
            if (trial := search.ask()) is not None:
                search.tell(trial, evaluation)
        return lines_run(search.ask)


def test_work_for_a_batch_does_not_grow_where_children_are_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("mnas.journal.os.fsync", lambda file: None)
    few, late = (lines_for_a_batch(tmp_path, batches) for batches in (5, 205))
    assert late == pytest.approx(few, rel=0.1)
