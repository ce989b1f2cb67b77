"""Persistent Ray actors, on this machine or a cluster: the default engine.

One actor a core (or share of a GPU) lives as long as the search, so that images and compiled
blocks stay in its memory; the driver hands out one child at a time and waits with `ray.wait`. A
worker that dies, or is killed because its child ran over the time limit, is replaced by a new one:
one path for both, whatever the cause. On CPUs each has cores of its own (`mnas.runtime.pinning`).
"""

import collections
import contextlib
import dataclasses
import os
import time
import warnings
from collections.abc import Iterator
from typing import Any

import ray
import ray.exceptions

from mnas.engines.config import EngineConfig, UnusableEngine, check_engine
from mnas.engines.environment import child_environment, pinned_cores
from mnas.evaluation import Evaluation, EvaluatorConfig, Report, evaluate_safely, failure
from mnas.loop.search import Search
from mnas.loop.trial import Trial
from mnas.runtime.pinning import allowed_cores, pin

START_ATTEMPTS = 3  # in a row, before a worker that can't even start ends the search


class Worker:
    """Lives in its own process; holds one evaluator."""

    def __init__(self, config: EvaluatorConfig, cores: int) -> None:
        if cores:
            pin(cores)
        self._evaluate = config.build()

    def ready(self) -> None:
        """Answers once the constructor is through."""

    def evaluate(self, architecture: Any, seed: int, report: Report | None) -> Evaluation:
        return evaluate_safely(self._evaluate, architecture, seed, report)


@dataclasses.dataclass(frozen=True)
class Running:
    """A child under evaluation; `started` is on the clock of `time.monotonic`, seconds."""

    worker: Any
    trial: Trial
    started: float


def run(search: Search, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
    """Drives `search` to its end on Ray.

    Raises ValueError for a cluster that can't be reached or is too small, RuntimeError where
    workers die before their first child.
    """
    with connect(config), contextlib.closing(_Pool(search, evaluator, config)) as pool:
        pool.drive()


@contextlib.contextmanager
def connect(config: EngineConfig) -> Iterator[None]:
    """Ray for as long as the context lasts: the one that runs in this process, or `config`'s.

    Raises ValueError for an address that can't be reached.
    """
    if ray.is_initialized():
        yield
        return
    # A search ought to be quiet: what goes wrong in a child is recorded as its error.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if config.address:
        check_engine(config)
        options |= {"address": config.address}
    else:
        needed = (config.workers or 1) * config.threads
        cpus = max(len(allowed_cores()), needed)
        options |= {"address": "local", "num_cpus": cpus, "include_dashboard": False}
    try:
        with warnings.catch_warnings():
            # JAX warns of a fork with threads; Ray's is followed by an exec at once.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(**options)
    except ConnectionError as error:
        raise UnusableEngine(
            f"engine: address = {config.address!r}: {str(error).splitlines()[0]}"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


def worker_count(config: EngineConfig, resources: dict[str, float]) -> int:
    """How many workers `resources` (Ray's, by name) hold; ValueError where fewer than wanted."""
    fits = int(resources.get("CPU", 0) // config.threads)
    if config.gpus_per_worker:
        fits = min(fits, int(resources.get("GPU", 0) / config.gpus_per_worker + 1e-9))
    wanted = config.workers or fits
    if not 1 <= wanted <= fits:
        raise UnusableEngine(
            f"engine: workers = {wanted} of {config.threads} threads and "
            f"{config.gpus_per_worker:g} GPUs each, but Ray has {resources.get('CPU', 0):g} CPUs "
            f"and {resources.get('GPU', 0):g} GPUs; accepted: 1 to {fits}"
        )
    return wanted


class _Pool:
    """The workers, and what each is doing: starting, idle, or running a child."""

    def __init__(self, search: Search, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
        self.search, self.config = search, config
        self.actor = ray.remote(
            num_cpus=config.threads,
            num_gpus=config.gpus_per_worker,
            runtime_env={"env_vars": child_environment(config)},
        )(Worker)
        self.evaluator = evaluator
        self.starting: dict[Any, Any] = {}  # future of `ready` -> worker
        self.idle: list[Any] = []
        self.running: dict[Any, Running] = {}  # future of `evaluate` -> what runs
        self.again: collections.deque[Trial] = collections.deque()  # their worker was lost
        self.lost: collections.Counter[int] = collections.Counter()  # workers lost, by trial
        self.failed_starts = 0
        for _ in range(worker_count(config, ray.cluster_resources())):
            self._start()

    def drive(self) -> None:
        while not self.search.done:
            self._hand_out()
            if self.search.done:  # the last batch may have been all repeats
                break
            futures = [*self.running, *self.starting]
            ready, _ = ray.wait(futures, num_returns=1, timeout=self._seconds_to_deadline())
            for future in ready:
                if future in self.starting:
                    self._started(future)
                else:
                    self._finished(future)
            self._stop_overdue()

    def close(self) -> None:
        workers = [*self.idle, *self.starting.values(), *(r.worker for r in self.running.values())]
        for worker in workers:
            ray.kill(worker)

    def _start(self) -> None:
        worker = self.actor.remote(self.evaluator, pinned_cores(self.config))
        self.starting[worker.ready.remote()] = worker

    def _hand_out(self) -> None:
        while self.idle:
            trial = self.again.popleft() if self.again else self.search.ask()
            if trial is None:
                return
            worker = self.idle.pop()
            future = worker.evaluate.remote(trial.architecture, trial.seed, trial.report)
            self.running[future] = Running(worker, trial, time.monotonic())

    def _started(self, future: Any) -> None:
        worker = self.starting.pop(future)
        try:
            ray.get(future)
        except ray.exceptions.RayError as error:
            self.failed_starts += 1
            if self.failed_starts >= START_ATTEMPTS:
                cause = str(error).strip().splitlines()[-1]
                raise RuntimeError(f"Ray workers don't start: {cause}") from error
            self._start()
        else:
            self.failed_starts = 0
            self.idle.append(worker)

    def _finished(self, future: Any) -> None:
        child = self.running.pop(future)
        seconds = time.monotonic() - child.started
        try:
            evaluation = ray.get(future)
        except ray.exceptions.RayTaskError as error:  # the worker lives
            evaluation = failure(error.cause or error, seconds)
        except ray.exceptions.RayError as error:
            self._replace(child.worker)
            self.lost[child.trial.number] += 1
            if self.lost[child.trial.number] <= self.config.retries:
                self.again.append(child.trial)
            else:
                message = f"worker lost: {type(error).__name__}"
                self.search.tell(child.trial, failure(message, seconds))
            return
        self.idle.append(child.worker)
        self._hand_out()  # the worker has its next child before this one's result is on disk
        self.search.tell(child.trial, evaluation)

    def _replace(self, worker: Any) -> None:
        ray.kill(worker)  # it may be only out of reach
        self._start()

    def _seconds_to_deadline(self) -> float | None:
        limit = self.config.time_limit_seconds
        if limit is None or not self.running:
            return None
        first = min(child.started for child in self.running.values())
        return max(0.0, first + limit - time.monotonic())

    def _stop_overdue(self) -> None:
        limit = self.config.time_limit_seconds
        if limit is None:
            return
        for future, child in list(self.running.items()):
            seconds = time.monotonic() - child.started
            # One that has finished, and only waits to be seen, was in time.
            if seconds > limit and not ray.wait([future], timeout=0)[0]:
                del self.running[future]
                self._replace(child.worker)
                message = f"time limit of {limit:g} s exceeded"
                self.search.tell(child.trial, failure(message, seconds))
