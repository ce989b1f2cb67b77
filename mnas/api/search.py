"""A whole run in one call, for programs and notebooks: `mnas.search("b0-imagenet")`."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from mnas.api.run import Run, load_run
from mnas.experiment import registry, sessions
from mnas.experiment import run as runs
from mnas.experiment.overrides import override
from mnas.experiment.settings import Experiment
from mnas.experiment.tracking import load_tracker, tracked, trackings
from mnas.loop.search import Observer
from mnas.reports.console import SearchProgress
from mnas.reports.notebook_progress import NotebookProgress, in_notebook


def search(
    experiment: Experiment | str,
    out: str | Path | None = None,
    observers: Sequence[Observer] = (),
    *,
    trials: int | None = None,
    seed: int | None = None,
    remeasure: int | None = None,
    track: Sequence[str] = (),
    progress: bool = True,
) -> Run:
    """Run an experiment to its end and return the view of its directory.

    experiment  an `Experiment`, or the name of a registered one
    out         directory of the run, runs/NAME-N by default; a run of the same experiment in it is
                resumed
    observers   called with each record that is added to the journal
    trials      number of trials in place of the experiment's
    seed        random seed in place of the experiment's
    remeasure   number of best networks to evaluate again in the end, likewise
    track       names of trackers, such as "wandb" (`mnas.experiment.tracking`)
    progress    show the progress: on a terminal, in a notebook, and in the log at level INFO

    Where the evaluator has data, the space has as many classes as these, as with `mnas search`.
    Everything is checked before anything is written. best.json and top.json are written also if the
    search is interrupted.

    Raises UsageError for an experiment that cannot run, or where `out` holds a run of another one;
    `mnas.loop.search.TooManyFailures`.
    """
    if isinstance(experiment, str):
        experiment = registry.load_experiment(experiment)
    settings = {"trials": trials, "seed": seed, "remeasure": remeasure}
    changes = {name: value for name, value in settings.items() if value is not None}
    experiment = override(experiment, {"search": changes}).with_classes_of_data()
    for name in track:
        load_tracker(name)
    runs.check(experiment)
    directory = runs.new_directory(Path("runs"), experiment.name) if out is None else Path(out)
    if not runs.has_begun(directory):
        runs.create(experiment, directory)

    def prepare(done: int, total: int, line: str) -> None:
        for view in views:
            view.prepare(done, total, line)

    views = _progress(registry.accuracy_word(experiment.kinds())) if progress else []
    trackers = trackings(track, experiment, directory)
    with (
        runs.opened(experiment, directory, (*observers, *views, *trackers)) as opened,
        tracked(trackers, opened),
    ):
        runs.write_experiment(experiment, directory, sessions.extended(directory, experiment))
        try:
            with contextlib.ExitStack() as shown:
                for view in views:
                    shown.enter_context(view.follow(opened))
                runs.drive(experiment, opened, prepare)
        finally:
            runs.write_results(experiment, opened, directory)
        if experiment.finish is not None and opened.best is not None:
            experiment.finish(opened, directory)
    return load_run(directory)


def _progress(accuracy: str) -> list[SearchProgress | NotebookProgress]:
    """Return the observers that show a search's progress: of the log, and of a notebook."""
    views: list[SearchProgress | NotebookProgress] = [SearchProgress(accuracy)]
    if in_notebook():
        views.append(NotebookProgress(accuracy))
    return views
