"""A tiny space, controller and evaluators for the engines' tests; importable in Ray's workers."""

import dataclasses
import functools
import json
import math
import os
import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controller import Controller, Proposals
from mnas.evaluation import Evaluation
from mnas.loop.config import SearchConfig
from mnas.loop.journal import FORMAT, Journal, read
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from mnas.space import OneOf, Space


def space() -> Space:
    """54 networks, so that a search of some dozens has repeats."""
    return Space(
        "tiny",
        functools.partial(
            Architecture,
            name="tiny",
            resolution=32,
            blocks=(
                functools.partial(
                    Block,
                    kernel=OneOf(3, 5),
                    stride=2,
                    expand_ratio=OneOf(1, 3, 6),
                    filters=OneOf(16, 24, 32),
                    repeats=OneOf(1, 2, 3),
                ),
            ),
        ),
    )


def controller(space: Space) -> Controller:
    """Uniform, but every reward and its place changes all that is asked for afterwards."""

    def ask(state, key, n):
        key = jax.random.fold_in(key, state)
        shares = jax.random.uniform(key, (n, len(space.sizes)))
        decisions = space.canonical(np.floor(shares * space.sizes).astype(np.int32))
        return Proposals(decisions, np.full(n, -math.log(space.cardinality()), np.float32))

    def tell(state, proposals, rewards):
        for bits in np.asarray(rewards, np.float32).view(np.uint32):
            state = (state * 1_000_003) ^ bits
        return state

    return Controller(
        init=lambda key: jnp.zeros((), jnp.uint32),
        ask=ask,
        tell=tell,
        summary=lambda state: {"state": float(state)},
    )


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """Accuracies out of the hash; `fault` happens to one network in `every`.

    fault      none, raise, nan, mixed (raise or nan), exit (ends the worker, always), kill-once
               (kills the worker the first time a network comes), slow (takes a minute), build
               (can't be built), environment (raises what XLA and JAX are set to)
    directory  for notes of what happened: a line in `attempts` for each child taken on, one in
               `builds` for each evaluator
    note_cores also a line in `cores` for each child: the process, and the cores that JAX's threads
               may use once it has computed
    """

    fault: str = "none"
    every: int = 4
    directory: str = ""
    seconds: float = 0.0
    build_seconds: float = 0.0
    epochs: int = 3
    note_cores: bool = False

    def build(self):
        time.sleep(self.build_seconds)
        if self.directory:
            _note(self.directory, "builds", str(os.getpid()))
        if self.fault == "build":
            raise OSError("no images here")
        return functools.partial(evaluate, self)

    def faulty(self, architecture: Architecture) -> bool:
        return int(architecture.canonical_hash()[:8], 16) % self.every == 0


def evaluate(config: TableConfig, architecture, seed, report=None) -> Evaluation:
    name = architecture.canonical_hash()
    first_time = not config.directory or name not in notes(config.directory, "attempts")
    if config.directory:
        _note(config.directory, "attempts", name)
    if config.note_cores:
        _note(config.directory, "cores", f"{os.getpid()}:{_cores_of_jax()}")
    if config.faulty(architecture):
        if config.fault == "raise" or (config.fault == "mixed" and seed % 2):
            raise ValueError("this network does not train\nat all")
        if config.fault in ("nan", "mixed"):
            return Evaluation(math.nan)
        if config.fault == "exit":
            os._exit(1)
        if config.fault == "kill-once" and first_time:
            os.kill(os.getpid(), signal.SIGKILL)
        if config.fault == "environment":
            raise RuntimeError(_environment())
        if config.fault == "slow":
            time.sleep(60)
    time.sleep(config.seconds)
    rng = np.random.default_rng([int(name[:8], 16), seed])
    accuracy = float(rng.uniform(0.1, 0.9))
    for epoch in range(1, config.epochs + 1):
        if report is not None and report(epoch, accuracy * (epoch / config.epochs)) == "stop":
            return Evaluation(accuracy * (epoch / config.epochs), epochs=epoch)
    return Evaluation(accuracy, epochs=config.epochs, seconds=0.5, timings={"train": 0.25})


def trainable(config) -> None:
    """What a user of the searcher adapter would write."""
    from ray import tune

    evaluation = TableConfig().build()(
        Architecture.from_dict(config["architecture"]), config["seed"]
    )
    tune.report({"accuracy": evaluation.accuracy, "epochs": evaluation.epochs})


def _environment() -> str:
    """Threads, devices, platforms, cache, and the least that is cached (seconds, bytes)."""
    devices = jax.devices()
    names = (
        "jax_platforms",
        "jax_compilation_cache_dir",
        "jax_persistent_cache_min_compile_time_secs",
        "jax_persistent_cache_min_entry_size_bytes",
    )
    values = [str(getattr(jax.config, name)) for name in names]
    return " ".join([os.environ["NPROC"], str(len(devices)), *values])


def _cores_of_jax() -> str:
    """Where the threads that JAX starts to compute may run, and the one that asks it to."""
    before = set(os.listdir("/proc/self/task"))
    jax.block_until_ready(jnp.ones(8) + 1)
    threads = set(os.listdir("/proc/self/task")) - before
    cores = {core for thread in map(int, threads) for core in os.sched_getaffinity(thread)}
    return ",".join(map(str, sorted(cores | os.sched_getaffinity(0))))


def _note(directory: str, name: str, line: str) -> None:
    with open(Path(directory) / name, "a") as file:
        file.write(line + "\n")


def notes(directory, name: str) -> list[str]:
    path = Path(directory) / name
    return path.read_text().split() if path.exists() else []


def build_search(path: Path, **config) -> Search:
    """A search on the journal at `path`, new or continued."""
    config = {"trials": 22, "batch": 6, "failed_batches": 0, **config}
    journal = Journal(path)
    if not journal.records:
        journal.append({"kind": "experiment", "format": FORMAT})
    here = space()
    reward = RewardConfig(target_madds=1e6)
    return Search(here, controller(here), reward, SearchConfig(**config), journal)


def facts(path: Path) -> list[str]:
    """A journal's lines without times, results of a batch by trial number."""
    lines, results = [], []
    for record in read(path):
        for name in ("time", "seconds", "timings"):
            record.pop(name, None)
        if record["kind"] == "result":
            results.append((record["trial"], json.dumps(record)))
        else:
            lines += [line for _, line in sorted(results)]
            lines.append(json.dumps(record))
            results = []
    return lines + [line for _, line in sorted(results)]
