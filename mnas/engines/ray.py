"""Engine of persistent Ray actors, on this machine or a cluster: the default.

One actor per core (or GPU fraction) lives as long as the search and keeps images and compiled
blocks in memory. The driver assigns one child at a time to each idle actor and waits for results
with `ray.wait`. An actor that died, or that was killed because its child exceeded the time limit,
is replaced by a new one. CPU workers are pinned to cores (`mnas.runtime.pinning`).

SIGINT and SIGTERM are deferred to the driver's loop, since Ray does not survive an exception within
its calls; the loop also looks whether Ray itself is alive (`mnas.engines.ray_connection`).
"""

import collections
import contextlib
import dataclasses
import time
from typing import Any

import ray
import ray.exceptions

from mnas.engines.config import EngineConfig
from mnas.engines.environment import backend_of, child_environment, pinned_cores
from mnas.engines.ray_connection import Services, connect
from mnas.engines.ray_gpus import no_such_gpus
from mnas.engines.ray_losses import LossCauses
from mnas.engines.worker import Worker
from mnas.errors import RunFailure, UsageError
from mnas.evaluation import MAX_TIMINGS, Evaluation, EvaluatorConfig, failure
from mnas.loop.group import TrialSource
from mnas.loop.records import WORKER
from mnas.loop.trial import Trial
from mnas.runtime import signals

MAX_FAILED_STARTS = 3  # consecutive, before the search ends with an error
CHECK_SECONDS = 0.5  # between looks at signals and at Ray


@dataclasses.dataclass(frozen=True)
class Running:
    """A child under evaluation.

    worker   handle of its actor
    number   of the worker, from 0
    started  seconds on the clock of `time.monotonic`
    """

    worker: Any
    number: int
    trial: Trial
    started: float


