"""Ray Tune: one Tuner for each batch of the search, for Tune's schedulers and loggers.

Tune starts its workers anew for every batch, and has no time limit for a child, so the engine `ray`
is the faster and safer one. What Tune adds is a scheduler that stops a child whose accuracy after
some epochs is behind the others' (ASHA, median stopping), and files that Tune's tools read. For a
pipeline that is a Tuner already there is `mnas.engines.tune_searcher`.

With a scheduler, what is stopped depends on who finishes first, so the search is not reproducible
bit for bit; without one the journal is the same as with every other engine, also where the search
stops hopeless children itself (`mnas.loop.early_stopping`).
"""

import contextlib
import copy
import dataclasses
import functools
import logging
import math
import os
import pickle
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import ray
from ray import tune
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    TrialScheduler,
)

from mnas.architecture.architecture import Architecture
from mnas.engines.config import EngineConfig, UnusableEngine, check_engine
from mnas.engines.environment import child_environment, pinned_cores
from mnas.engines.ray import connect, worker_count
from mnas.engines.tune_searcher import METRIC, MODE, child_config
from mnas.evaluation import Evaluation, EvaluatorConfig, evaluate_safely, failure
from mnas.loop.early_stopping import StoppingRule
from mnas.loop.search import Search
from mnas.loop.trial import Trial
from mnas.runtime.pinning import pin


def asha(epochs: int) -> TrialScheduler:
    """ASHA (arXiv 1810.05934) that goes on with the better half at epochs 1, 2, 4, ..."""
    # A child's whole evaluation is a report of its own, after that of the last epoch.
    return ASHAScheduler(max_t=epochs + 1, grace_period=1, reduction_factor=2)


def median(epochs: int) -> TrialScheduler:
    """Median stopping (Vizier, KDD 2017): best so far below the median of the others' means."""
    return MedianStoppingRule(
        time_attr="training_iteration", grace_period=1, min_samples_required=3
    )


# By name: the scheduler for children of so many epochs.
SCHEDULERS: dict[str, Callable[[int], TrialScheduler]] = {"asha": asha, "median": median}


def run(
    search: Search,
    evaluator: EvaluatorConfig,
    config: EngineConfig,
    scheduler: TrialScheduler | None = None,
    storage_path: Path | str | None = None,
) -> None:
    """Drives `search` to its end with Ray Tune.

    scheduler     stops children early by their 'accuracy' after each epoch; only with one are
                  epochs evaluated and reported at all, as that takes time. A stopped child counts
                  with the accuracy of its last reported epoch, and is exported only where none was
                  trained to its end. The child's whole evaluation is a further report, so ASHA's
                  `max_t` should be above the number of epochs, as that of `asha` is. Not with a
                  search that has a rule of its own (`search.stopping`): two judges are refused
    storage_path  directory (on a cluster, one that all machines share) that Tune's loggers write
                  to, one experiment a batch; nothing is kept where not given

    Raises ValueError for a time limit or a scheduler that can't be had here and for a cluster that
    is too small or out of reach, RuntimeError where the evaluator can't be built.
    """
    check_engine(config)
    if isinstance(
        scheduler, HyperBandScheduler | PopulationBasedTraining | PopulationBasedTrainingReplay
    ):
        raise UnusableEngine(
            f"scheduler {type(scheduler).__name__} pauses or changes children, which can only be "
            "stopped; accepted: ASHAScheduler, MedianStoppingRule and the like"
        )
    if scheduler is not None and search.config.stopping.quantile:
        raise UnusableEngine(
            f"scheduler {type(scheduler).__name__} with search.stopping.quantile = "
            f"{search.config.stopping.quantile:g}; accepted: one of them"
        )
    if scheduler is not None:
        scheduler = copy.copy(scheduler)  # the caller's own stays as it is
        scheduler.on_trial_result = functools.partial(_never_pause, scheduler.on_trial_result)
        if scheduler.metric is None:
            scheduler.set_search_properties(METRIC, MODE)
    with connect(config), _quietly(loggers=storage_path is not None):
        workers = worker_count(config, ray.cluster_resources())
        resources = {"cpu": config.threads, "gpu": config.gpus_per_worker}
        trainable = tune.with_resources(
            tune.with_parameters(
                Child,
                evaluator=evaluator,
                environment=child_environment(config),
                cores=pinned_cores(config),
                reports=scheduler is not None,
            ),
            {name: amount for name, amount in resources.items() if amount},
        )
        while trials := list(iter(search.ask, None)):
            with tempfile.TemporaryDirectory(prefix="mnas-tune-") as temporary:
                teller = _Teller(search, trials)
                children = [child_config(search, trial) for trial in trials]
                tune.Tuner(
                    trainable,
                    param_space={"child": tune.grid_search(children)},
                    tune_config=tune.TuneConfig(
                        scheduler=scheduler,
                        max_concurrent_trials=workers,
                        reuse_actors=True,
                        trial_name_creator=_name,
                        trial_dirname_creator=_name,
                    ),
                    run_config=tune.RunConfig(
                        name=f"batch-{search.batches_done}",
                        storage_path=str(Path(storage_path or temporary).absolute()),
                        callbacks=[teller],
                        failure_config=tune.FailureConfig(max_failures=config.retries),
                        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                        verbose=0,
                    ),
                ).fit()
                teller.finish()


def _never_pause(decide: Callable[..., str], *arguments: Any) -> str:
    """A scheduler's decision; a child it would pause (median stopping, to hear others) goes on."""
    decision = decide(*arguments)
    return TrialScheduler.CONTINUE if decision == TrialScheduler.PAUSE else decision


def _name(trial: Any) -> str:
    return f"trial-{trial.config['child']['trial']}"


