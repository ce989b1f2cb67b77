"""Spaces, controllers, evaluators, experiments and studies by name, ours and plug-ins' alike.

Each is an entry point of an installed package, in the group of its part; nothing is imported before
it is used. A plug-in registers its own in its `pyproject.toml`:

    [project.entry-points."mnas.controllers"]
    annealing = "my_package.annealing:Annealing"
"""

import functools
import importlib.metadata
from importlib.metadata import EntryPoint
from typing import Any

from mnas.errors import UsageError, unknown

GROUPS = {
    "space": "mnas.search_spaces",
    "controller": "mnas.controllers",
    "evaluator": "mnas.evaluators",
    "experiment": "mnas.experiments",
}


@functools.cache
def entries(part: str) -> dict[str, EntryPoint]:
    """Return the entry points of `part`, a key of `GROUPS`, by name.

    Raises UsageError where two packages register the same name, or nothing is registered.
    """
    found: dict[str, EntryPoint] = {}
    for entry in importlib.metadata.entry_points(group=GROUPS[part]):
        if entry.name in found and found[entry.name].value != entry.value:
            raise UsageError(
                f"{part} {entry.name!r} is registered twice, as {found[entry.name].value} and as "
                f"{entry.value}; accepted: one package of the two installed"
            )
        found[entry.name] = entry
    if not found:
        raise UsageError(f"no {part} is registered; accepted: mnas installed (pip install -e .)")
    return found


def load(part: str, name: str) -> Any:
    """Return what is registered as `name`; UsageError for an unknown name.

    A configuration class for a space, controller or evaluator; an `Experiment` or a `Study` for an
    experiment.
    """
    known = entries(part)
    if name not in known:
        raise unknown(part, name, known)
    return known[name].load()


def config_class(part: str, class_name: str) -> type:
    """Return the registered configuration class of that name; UsageError where there is none."""
    known = {entry.attr: entry for entry in entries(part).values()}
    if class_name not in known:
        raise unknown(part, class_name, known)
    return known[class_name].load()


def name_of(part: str, config: Any) -> str:
    """Return the name that the configuration's class is registered as, else the class name."""
    class_name = type(config).__name__
    names = (name for name, entry in entries(part).items() if entry.attr == class_name)
    return next(names, class_name)
