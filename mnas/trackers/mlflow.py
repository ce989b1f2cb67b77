"""MLflow: a search is a run of the experiment `mnas`, or of MLFLOW_EXPERIMENT_NAME.

Its tags are the experiment of the search, and the study that it is one of.
"""

import os

from mlflow import MlflowClient
from mlflow.entities import Metric

from mnas.experiment.tracking import TrackedSearch
from mnas.loop.records import Record


class MlflowTracker:
    """Tracker of a search in MLflow, on the server of MLFLOW_TRACKING_URI."""

    def __init__(self, search: TrackedSearch) -> None:
        self._metrics, self._client = search.metrics, MlflowClient()
        if search.id is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "mnas")
            known = self._client.get_experiment_by_name(name)
            of = known.experiment_id if known else self._client.create_experiment(name)
            tags = {"experiment": search.experiment}
            if search.study is not None:
                tags["study"] = search.study
            self.id = self._client.create_run(of, tags=tags, run_name=search.name).info.run_id
            for path, value in search.settings.items():
                self._client.log_param(self.id, path, value)
        else:
            self.id = search.id
            self._client.update_run(self.id, status="RUNNING")
        self.address = f"{self._client.tracking_uri}, run {self.id}"

    def __call__(self, record: Record) -> None:
        if (step := self._metrics.step(record)) is not None:
            moment = int(1000 * step.time)
            values = [Metric(tag, v, moment, step.number) for tag, v in step.values.items()]
            self._client.log_batch(self.id, metrics=values)
            for tag, text in step.texts.items():
                self._client.log_text(self.id, text, f"{tag}.md")

    def close(self, done: bool) -> None:
        """End the run: "FINISHED", or "KILLED" where the search could be resumed."""
        self._client.set_terminated(self.id, "FINISHED" if done else "KILLED")
