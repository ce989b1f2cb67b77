"""Weights & Biases: a search is a run of the project `mnas`, or of WANDB_PROJECT.

Its group is the study that it is one of, else the experiment; its job type, the experiment.
"""

import os

import wandb

from mnas.experiment.tracking import CLOSE_SECONDS, TrackedSearch
from mnas.loop.records import Record


class WandbTracker:
    """Tracker of a search in Weights & Biases."""

    def __init__(self, search: TrackedSearch) -> None:
        self._metrics = search.metrics
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "mnas"),
            group=search.study or search.experiment,
            job_type=search.experiment,
            name=search.name,
            config=dict(search.settings),
            dir=search.directory,
            id=search.id,
            resume="allow",
            reinit="create_new",  # beside a run of the program that searches
            # Without lines of its own, nor the output of the search; without a network, what could
            # not be sent stays in `dir` (wandb sync).
            settings=wandb.Settings(silent=True, console="off", finish_timeout=CLOSE_SECONDS / 2),
        )
        self._run.define_metric("*", step_metric="step")
        self.id = self._run.id
        self.address = self._run.dir if self._run.offline else self._run.url

    def __call__(self, record: Record) -> None:
        if (step := self._metrics.step(record)) is not None:
            self._run.log({"step": step.number, **step.values})
            self._run.summary.update(step.texts)

    def close(self, done: bool) -> None:
        """End the run: "finished", or "failed" where the search could be resumed."""
        self._run.finish(exit_code=0 if done else 1)
