"""Engine of persistent Ray actors, on this machine or a cluster: the default.

One actor per core (or GPU fraction) lives as long as the search and keeps images and compiled
blocks in memory. The driver assigns one child at a time to each idle actor and waits for results
with `ray.wait`. An actor that died, or that was killed because its child exceeded the time limit,
is replaced by a new one. CPU workers are pinned to cores (`mnas.runtime.pinning`).
"""

import collections
import contextlib
import dataclasses
import os
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import Any

import ray
import ray.exceptions

from mnas.engines.config import EngineConfig, check_engine
from mnas.engines.environment import child_environment, pinned_cores
from mnas.engines.worker import Worker
from mnas.errors import RunFailure, UsageError
from mnas.evaluation import EvaluatorConfig, failure
from mnas.loop.search import Search
from mnas.loop.trial import Trial
from mnas.runtime.pinning import usable_cores

# A socket's path has at most 107 bytes, 103 on macOS, of which Ray's own names take up to 68.
LONGEST_PLACE = 35
MAX_FAILED_STARTS = 3  # consecutive, before the search ends with an error


@dataclasses.dataclass(frozen=True)
class Running:
    """A child under evaluation.

    worker   handle of its actor
    started  seconds on the clock of `time.monotonic`
    """

    worker: Any
    trial: Trial
    started: float


