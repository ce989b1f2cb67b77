"""View of a run with figures, for programs and notebooks. Imports no JAX."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from mnas.api.drawing import Drawing
from mnas.errors import UsageError, unknown
from mnas.evaluators.surrogate_fits import predict
from mnas.experiment import results
from mnas.reports.drawing import draw
from mnas.reports.page import content, trials
from mnas.reports.page.head import pair
from mnas.reports.page.plot import Plot


@dataclasses.dataclass(frozen=True, repr=False)
class Run(results.Run):
    """The records and settings of a run, as they were when it was loaded, with its figures.

    settings    all settings by part, as `experiment.json` holds them
    head        the journal's first record
    proposals   by batch
    results     by trial number; of an unfinished batch, those that have arrived
    updates     by batch
    remeasured  further measurements of the best networks, by trial and number; those of an
                unfinished round are left out
    """

    def __repr__(self) -> str:
        best = "" if self.best is None else f", best reward {self.best.reward:.4f}"
        trials_done = f"{len(self.results):,} trials"
        return f"<Run of {self.experiment_name} in {self.directory}: {trials_done}{best}>"

    @functools.cached_property
    def plots(self) -> Mapping[str, Plot]:
        """Return the figures of the run's report by name, as far as its trials give any.

        They are `front`, `rewards`, `hypervolume`, `time`, `decisions`, `effects` and others.
        """
        (section,) = content.sections([self], predict)
        rows = trials.rows(trials.columns(section.run, section.axis))
        return {chart.name: Plot(chart, rows) for chart in section.charts}

    def plot_front(self) -> Plot:
        """Return the figure of accuracy against cost: all trials, and those none dominates."""
        return self._plot("front")

    def plot_rewards(self) -> Plot:
        """Return the figure of rewards over trials: the best so far, means of batches."""
        return self._plot("rewards")

    def plot_decisions(self) -> Plot:
        """Return the figure of how often each choice was made over the search."""
        return self._plot("decisions")

    def plot_time(self) -> Plot:
        """Return the figure of the time of evaluations by phase."""
        return self._plot("time")

    def draw(self) -> Drawing:
        """Return the drawing of the best network, beside the reference where there is one.

        Raises UsageError where no evaluation has succeeded.
        """
        networks = pair(self)
        if networks is None:
            raise UsageError(
                f"{self.directory}: no evaluation has succeeded, so there is no network"
            )
        return Drawing(draw(networks.best, networks.reference))

    def _plot(self, name: str) -> Plot:
        if name in self.plots:
            return self.plots[name]
        if not self.plots:
            raise UsageError(
                f"{self.directory}: no evaluation has succeeded, so there is no figure"
            )
        raise unknown("figure of this run", name, self.plots)


def load_run(directory: Path | str) -> Run:
    """Return the view of a run's directory, or of the journal of a `Search` without one.

    directory  of a run; or a journal, or a directory with one, without experiment.json

    Raises UsageError where there is no run or a file of it cannot be read.
    """
    loaded = results.load_run(directory)
    names = [field.name for field in dataclasses.fields(loaded)]
    return Run(**{name: getattr(loaded, name) for name in names})
