"""Searches whose every step is known: a tiny space, scripted and hashing controllers."""

import math
from functools import partial

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Controller, Proposals
from mnas.evaluation import Evaluation, failure
from mnas.loop.journal import FORMAT, Journal, read
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


def ask_all(search):
    """All that are handed out, by number."""
    return sorted(iter(search.ask, None), key=lambda trial: trial.number)


def accuracy(value) -> Evaluation:
    return Evaluation(accuracy=value, epochs=3, seconds=1.5, timings={"train": 1.25})


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


def outcomes(search):
    return [
        (number, r.reward, r.duplicate_of, r.trial.hash, r.trial.seed, r.evaluation.error, r.cost)
        for number, r in sorted(search.results.items())
    ]


def same(search, expected):
    assert outcomes(search) == outcomes(expected)
    assert search.best.trial.number == expected.best.trial.number
    assert search.state.tolist() == expected.state.tolist()
    assert search.batches_done == expected.batches_done and search.done
