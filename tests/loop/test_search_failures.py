"""Failed evaluations: their reward, their record, and the limit on their number."""

import math

import jax
import numpy as np
import pytest

from mnas.evaluation import Evaluation, failure
from mnas.loop.journal import read
from mnas.loop.search import TooManyFailures
from mnas.reward import RewardConfig
from tests.loop.searches import A, B, C, D, E, accuracy, ask_all, scripted, updates_of


@pytest.mark.parametrize(
    "evaluation, error",
    [
        (failure(MemoryError("out of memory\nmore")), "MemoryError: out of memory"),
        (Evaluation(accuracy=math.nan), "accuracy is not a number: nan"),
        (Evaluation(accuracy=math.inf), "accuracy is not a number: inf"),
        (Evaluation(accuracy=0.99, error=""), ""),
    ],
)
def test_failures_get_the_failed_reward_and_are_never_best(start, evaluation, error):
    config = {"trials": 3, "batch": 3, "failed_reward": -0.25, "failed_batches": 0}
    search = start(scripted([A, B, C]), **config)
    trials = ask_all(search)
    result = search.tell(trials[0], evaluation)
    assert (result.reward, result.evaluation.error) == (-0.25, error)
    assert search.best is None
    search.tell(trials[1], accuracy(0.1))
    search.tell(trials[2], accuracy(0.05))
    assert search.best.trial.number == 1
    assert updates_of(search)[0][1].tolist() == [-0.25, np.float32(0.1), np.float32(0.05)]
    again = start(scripted([A, B, C]), **config)
    assert again.results[0].evaluation.error == error and again.best.trial.number == 1


def latency(value) -> Evaluation:
    return Evaluation(accuracy=0.5, latency_ms=value)


def test_missing_or_nonpositive_latency_is_a_failure(start):
    reward = RewardConfig(form="hard", cost="latency_ms", target_latency_ms=4.0)
    settings = {"failed_reward": -1.0, "failed_batches": 0}
    search = start(scripted([A, B, C, D, E]), trials=5, batch=5, reward=reward, **settings)
    errors = {}
    for trial, value in zip(ask_all(search), (8.0, None, 0.0, -2.0, math.nan), strict=True):
        errors[trial.number] = search.tell(trial, latency(value)).evaluation.error
    assert errors == {
        0: None,
        1: "the evaluator measured no latency_ms",
        2: "evaluation: latency_ms = 0.0; accepted: a number above 0, or None",
        3: "evaluation: latency_ms = -2.0; accepted: a number above 0, or None",
        4: "the evaluator measured no latency_ms",
    }
    assert updates_of(search)[0][1].tolist() == [0.25, -1, -1, -1, -1]
    assert search.best.trial.number == 0


def test_array_scalars_are_recorded_and_replayed_bit_for_bit(start):
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


def test_too_many_failures_stop_the_search_and_name_the_commonest_cause(start):
    search = start(scripted(*BATCHES), trials=6, batch=2)
    with pytest.raises(
        TooManyFailures, match=r"3 of the first 4 children failed; most often \(2 times\): memory"
    ):
        fail_some(search, {1, 2, 3})
    assert len(updates_of(search)) == 2
    kinds = [record.kind for record in read(search.journal.path)]
    assert kinds[-1] == "update"  # Everything is recorded before the error.


def test_allowed_number_of_failures_does_not_stop_the_search(start, tmp_path):
    fail_some(start(scripted(*BATCHES), trials=6, batch=2), {1, 2})  # half is allowed
    fail_some(start(scripted(*BATCHES), path=tmp_path / "b", trials=6, batch=2), {2, 3})
    never = start(scripted(*BATCHES), path=tmp_path / "c", trials=6, batch=2, failed_batches=0)
    fail_some(never, {0, 1, 2, 3, 4})
    assert never.done and never.best is None
    early = start(
        scripted(*BATCHES), path=tmp_path / "d", trials=6, batch=2, failed_batches=1,
        failed_fraction=0.0,
    )  # fmt: skip
    with pytest.raises(TooManyFailures, match="1 of the first 2"):
        fail_some(early, {1})


def test_short_search_is_checked_for_failures_at_its_end(start):
    search = start(scripted([A, B]), trials=2, batch=2)
    with pytest.raises(TooManyFailures, match="2 of the first 2"):
        fail_some(search, {0, 1})
    assert search.done and len(search.results) == 2


def test_only_the_first_batches_are_checked_for_failures(start):
    search = start(scripted(*BATCHES), trials=6, batch=2, failed_batches=1)
    fail_some(search, {2, 3, 4})
    assert search.done


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        (0.7, "the evaluator returned float, not an Evaluation"),
        (Evaluation(accuracy=93.1), "evaluation: accuracy = 93.1; accepted: 0 to 1"),
        (
            Evaluation(0.5, timings=None),
            "evaluation: timings = None; accepted: at most 100 numbers",
        ),
        (Evaluation(0.5, error=OSError("x" * 10**6)), "OSError: xxx"),
    ],
    ids=["number", "percentage", "timings", "long error"],
)
def test_whatever_tell_is_passed_is_recorded(start, returned, error):
    search = start(scripted([A]), trials=1, batch=1, failed_batches=0)
    told = search.tell(search.ask(), returned)
    assert told.evaluation.error.startswith(error) and told.reward == 0
    assert search.best is None and search.journal.path.stat().st_size < 4000
    again = start(scripted([A]), trials=1, batch=1, failed_batches=0)
    assert again.results[0].evaluation.error == told.evaluation.error
