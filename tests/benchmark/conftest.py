"""Fake contenders of the benchmark of training, which compute nothing."""

import dataclasses
from collections.abc import Callable

import pytest

from mnas.benchmark.contender import TRAINING_CONTENDERS
from mnas.benchmark.processes import Arrangement

SOURCE = """
import os
import time

print("libraries may print")


class Contender:
    versions = {"fake": "1"}

    def __init__(self, job):
        self.job = job

    def build(self, child):
        return child["params"] + SURPLUS

    def step(self):
        time.sleep(0.001)

    def wait(self, loss):
        pass

    def train(self, child):
        TRAIN
        return {"compile_seconds": 0.0, "accuracy": 0.5}
"""


@pytest.fixture
def fake_contender(tmp_path, monkeypatch) -> Callable[..., None]:
    """Make every contender a fake; the returned function changes one of them.

    surplus  parameters that it builds in excess
    train    line of code that runs in training
    head     code at the top of its file
    """

    def replace(name: str, *, surplus: int = 0, train: str = "pass", head: str = "") -> None:
        path = tmp_path / f"{name}.py"
        path.write_text(head + SOURCE.replace("SURPLUS", str(surplus)).replace("TRAIN", train))
        spec = dataclasses.replace(TRAINING_CONTENDERS[name], file=path)
        monkeypatch.setitem(TRAINING_CONTENDERS, name, spec)

    for name in TRAINING_CONTENDERS:
        replace(name)
    return replace


@pytest.fixture
def one_arrangement(monkeypatch) -> None:
    """Offer a single arrangement, to start fewer processes."""
    single = [Arrangement("one process", 1, 1)]
    monkeypatch.setattr("mnas.benchmark.training.arrangements", lambda cores: single)
