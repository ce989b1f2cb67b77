"""Searches whose every step is known: a tiny space, scripted and hashing controllers."""

import math
from functools import partial

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Controller, Proposals
from mnas.evaluation import Evaluation, failure
from mnas.loop.journal import read
from mnas.loop.records import ResultRecord, to_json
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space

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
ALSO_A = [0, 0, 1]  # The skip of a single strided layer has no effect.


def scripted(*batches) -> Controller:
    """Return a controller that proposes the given batches; its state holds its updates."""

    def ask(state, key, n):
        decisions = np.array(batches[len(state)], np.int32)
        return Proposals(decisions, np.arange(n, dtype=np.float32) / -3)

    def tell(state, proposals, rewards):
        return (*state, (proposals, rewards))

    return Controller(lambda key: (), ask, tell, lambda state: {"updates": float(len(state))})


def updates_of(search):
    """Return (proposals, rewards) of every update of a search with a scripted controller."""
    return search.state


def hashing() -> Controller:
    """Return a controller whose proposals depend on the key and all updates, bit for bit."""

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


def ask_all(search):
    """Return all trials that are handed out, by number."""
    return sorted(iter(search.ask, None), key=lambda trial: trial.number)


def accuracy(value) -> Evaluation:
    return Evaluation(accuracy=value, epochs=3, seconds=1.5, timings={"train": 1.25})


TRIALS, BATCH = 23, 5


def evaluate(trial) -> Evaluation:
    """Return a failure for some networks, an accuracy of any bits for others."""
    number = int(trial.hash, 16)
    if number % 5 == 0:
        return failure("unlucky")
    if number % 5 == 1:
        return Evaluation(accuracy=math.nan)
    return accuracy(np.random.default_rng([number, trial.seed]).random())


def finish(search, rng=None, evaluate=evaluate):
    """Run to the end; with `rng`, in random order and with some results before the next `ask`."""
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
    """Return the JSON of a record without the fields that depend on the clock."""
    times = ("time", "seconds", "timings")
    return {key: value for key, value in to_json(record).items() if key not in times}


def facts(path):
    """Return the records without times, results of a batch sorted by trial."""
    ordered, batch = [], []
    for record in read(path):
        if isinstance(record, ResultRecord):
            batch.append(record)
        else:
            ordered += [*sorted(batch, key=lambda result: result.trial), record]
            batch = []
    assert not batch
    return [without_times(record) for record in ordered]


def outcomes(search):
    return [
        (number, r.reward, r.duplicate_of, r.trial.hash, r.trial.seed, r.evaluation.error, r.cost)
        for number, r in sorted(search.results.items())
    ]


def assert_same(search, expected):
    assert outcomes(search) == outcomes(expected)
    assert search.best.trial.number == expected.best.trial.number
    assert search.state.tolist() == expected.state.tolist()
    assert search.batches_done == expected.batches_done and search.done
