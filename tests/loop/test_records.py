"""What a search writes into its journal, and tells its observers."""

import json

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.loop.journal import read
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
    without_times,
)


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
        "kind": "result", "trial": 0, "hash": trial.hash, "seed": trial.seed, "duplicate_of": None,
        "reward": 0.5, "accuracy": 0.5, "params": cost.params, "mult_adds": cost.mult_adds,
        "latency_ms": None, "epochs": 3, "error": None, "seconds": 1.5, "timings": {"train": 1.25},
        "architecture": SPACE.decode(A).to_dict(),
    }  # fmt: skip
    different = {"trial": 1, "seed": second["seed"], "duplicate_of": 0, "seconds": 0.0, "timings": {}}
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
