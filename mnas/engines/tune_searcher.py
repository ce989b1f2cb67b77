"""Ray Tune search algorithm on top of a `Search`, for pipelines that already are Tuners.

    search = Search(space, controller, reward, config, Journal(path))
    tuner = tune.Tuner(
        trainable,  # reads config["architecture"] and config["seed"]; reports "accuracy"
        tune_config=tune.TuneConfig(
            search_alg=MnasSearcher(search), num_samples=-1, max_concurrent_trials=8
        ),
    )
    tuner.fit()

Set `max_concurrent_trials`: without it Tune runs one trial at a time.

In a search that stops underperforming children (`SearchConfig.stopping`), the trainable reports
"accuracy" and "epochs" after every epoch and then applies the rule, without any scheduler:

    rule = StoppingRule(config["thresholds"])  # mnas.loop.early_stopping
    if rule(epoch, accuracy) == "stop":
        return
"""

import collections
import json
import math
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from mnas.engines.tune_child import METRIC, MODE
from mnas.errors import UsageError
from mnas.evaluation import Evaluation, checked_report, failure
from mnas.files import read_json
from mnas.loop.early_stopping import StoppingRule
from mnas.loop.group import TrialSource
from mnas.loop.search import Search
from mnas.loop.trial import Trial


def child_config(search: TrialSource, trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data.

    trial         number of the trial
    seed          random seed of its evaluation
    decisions     name and value of every active decision
    architecture  argument of `mnas.architecture.architecture.Architecture.from_dict`
    thresholds    argument of `mnas.loop.early_stopping.StoppingRule`; only where the search stops
                  children early
    """
    rule = {} if trial.report is None else {"thresholds": trial.report.thresholds}
    return {
        "trial": trial.number,
        "seed": trial.seed,
        "decisions": search.space.describe(trial.decisions),
        "architecture": trial.architecture.to_dict(),
        **rule,
    }


class MnasSearcher(Searcher):
    """Searcher that suggests the networks of `search`, as `child_config`, and tells it the results.

    The trainable's last report holds `accuracy` (0 to 1; the metric, maximised) and optionally
    `epochs`, `latency_ms` (milliseconds) and `error` (one line; the child is recorded as failed).
    A child that a scheduler stopped is recorded with its last report, as if complete; one that
    the search's own rule stopped is recorded as stopped.

    State is in the journal, to which every result is written when it arrives; Tune's snapshots of
    the searcher hold none. To resume, do not restore the Tuner: open a `Search` on the journal, and
    pass it to a new searcher and a new Tuner.

    `Tuner.fit` raises the errors of the search (`mnas.loop.search.TooManyFailures`).
    """

    def __init__(self, search: Search) -> None:
        super().__init__(metric=METRIC, mode=MODE)
        self._search: Search | None = search
        self._trials: dict[str, Trial] = {}  # under evaluation, by Tune's trial id
        self._reported: dict[str, dict[int, float]] = {}  # accuracy by epoch, by Tune's trial id
        self._wrong_reports: dict[str, str] = {}  # cause, by Tune's trial id
        self._retry_queue: collections.deque[Trial] = collections.deque()  # ended unevaluated
        self._error: Exception | None = None

    # FINISHED is a str, which the annotation of the base class leaves out.
    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        search = self._live_search()
        if self._error is not None:
            raise self._error
        trial = self._retry_queue.popleft() if self._retry_queue else search.ask()
        if trial is None:
            return Searcher.FINISHED if search.done else None
        self._trials[trial_id] = trial
        return child_config(search, trial)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        trial = self._trials.get(trial_id)
        if trial is not None and trial.report is not None and {METRIC, "epochs"} <= result.keys():
            reported = self._reported.setdefault(trial_id, {})
            try:
                epoch, accuracy = checked_report(result["epochs"], result[METRIC])
            except UsageError as error:
                self._wrong_reports.setdefault(trial_id, f"report: {error}")
            else:
                reported[epoch] = accuracy

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if result:
            self.on_trial_result(trial_id, result)
        trial = self._trials.pop(trial_id, None)
        reported = self._reported.pop(trial_id, {})
        wrong = self._wrong_reports.pop(trial_id, None)
        if trial is None:
            return
        if error:
            evaluation = failure("the trial failed in Ray Tune")
        elif wrong is not None:
            evaluation = failure(wrong)
        elif not result:
            self._retry_queue.append(trial)
            return
        else:
            evaluation = _evaluation(result, tuple(sorted(reported.items())), trial.report)
        try:
            self._live_search().tell(trial, evaluation)
        except Exception as problem:
            # Tune treats an exception raised here as one of the trial; `suggest` raises it.
            self._error = problem

    def save(self, checkpoint_path: str) -> None:
        """Write the path of the journal, which holds the state."""
        if self._search is not None:
            journal = str(self._search.journal.path.absolute())
            Path(checkpoint_path).write_text(json.dumps({"journal": journal}), encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Raise RuntimeError: a search resumes from its journal, not from a Tune snapshot."""
        journal = read_json(Path(checkpoint_path))["journal"]
        raise RuntimeError(
            f"a search resumes from its journal, {journal}: build a Search on it, "
            "and pass it to a new MnasSearcher and a new Tuner"
        )

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles the Tuner with its searcher; a search with an open journal cannot be pickled.
        empty: dict[str, Any] = {
            "_trials": {},
            "_reported": {},
            "_wrong_reports": {},
            "_retry_queue": collections.deque(),
        }
        return {**self.__dict__, "_search": None, **empty}

    def _live_search(self) -> Search:
        if self._search is None:
            raise RuntimeError(
                "a copy of a MnasSearcher has no search; build a Search on the journal, and pass "
                "it to a new MnasSearcher"
            )
        return self._search


def _evaluation(
    result: dict[str, Any], history: tuple[tuple[int, float], ...], rule: StoppingRule | None
) -> Evaluation:
    error = result.get("error")
    if error is None and METRIC not in result:
        error = f"the trainable reported no {METRIC}"
    if error:
        history = ()
    return Evaluation(
        result.get(METRIC, math.nan),  # `Search.tell` checks what the trainable reported.
        latency_ms=result.get("latency_ms"),
        epochs=result.get("epochs", 0),
        seconds=result.get("time_total_s", 0.0),
        error=error,
        history=history,
        stopped=rule is not None and bool(history) and rule(*history[-1]) == "stop",
    )
