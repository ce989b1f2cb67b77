"""Records that a search writes into its journal and passes to its observers."""

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.loop.journal import read
from mnas.loop.records import ExperimentRecord
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


def test_search_writes_each_kind_of_record(start):
    search = start(scripted([A, ALSO_A]), trials=2, batch=2, seed=3)
    trial = search.ask()
    search.tell(trial, accuracy(0.5))
    experiment, proposals, first, second, update = read(search.journal.path)
    assert experiment == ExperimentRecord()
    assert proposals.time <= first.time <= second.time <= update.time
    assert without_times(proposals) == {
        "kind": "proposals", "batch": 0, "first_trial": 0, "decisions": (tuple(A), tuple(A)),
        "log_probs": (0.0, float(np.float32(-1 / 3))),
    }  # fmt: skip
    cost = network_cost(SPACE.decode(A))
    common = {
        "kind": "result", "hash": trial.hash, "architecture": SPACE.decode(A).to_dict(),
        "reward": 0.5, "accuracy": 0.5, "params": cost.params, "mult_adds": cost.mult_adds,
        "latency_ms": None, "epochs": 3, "error": None, "history": (), "stopped": False,
    }  # fmt: skip
    assert without_times(first) == {
        **common, "trial": 0, "seed": trial.seed, "duplicate_of": None
    }  # fmt: skip
    assert (first.seconds, first.timings) == (1.5, {"train": 1.25})
    assert without_times(second) == {
        **common, "trial": 1, "seed": second.seed, "duplicate_of": 0
    }  # fmt: skip
    assert (second.seconds, second.timings) == (0.0, {}) and second.seed != first.seed
    assert without_times(update) == {
        "kind": "update", "batch": 0, "mean_reward": 0.5, "controller": {"updates": 1.0},
        "mean_log_prob": pytest.approx(-1 / 6),
    }  # fmt: skip


def test_observers_get_each_record_once_it_is_on_disk(start, tmp_path):
    path, seen = tmp_path / "watched.jsonl", []

    def observe(record):
        assert read(path)[-1] == record
        seen.append(record)

    search = start(
        scripted([A, B, A], [C, D, E]), path=path, observers=(observe,), trials=6, batch=3
    )
    for trial in ask_all(search):
        search.tell(trial, accuracy(0.5))
    assert seen == read(path)[1:]
    count = len(seen)
    start(scripted([A, B, A], [C, D, E]), path=path, observers=(observe,), trials=6, batch=3)
    assert len(seen) == count  # Replayed records are not observed.
