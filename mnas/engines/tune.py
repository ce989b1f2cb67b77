"""Engine that runs each batch of a search as one Ray Tune experiment.

Tune adds schedulers that stop children with low accuracy (ASHA, median stopping) and loggers whose
files Tune's tools read. It starts its workers anew for every batch and has no time limit for a
child, so the engine `ray` is faster and more robust. To use a search within a Tuner of your own,
see `mnas.engines.tune_searcher`.

A scheduler compares children by their time of arrival, so a search with one is not reproducible
bit for bit. Without a scheduler the journal is the same as with every other engine, also where the
search itself stops underperforming children (`mnas.loop.early_stopping`).
"""

import contextlib
import copy
import functools
import logging
import math
import pickle
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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

from mnas.engines.check import check_engine
from mnas.engines.config import EngineConfig
from mnas.engines.environment import (
    backend_of,
    child_environment,
    environment_variables,
    pinned_cores,
)
from mnas.engines.ray import worker_count
from mnas.engines.ray_connection import Services, connect
from mnas.engines.tune_child import METRIC, MODE, Child
from mnas.engines.tune_searcher import child_config
from mnas.errors import RunFailure, UsageError
from mnas.evaluation import Evaluation, EvaluatorConfig, failure
from mnas.loop.group import TrialSource
from mnas.loop.trial import Trial
from mnas.runtime import signals

TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the search, not only the current batch
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints tables even at verbosity 0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths resolve as with the other engines
}


def asha(epochs: int) -> TrialScheduler:
    """Return ASHA (arXiv 1810.05934) that keeps the better half at epochs 1, 2, 4, ..."""
    # The complete evaluation is one more report, after that of the last epoch.
    return ASHAScheduler(max_t=epochs + 1, grace_period=1, reduction_factor=2)


def median(epochs: int) -> TrialScheduler:
    """Return median stopping (Vizier, KDD 2017), which does not depend on `epochs`.

    It stops a child whose best accuracy is below the median of the others' mean accuracies.
    """
    return MedianStoppingRule(
        time_attr="training_iteration", grace_period=1, min_samples_required=3
    )


# Schedulers by name: functions of the number of epochs of a child.
SCHEDULERS: dict[str, Callable[[int], TrialScheduler]] = {"asha": asha, "median": median}


def run(
    search: TrialSource,
    evaluator: EvaluatorConfig,
    config: EngineConfig,
    scheduler: TrialScheduler | None = None,
    storage_path: Path | str | None = None,
) -> None:
    """Run `search` until it is done.

    scheduler     Tune scheduler that may stop children by their 'accuracy' after each epoch.
                  Accuracy is evaluated and reported per epoch only with one, because that takes
                  time. A stopped child keeps the accuracy of its last reported epoch, and is
                  exported only where no child was trained completely. The complete evaluation is
                  one more report, so `max_t` of ASHA should exceed the number of epochs (`asha`)
    storage_path  directory for the files of Tune's loggers, one experiment per batch; on a cluster,
                  a directory shared by all machines. None keeps no files

    Raises: UsageError for a time limit, for a scheduler that pauses or changes children, for a
    scheduler in a search that has a stopping rule of its own (`search.config.stopping`), and for a
    cluster that cannot be reached or is too small; RunFailure where `evaluator.build` fails.
    """
    check_engine(config)
    if scheduler is not None:
        scheduler = _prepared(scheduler, search)
    loggers = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1" if storage_path is None else "0"}
    with (
        signals.deferred(),
        connect(config) as services,
        environment_variables({**TUNE_ENVIRONMENT, **loggers}),
        _no_logging(),
    ):
        workers = worker_count(config, ray.cluster_resources())
        trainable = _trainable(evaluator, config, reports=scheduler is not None)
        while trials := list(iter(search.ask, None)):
            with tempfile.TemporaryDirectory(prefix="mnas-tune-") as temporary:
                recorder = _Recorder(search, trials, services)
                children = [child_config(search, trial) for trial in trials]
                tune.Tuner(
                    trainable,
                    param_space={"child": tune.grid_search(children)},
                    tune_config=tune.TuneConfig(
                        scheduler=scheduler,
                        max_concurrent_trials=workers,
                        reuse_actors=True,
                        trial_name_creator=_trial_name,
                        trial_dirname_creator=_trial_name,
                    ),
                    run_config=tune.RunConfig(
                        name=f"batch-{search.batches_done}",
                        storage_path=str(Path(storage_path or temporary).absolute()),
                        callbacks=[recorder],
                        failure_config=tune.FailureConfig(max_failures=config.retries),
                        checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                        verbose=0,
                    ),
                ).fit()
                recorder.finish()