def run(search: Search, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
    """Run `search` until it is done.

    Raises: UsageError for a cluster that cannot be reached or is too small; RunFailure where Ray
    does not start, or workers die before their first child.
    """
    with connect(config), contextlib.closing(_Pool(search, evaluator, config)) as pool:
        pool.drive()


@contextlib.contextmanager
def connect(config: EngineConfig) -> Iterator[None]:
    """Connect this process to Ray within the context.

    Uses the connection that the process has, else the cluster at `config.address`, else a new local
    Ray that ends with the context. Raises: UsageError for an address that cannot be reached,
    RunFailure where Ray does not start.
    """
    if ray.is_initialized():
        yield
        return
    # Quiet: errors of children are in their results, and Ray warns where this variable is not set.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if config.address:
        check_engine(config)
        options |= {"address": config.address}
    else:
        needed = (config.workers or 1) * config.threads
        cpus = max(usable_cores(), needed)
        options |= {"address": "local", "num_cpus": cpus, "include_dashboard": False}
        options |= {"_temp_dir": local_directory()}
    try:
        with warnings.catch_warnings():
            # JAX warns about a fork of a process with threads; Ray's fork is followed by exec.
            warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
            ray.init(**options)
    except ConnectionError as error:
        raise UsageError(
            f"engine: address = {config.address!r}: {str(error).splitlines()[0]}"
        ) from None
    except Exception as error:  # Ray's own errors of starting have no common class
        cause = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunFailure(f"Ray does not start: {cause}; --engine.kind inline needs none") from error
    try:
        yield
    finally:
        ray.shutdown()


def local_directory() -> str:
    """Return the directory for the logs and sockets of a local Ray.

    In the directory of temporary files, if that exists and its path is short enough for sockets
    below it, else in one of the system's. Raises: UsageError where there is none.
    """
    named = os.environ.get("RAY_TMPDIR")
    places = [*filter(None, [named]), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]
    for place in places:
        if os.access(place, os.W_OK | os.X_OK) and len(os.fsencode(place)) <= LONGEST_PLACE:
            return os.path.join(place, "ray")
    raise UsageError(
        f"TMPDIR = {os.environ.get('TMPDIR')!r}: no directory for Ray's sockets; accepted: a "
        f"writable one with a path of at most {LONGEST_PLACE} bytes"
    )


def worker_count(config: EngineConfig, resources: dict[str, float]) -> int:
    """Return the number of workers to start on `resources` (Ray's totals, by name).

    Raises: UsageError where they hold fewer than `config.workers`, or none.
    """
    fitting = int(resources.get("CPU", 0) // config.threads)
    if config.gpus_per_worker:
        fitting = min(fitting, int(resources.get("GPU", 0) / config.gpus_per_worker + 1e-9))
    wanted = config.workers or fitting
    if not 1 <= wanted <= fitting:
        raise UsageError(
            f"engine: workers = {wanted} with {config.threads} threads and "
            f"{config.gpus_per_worker:g} GPUs each, but Ray has {resources.get('CPU', 0):g} CPUs "
            f"and {resources.get('GPU', 0):g} GPUs; accepted: 1 to {fitting}"
        )
    return wanted


class _Pool:
    """Workers of one search and their states: starting, idle, or evaluating a child."""

    def __init__(self, search: Search, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
        self.search, self.config = search, config
        self.actor_class: Any = ray.remote(
            num_cpus=config.threads,
            num_gpus=config.gpus_per_worker,
            runtime_env={"env_vars": child_environment(config)},
        )(Worker)
        self.evaluator = evaluator
        self.starting: dict[Any, Any] = {}  # future of `ready` -> worker
        self.idle: list[Any] = []
        self.running: dict[Any, Running] = {}  # future of `evaluate` -> its child
        self.retry_queue: collections.deque[Trial] = collections.deque()
        self.lost_workers: collections.Counter[int] = collections.Counter()  # by trial number
        self.failed_starts = 0  # consecutive
        for _ in range(worker_count(config, ray.cluster_resources())):
            self._start_worker()

    def drive(self) -> None:
        """Assign children and tell their results until the search is done."""
        while True:
            self._assign()  # which ends a search whose last batch holds duplicates only
            if self.search.done:
                return
            futures = [*self.running, *self.starting]
            ready, _ = ray.wait(futures, num_returns=1, timeout=self._seconds_to_deadline())
            for future in ready:
                if future in self.starting:
                    self._on_started(future)
                else:
                    self._on_evaluated(future)
            self._stop_overdue()

    def close(self) -> None:
        """Kill all workers."""
        workers = [*self.idle, *self.starting.values(), *(r.worker for r in self.running.values())]
        for worker in workers:
            ray.kill(worker)

    def _start_worker(self) -> None:
        worker = self.actor_class.remote(self.evaluator, pinned_cores(self.config))
        self.starting[worker.ready.remote()] = worker

    def _assign(self) -> None:
        """Give every idle worker a child, as long as the search has one."""
        while self.idle:
            trial = self.retry_queue.popleft() if self.retry_queue else self.search.ask()
            if trial is None:
                return
            worker = self.idle.pop()
            future = worker.evaluate.remote(trial.architecture, trial.seed, trial.report)
            self.running[future] = Running(worker, trial, time.monotonic())

    def _on_started(self, future: Any) -> None:
        worker = self.starting.pop(future)
        try:
            ray.get(future)
        except ray.exceptions.RayError as error:
            self.failed_starts += 1
            if self.failed_starts >= MAX_FAILED_STARTS:
                cause = str(error).strip().splitlines()[-1]
                raise RunFailure(f"Ray workers don't start: {cause}") from error
            self._start_worker()
        else:
            self.failed_starts = 0
            self.idle.append(worker)

    def _on_evaluated(self, future: Any) -> None:
        child = self.running.pop(future)
        seconds = time.monotonic() - child.started
        try:
            evaluation = ray.get(future)
        except ray.exceptions.RayTaskError as error:  # the worker survived
            evaluation = failure(error.cause or error, seconds)
        except ray.exceptions.RayError as error:
            self._replace(child.worker)
            self.lost_workers[child.trial.number] += 1
            if self.lost_workers[child.trial.number] <= self.config.retries:
                self.retry_queue.append(child.trial)
            else:
                message = f"worker lost: {type(error).__name__}"
                self.search.tell(child.trial, failure(message, seconds))
            return
        self.idle.append(child.worker)
        self._assign()  # before `tell`, so that the worker does not wait for the journal's write
        self.search.tell(child.trial, evaluation)

    def _replace(self, worker: Any) -> None:
        ray.kill(worker)  # an unreachable worker may still be running
        self._start_worker()

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
            # A child whose result has arrived since the last `ray.wait` was in time.
            if seconds > limit and not ray.wait([future], timeout=0)[0]:
                del self.running[future]
                self._replace(child.worker)
                message = f"time limit of {limit:g} s exceeded"
                self.search.tell(child.trial, failure(message, seconds))
