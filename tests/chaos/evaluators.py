"""Evaluator that logs what it is asked. Imported by worker processes, so without JAX."""

import dataclasses
import functools
import os
import time
from pathlib import Path
from typing import Any

LOG = "CHAOS_LOG"  # environment variable: file with a line "HASH SEED TIME" per evaluation begun


@dataclasses.dataclass(frozen=True)
class LoggedConfig:
    """Another evaluator that takes some seconds longer and logs every evaluation."""

    evaluator: Any
    seconds: float = 0.0

    def build(self):
        return functools.partial(evaluate, self.evaluator.build(), self.seconds)


def evaluate(evaluator, seconds, architecture, seed, report=None):
    line = f"{architecture.canonical_hash()} {seed} {time.time()}\n"
    with open(os.environ[LOG], "a") as file:
        file.write(line)
    time.sleep(seconds)
    return evaluator(architecture, seed, report)


def logged(path: Path) -> list[tuple[str, int, float]]:
    """Return (hash, seed, time) of the evaluations in a log."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(hash, int(seed), float(time)) for hash, seed, time in lines]
