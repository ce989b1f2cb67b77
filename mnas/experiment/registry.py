"""Spaces, controllers, evaluators, experiments, studies and trackers by name, of all packages.

Each is an entry point in the group of its part and imported when it is used. A plug-in registers
its own in its `pyproject.toml`:

    [project.entry-points."mnas.controllers"]
    annealing = "my_package.annealing:Annealing"
"""

import functools
import importlib.metadata
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

from mnas.errors import UsageError, unknown
from mnas.experiment.settings import Experiment

GROUPS = {
    "space": "mnas.search_spaces",
    "controller": "mnas.controllers",
    "evaluator": "mnas.evaluators",
    "experiment": "mnas.experiments",
    "tracker": "mnas.trackers",
}


@functools.cache
def entries(part: str) -> dict[str, EntryPoint]:
    """Return the entry points of `part`, a key of `GROUPS`, by name.

    Raises UsageError where two packages register the same name, or nothing is registered.
    """
    by_name: dict[str, EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUPS[part]):
        other = by_name.setdefault(entry.name, entry)
        if other.value != entry.value:
            raise UsageError(
                f"{part} {entry.name!r} is registered twice, as {other.value} and as "
                f"{entry.value}; accepted: one package of the two installed"
            )
    if not by_name:
        raise UsageError(f"no {part} is registered; accepted: mnas installed (pip install -e .)")
    return by_name


def load(part: str, name: str) -> Any:
    """Return the object registered as `name`; UsageError for an unknown name.

    For a space, controller or evaluator it is a configuration class, for an experiment an
    `Experiment` or a `Study`, for a tracker what `mnas.experiment.tracking` describes.
    """
    known = entries(part)
    if name not in known:
        raise unknown(part, name, known)
    return known[name].load()


def load_experiment(name: str) -> Experiment:
    """Return the experiment registered as `name`; UsageError for a study or an unknown name."""
    experiment = load("experiment", name)
    if not isinstance(experiment, Experiment):
        raise UsageError(f"{name} is a study; accepted: an experiment")
    return experiment


def config_class(part: str, class_name: str) -> type:
    """Return the registered configuration class of that name; UsageError where there is none."""
    known = {entry.attr: entry for entry in entries(part).values()}
    if class_name not in known:
        raise unknown(part, class_name, known)
    return known[class_name].load()


def accuracy_word(kinds: Mapping[str, Any]) -> str:
    """Return what the accuracies of an evaluator are called: "predicted" for predictions.

    kinds  class names by the path of the setting (`Experiment.kinds`); the class variable
           `accuracy_word` of the innermost evaluator counts
    """
    paths = [path for path in kinds if path.split(".")[0] == "evaluator"]
    class_name = kinds[max(paths, key=len)] if paths else None
    try:
        kind = config_class("evaluator", class_name) if isinstance(class_name, str) else None
    except (UsageError, ImportError, AttributeError):  # of a plug-in that is gone or broken
        kind = None
    return getattr(kind, "accuracy_word", "accuracy")


def name_of(part: str, config: Any) -> str:
    """Return the name that the configuration's class is registered as, else the class name."""
    class_name = type(config).__name__
    names = (name for name, entry in entries(part).items() if entry.attr == class_name)
    return next(names, class_name)
