"""A whole run in one call, for programs and notebooks: `mnas.search("b0-imagenet")`."""

from collections.abc import Sequence
from pathlib import Path

from mnas.experiment import registry, sessions
from mnas.experiment import run as runs
from mnas.experiment.overrides import override
from mnas.experiment.results import Run, load_run
from mnas.experiment.settings import Experiment
from mnas.loop.search import Observer


def search(
    experiment: Experiment | str,
    out: str | Path | None = None,
    observers: Sequence[Observer] = (),
    *,
    trials: int | None = None,
    seed: int | None = None,
    remeasure: int | None = None,
) -> Run:
    """Run an experiment to its end and return the view of its directory.

    experiment  an `Experiment`, or the name of a registered one
    out         directory of the run, runs/NAME-N by default; a run of the same experiment in it is
                resumed
    observers   called with each record that is added to the journal
    trials      number of trials in place of the experiment's
    seed        random seed in place of the experiment's
    remeasure   number of best networks to evaluate again in the end, likewise

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
    runs.check(experiment)
    directory = runs.new_directory(Path("runs"), experiment.name) if out is None else Path(out)
    if not runs.has_begun(directory):
        runs.create(experiment, directory)
    with runs.opened(experiment, directory, tuple(observers)) as opened:
        runs.write_experiment(experiment, directory, sessions.extended(directory, experiment))
        try:
            runs.drive(experiment, opened)
        finally:
            runs.write_results(experiment, opened, directory)
        if experiment.finish is not None and opened.best is not None:
            experiment.finish(opened, directory)
    return load_run(directory)
