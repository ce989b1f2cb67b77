"""Evaluator for tests of engines. Its module is imported by Ray workers, so without JAX."""

import ctypes
import dataclasses
import functools
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.evaluation import Evaluation


class Unpicklable(float):
    def __reduce__(self):
        raise TypeError("this number can't be pickled")


def _exhaust_memory():
    raise MemoryError("cannot allocate 4 TiB")


def _interrupt():
    raise KeyboardInterrupt


# Ways for a child to fail, by name: functions that return a result, raise, or end the process.
FAULTS = {
    "memory": _exhaust_memory,
    "exit-status": lambda: sys.exit(3),
    "end": lambda: os._exit(3),
    "segmentation": lambda: ctypes.string_at(0),
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminated": lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(30)),
    "hang": lambda: time.sleep(3600),
    "not-a-number": lambda: Evaluation(math.nan),
    "no-evaluation": lambda: {"accuracy": 0.99},
    "unpicklable": lambda: Evaluation(
        0.99, timings={"train": Unpicklable(1)}, epochs=Unpicklable(2.5)
    ),
    "interrupt": _interrupt,
}


@dataclasses.dataclass(frozen=True)
class TableConfig:
    """Evaluator whose accuracy is a function of the hash and the seed; one in `every` has a fault.

    fault       none, raise, nan, mixed (raise or nan), exit (end the worker, each time), kill-once
                (kill the worker at the first attempt of a network), slow (take a minute), build
                (fail in `build`), environment (raise the settings of XLA and JAX as an error), or
                one of `FAULTS`; all: each of these, by the network
    directory   files with a line per event: `attempts`, the hash of every child started; `builds`,
                the process of every evaluator built
    note_cores  also `cores`: per child, the process and the cores that JAX's threads may use
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

    def fault_of(self, architecture: Architecture) -> str:
        """Return the fault of a faulty architecture."""
        names = list(FAULTS)
        number = int(architecture.canonical_hash()[:8], 16) // self.every
        return names[number % len(names)] if self.fault == "all" else self.fault


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
        if config.fault == "all" or config.fault in FAULTS:
            return FAULTS[config.fault_of(architecture)]()
    time.sleep(config.seconds)
    rng = np.random.default_rng([int(name[:8], 16), seed])
    accuracy = float(rng.uniform(0.1, 0.9))
    for epoch in range(1, config.epochs + 1):
        if report is not None and report(epoch, accuracy * (epoch / config.epochs)) == "stop":
            return Evaluation(accuracy * (epoch / config.epochs), epochs=epoch)
    return Evaluation(accuracy, epochs=config.epochs, seconds=0.5, timings={"train": 0.25})


def trainable(config) -> None:
    """Trainable as a user of `MnasSearcher` writes it."""
    from ray import tune

    evaluation = TableConfig().build()(
        Architecture.from_dict(config["architecture"]), config["seed"]
    )
    tune.report({"accuracy": evaluation.accuracy, "epochs": evaluation.epochs})


def _environment() -> str:
    """Return XLA threads, devices, platforms, cache directory, and the cache's two thresholds."""
    import jax

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
    """Return the cores allowed to this thread and to the threads that JAX starts to compute."""
    import jax
    import jax.numpy as jnp

    before = set(os.listdir("/proc/self/task"))
    jax.block_until_ready(jnp.ones(8) + 1)
    threads = set(os.listdir("/proc/self/task")) - before
    cores = {core for thread in map(int, threads) for core in os.sched_getaffinity(thread)}
    return ",".join(map(str, sorted(cores | os.sched_getaffinity(0))))


def _note(directory: str, name: str, line: str) -> None:
    with open(Path(directory) / name, "a") as file:
        file.write(line + "\n")


def notes(directory: Path | str, name: str) -> list[str]:
    """Return the events that evaluators have written to a file in `directory`."""
    path = Path(directory) / name
    return path.read_text().split() if path.exists() else []