class Child(tune.Trainable):
    """Lives in its own process, evaluates one child after the other with one evaluator.

    Without reports one `step` evaluates the whole child. With them the child is evaluated in a
    thread that halts at every report until Tune asks for the next step, or stops the child.
    """

    def setup(
        self,
        config: dict[str, Any],
        evaluator: EvaluatorConfig,
        environment: dict[str, str],
        cores: int,
        reports: bool,
    ) -> None:
        _set_environment(environment)
        if cores:
            pin(cores)
        self._reports = reports
        self._thread: threading.Thread | None = None
        self._stopped = False
        # Raised here, an error would count as the child's, and be retried; `_Teller` raises it.
        self._build_error = None
        try:
            self._evaluate = evaluator.build()
        except Exception as error:
            self._build_error = failure(error).error

    def step(self) -> dict[str, Any]:
        if self._build_error is not None:
            return {"build_error": self._build_error, "done": True}
        if not self._reports:
            thresholds = self.config["child"].get("thresholds")
            return _final(self._child(None if thresholds is None else StoppingRule(thresholds)))
        if self._thread is None:
            self._stopped = False
            self._history: list[tuple[int, float]] = []
            self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
            self._go_on = threading.Semaphore(0)
            self._thread = threading.Thread(
                target=lambda: self._events.put(_final(self._child(self._report))), daemon=True
            )
            self._thread.start()
        else:
            self._go_on.release()
        return self._events.get()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._stop()
        if self._thread is not None:
            self._thread.join()  # an evaluator shares nothing between two children at one time
            self._thread = None
        return True

    def cleanup(self) -> None:
        self._stop()

    def _child(self, report: Any = None) -> Evaluation:
        child = self.config["child"]
        architecture = Architecture.from_dict(child["architecture"])
        return evaluate_safely(self._evaluate, architecture, child["seed"], report)

    def _report(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        if not self._stopped:
            self._history.append((epoch, float(accuracy)))
            history = tuple(self._history)
            self._events.put({"epoch": epoch, METRIC: float(accuracy), "history": history})
            self._go_on.acquire()
        return "stop" if self._stopped else None

    def _stop(self) -> None:
        self._stopped = True
        if self._thread is not None:
            self._go_on.release()


def _final(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "epoch": evaluation.epochs,
        METRIC: evaluation.accuracy,
        "evaluation": dataclasses.asdict(evaluation),
        "done": True,
    }


def _set_environment(environment: dict[str, str]) -> None:
    """Sets variables in a process that has imported JAX but not yet used it.

    Tune leaves no other place: its actors have a runtime environment of Tune's own. XLA reads its
    variables at first use, JAX its own when it is imported, so JAX is told of those as well.
    """
    os.environ.update(environment)
    for name, value in environment.items():
        if name.startswith("JAX_"):
            current = getattr(jax.config, name.lower())
            number = type(current) in (int, float)
            jax.config.update(name.lower(), type(current)(value) if number else value)


class _Teller(tune.Callback):
    """Tells the search each result as it arrives, so that it is in the journal at once."""

    def __init__(self, search: Search, trials: list[Trial]) -> None:
        self._search = search
        self._waiting = {trial.number: trial for trial in trials}
        self._error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune saves its callbacks to resume from; we resume from the journal

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        result = trial.last_result
        if "build_error" in result:
            message = f"Ray workers don't start: {result['build_error']}"
            self._error = self._error or RuntimeError(message)
        elif "evaluation" in result:
            self._tell(trial, Evaluation(**result["evaluation"]))
        elif METRIC in result:  # stopped by the scheduler
            evaluation = Evaluation(
                result[METRIC],
                epochs=result["epoch"],
                seconds=result["time_total_s"],
                history=result["history"],
                stopped=result["epoch"] < self._longest(),
            )
            self._tell(trial, evaluation)

    def _longest(self) -> float:
        """Epochs of a whole training; a scheduler may also "stop" a child after its last one."""
        found = [result.evaluation for result in self._search.results.values()]
        return max((e.epochs for e in found if not e.error and not e.stopped), default=math.inf)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        try:
            with open(trial.pickled_error_file, "rb") as file:
                error: Exception = pickle.load(file)
        except Exception:  # not written, or of a class that can't be read back
            self._tell(trial, failure("failed in Ray Tune"))
            return
        if getattr(error, "actor_init_failed", False):
            cause = str(error).strip().splitlines()[-1]
            self._error = self._error or RuntimeError(f"Ray workers don't start: {cause}")
        elif isinstance(error, ray.exceptions.RayTaskError):
            self._tell(trial, failure(error.cause or error))
        else:
            self._tell(trial, failure(f"worker lost: {type(error).__name__}"))

    def _tell(self, trial: Any, evaluation: Evaluation) -> None:
        # Tune takes an exception raised here for the trial's own; it waits until Tune is through.
        if self._error is None:
            try:
                number = trial.config["child"]["trial"]
                self._search.tell(self._waiting.pop(number), evaluation)
            except Exception as error:
                self._error = error

    def finish(self) -> None:
        """Raises what went wrong while Tune ran."""
        if self._error is not None:
            raise self._error
        if self._waiting:
            raise RuntimeError(f"Ray Tune ended without results of trials {[*self._waiting]}")


@contextlib.contextmanager
def _quietly(loggers: bool) -> Iterator[None]:
    """Tune without its messages, and with its files only where they are wanted."""
    settings = {
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "0" if loggers else "1",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search, not one batch of it
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints tables even at verbosity 0
        "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths mean the same to every engine
    }
    before = {name: os.environ.get(name) for name in settings}
    logger = logging.getLogger("ray.tune")
    level = logger.level
    os.environ.update(settings)
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