def run(search: TrialSource, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
    """Run `search` until it is done.

    Raises: UsageError where Ray cannot be reached or started, or has too few resources; RunFailure
    where workers die before their first child, or where Ray itself ends; KeyboardInterrupt.
    """
    with (
        signals.deferred(),
        connect(config) as services,
        contextlib.closing(_Pool(search, evaluator, config, services)) as pool,
    ):
        pool.drive()


def worker_count(config: EngineConfig, resources: dict[str, float]) -> int:
    """Return the number of workers to start on `resources` (Ray's totals, by name).

    Raises: UsageError where they hold fewer than `config.workers`, or none.
    """
    fitting = int(resources.get("CPU", 0) // config.threads)
    if config.gpu_share:
        gpus = resources.get("GPU", 0)
        if gpus < config.gpu_share:
            raise no_such_gpus(config, gpus)
        fitting = min(fitting, int(gpus / config.gpu_share + 1e-9))
    wanted = config.workers or fitting
    has = f"but Ray has {resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
    if not fitting:
        raise UsageError(
            f"engine: threads = {config.threads}, {has}; accepted: 1 to {resources.get('CPU', 0):g}"
        )
    if wanted > fitting:
        raise UsageError(
            f"engine: workers = {wanted} with {config.threads} threads and "
            f"{config.gpu_share:g} GPUs each, {has}; accepted: 1 to {fitting}"
        )
    return wanted


class _Pool:
    """Workers of one search and their states: starting, idle, or evaluating a child."""

    def __init__(
        self,
        search: TrialSource,
        evaluator: EvaluatorConfig,
        config: EngineConfig,
        services: Services,
    ) -> None:
        self.search, self.config, self.services = search, config, services
        self.loss_causes = LossCauses()
        self.actor_class: Any = ray.remote(
            num_cpus=config.threads,
            num_gpus=config.gpu_share,
            runtime_env={"env_vars": child_environment(config)},
        )(Worker)
        self.evaluator = evaluator
        self.starting: dict[Any, Any] = {}  # future of `ready` -> worker
        self.idle: list[Any] = []
        self.running: dict[Any, Running] = {}  # future of `evaluate` -> its child
        self.retry_queue: collections.deque[Trial] = collections.deque()
        self.lost_workers: collections.Counter[int] = collections.Counter()  # by trial number
        self.failed_starts = 0  # consecutive
        self.checked = time.monotonic()  # when Ray's services were looked at
        self.numbers: dict[Any, int] = {}  # worker -> its number
        for number in range(worker_count(config, ray.cluster_resources())):
            self._start_worker(number)

    def drive(self) -> None:
        """Assign children and tell their results until the search is done."""
        while True:
            self._assign()  # which ends a search whose last batch holds duplicates only
            if self.search.done:
                return
            futures = [*self.running, *self.starting]
            ready, _ = ray.wait(futures, num_returns=1, timeout=self._seconds_to_wait())
            self._check()
            for future in ready:
                if future in self.starting:
                    self._on_started(future)
                else:
                    self._on_evaluated(future)
            self._stop_overdue()

    def _check(self) -> None:
        """Raise the exception of a signal, or of the end of Ray itself."""
        signals.check()
        if time.monotonic() > self.checked + CHECK_SECONDS:
            self.services.check()
            self.checked = time.monotonic()

    def close(self) -> None:
        """Kill all workers."""
        workers = [*self.idle, *self.starting.values(), *(r.worker for r in self.running.values())]
        for worker in workers:
            ray.kill(worker)

    def _start_worker(self, number: int) -> None:
        config = self.config
        worker = self.actor_class.remote(self.evaluator, pinned_cores(config), backend_of(config))
        self.starting[worker.ready.remote()] = worker
        self.numbers[worker] = number

    def _assign(self) -> None:
        """Give every idle worker a child, as long as the search has one."""
        while self.idle:
            trial = self.retry_queue.popleft() if self.retry_queue else self.search.ask()
            if trial is None:
                return
            worker = self.idle.pop()
            future = worker.evaluate.remote(trial.architecture, trial.seed, trial.report)
            self.running[future] = Running(worker, self.numbers[worker], trial, time.monotonic())

    def _on_started(self, future: Any) -> None:
        worker = self.starting.pop(future)
        try:
            ray.get(future)
        except ray.exceptions.RayError as error:
            self.failed_starts += 1
            if self.failed_starts >= MAX_FAILED_STARTS:
                cause = self.loss_causes.cause_of_start(error)
                raise RunFailure(f"Ray workers don't start: {cause}") from error
            self._start_worker(self.numbers.pop(worker))
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
            self.services.check()  # a worker that was lost with Ray itself is not the child's fault
            self._replace(child.worker)
            cause = self.loss_causes.cause(error)
            self.lost_workers[child.trial.number] += 1
            if self.lost_workers[child.trial.number] <= self.config.retries:
                self.retry_queue.append(child.trial)
            else:
                self._tell(child, failure(cause, seconds))
            return
        self.idle.append(child.worker)
        self._assign()  # before `tell`, so that the worker does not wait for the journal's write
        self._tell(child, evaluation)

    def _replace(self, worker: Any) -> None:
        ray.kill(worker)  # an unreachable worker may still be running
        self._start_worker(self.numbers.pop(worker))

    def _tell(self, child: Running, evaluation: Evaluation) -> None:
        """Tell the search an evaluation, with the number of its worker if it has room for it."""
        if len(evaluation.timings) < MAX_TIMINGS:
            timings = {**evaluation.timings, WORKER: float(child.number)}
            evaluation = dataclasses.replace(evaluation, timings=timings)
        self.search.tell(child.trial, evaluation)

    def _seconds_to_wait(self) -> float:
        """Return the time to the next check or to the end of the first child's time limit."""
        limit = self.config.time_limit_seconds
        if limit is None or not self.running:
            return CHECK_SECONDS
        first = min(child.started for child in self.running.values())
        return min(CHECK_SECONDS, max(0.0, first + limit - time.monotonic()))

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
                self._tell(child, failure(message, seconds))