def _prepared(scheduler: TrialScheduler, search: TrialSource) -> TrialScheduler:
    """Return a copy of `scheduler` that never pauses a child; UsageError for unsuitable ones."""
    name = type(scheduler).__name__
    if isinstance(
        scheduler, HyperBandScheduler | PopulationBasedTraining | PopulationBasedTrainingReplay
    ):
        raise UsageError(
            f"scheduler {name} pauses or changes children, which can only be stopped; accepted: "
            "ASHAScheduler, MedianStoppingRule and the like"
        )
    if search.config.stopping.quantile:
        raise UsageError(
            f"scheduler {name} with search.stopping.quantile = "
            f"{search.config.stopping.quantile:g}; accepted: one of them"
        )
    scheduler = copy.copy(scheduler)
    decide = functools.partial(_without_pause, scheduler.on_trial_result)
    scheduler.on_trial_result = decide  # type: ignore[method-assign]
    if scheduler.metric is None:
        scheduler.set_search_properties(METRIC, MODE)
    return scheduler


def _without_pause(decide: Callable[..., str], *arguments: Any) -> str:
    """Return the scheduler's decision, with PAUSE (median stopping) replaced by CONTINUE."""
    decision = decide(*arguments)
    return TrialScheduler.CONTINUE if decision == TrialScheduler.PAUSE else decision


def _trainable(evaluator: EvaluatorConfig, config: EngineConfig, reports: bool) -> Any:
    """Return `Child` with its arguments and its resources."""
    child = tune.with_parameters(
        Child,
        evaluator=evaluator,
        environment=child_environment(config),
        cores=pinned_cores(config),
        backend=backend_of(config),
        reports=reports,
    )
    resources: dict[str, float] = {"cpu": config.threads}
    if config.gpu_share:
        resources["gpu"] = config.gpu_share
    return tune.with_resources(child, resources)


def _trial_name(trial: Any) -> str:
    return f"trial-{trial.config['child']['trial']}"


class _Recorder(tune.Callback):
    """Tune callback that tells the search each result when it arrives."""

    def __init__(self, search: TrialSource, trials: Sequence[Trial], services: Services) -> None:
        self._search, self._services = search, services
        self._outstanding = {trial.number: trial for trial in trials}
        self._error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks for resumption; ours starts from the journal

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        signals.check()
        self._services.check()

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        result = trial.last_result
        if "build_error" in result:
            message = f"Ray workers don't start: {result['build_error']}"
            self._error = self._error or RunFailure(message)
        elif "evaluation" in result:
            self._tell(trial, Evaluation(**result["evaluation"]))
        elif METRIC in result:  # stopped by the scheduler
            evaluation = Evaluation(
                result[METRIC],
                epochs=result["epoch"],
                seconds=result["time_total_s"],
                history=result["history"],
                stopped=result["epoch"] < self._epochs_of_complete_training(),
            )
            self._tell(trial, evaluation)

    def _epochs_of_complete_training(self) -> float:
        """Return the most epochs of any complete child; infinity where there is none.

        A scheduler may also stop a child after its last epoch: that child is complete.
        """
        evaluations = [result.evaluation for result in self._search.results.values()]
        epochs = [e.epochs for e in evaluations if not e.error and not e.stopped]
        return max(epochs, default=math.inf)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        try:
            with open(trial.pickled_error_file, "rb") as file:
                error: Exception = pickle.load(file)
        except Exception:  # not written, or of a class that cannot be unpickled here
            self._tell(trial, failure("failed in Ray Tune"))
            return
        if getattr(error, "actor_init_failed", False):
            cause = str(error).strip().splitlines()[-1]
            self._error = self._error or RunFailure(f"Ray workers don't start: {cause}")
        elif isinstance(error, ray.exceptions.RayTaskError):
            self._tell(trial, failure(error.cause or error))
        else:
            self._tell(trial, failure(f"worker lost: {type(error).__name__}"))

    def _tell(self, trial: Any, evaluation: Evaluation) -> None:
        # Tune treats an exception raised here as one of the trial, so `finish` raises it.
        if self._error is None:
            try:
                number = trial.config["child"]["trial"]
                self._search.tell(self._outstanding.pop(number), evaluation)
            except Exception as error:
                self._error = error

    def finish(self) -> None:
        """Raise the first error that occurred while Tune ran."""
        if self._error is not None:
            raise self._error
        if self._outstanding:
            raise RuntimeError(f"Ray Tune ended without results of trials {[*self._outstanding]}")


@contextlib.contextmanager
def _no_logging() -> Iterator[None]:
    """Silence Tune's logger within the context."""
    logger = logging.getLogger("ray.tune")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
