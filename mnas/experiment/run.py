"""A run: a search in a directory of its own.

experiment.json   the experiment's name and settings
journal.jsonl     the journal (`mnas.loop.journal`)
best.json         spec of the best network (`mnas.architecture.spec`); top.json: of the best ten
report.html       plots and tables (`mnas.reports.run_report`)
events.out.*      TensorBoard events

This module checks an experiment, creates its directory, opens its search, new or resumed, and
writes the specs.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mnas.controller import Controller
from mnas.engines.config import check_engine
from mnas.engines.drive import drive as drive_engine
from mnas.engines.environment import prepare_driver
from mnas.errors import UsageError
from mnas.evaluation import ArchitectureCheck, ContentDependent
from mnas.experiment import registry
from mnas.experiment.overrides import override
from mnas.experiment.results import result_spec
from mnas.experiment.settings import Experiment
from mnas.files import read_json, write_json
from mnas.loop import selection
from mnas.loop.journal import Journal
from mnas.loop.records import ExperimentRecord, ResultRecord
from mnas.loop.search import Observer, Search
from mnas.loop.trial import Result
from mnas.runtime.jax_settings import default_settings
from mnas.space import Space

# Number of specs in top.json.
TOP = 10
# Settings that a resumed run may change, besides all of the engine's but `threads`.
RESUMABLE_SETTINGS = ("search.trials", "search.selection")


def check(experiment: Experiment) -> None:
    """Check that an experiment can run, before anything is started or written.

    Also configures JAX for the experiment's engine, which must happen before JAX first computes.
    Raises UsageError for the first mistake.
    """
    check_engine(experiment.engine)
    prepare_driver(experiment.engine)
    space, _ = _built(experiment.space, experiment.controller)
    if isinstance(experiment.evaluator, ArchitectureCheck):
        experiment.evaluator.check(space.decode([0] * len(space.sizes)))


def identity(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that determine the search, as the journal's first record holds them.

    Beside the settings: `kinds`, the classes of the parts, and `contents`, digests of the files
    that results depend on. Raises UsageError where such a file cannot be read.
    """
    settings = json.loads(json.dumps(experiment.settings()))
    settings["engine"] = {"threads": experiment.engine.threads}
    evaluator = experiment.evaluator
    is_dependent = isinstance(evaluator, ContentDependent)
    settings["contents"] = evaluator.contents() if is_dependent else {}
    return {"kinds": experiment.kinds(), **settings}


def new_directory(root: Path, name: str) -> Path:
    """Create and return the first of root/name-1, root/name-2, ... that does not exist."""
    number = 1
    while True:
        directory = root / f"{name}-{number}"
        with contextlib.suppress(FileExistsError):
            directory.mkdir(parents=True)
            return directory
        number += 1


def create(experiment: Experiment, directory: Path) -> None:
    """Create the directory of a new run; UsageError where it holds one already."""
    if (directory / "journal.jsonl").exists():
        raise UsageError(f"{directory} holds a run already; accepted: a new directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory} can't be created: {error.strerror}") from None
    write_experiment(experiment, directory)


def write_experiment(experiment: Experiment, directory: Path) -> None:
    """Write experiment.json: name, version of mnas, classes of the parts, all settings."""
    head = {"name": experiment.name, "version": version("mnas"), "kinds": experiment.kinds()}
    write_json(directory / "experiment.json", {**head, **experiment.settings()})


def read_experiment(directory: Path) -> Experiment:
    """Return the registered experiment of the run's name with the run's parts and settings.

    Raises UsageError where the name or a part is not registered, or a setting is unknown.
    """
    path = directory / "experiment.json"
    data = read_json(path)
    name = data.get("name") if isinstance(data, dict) else data
    if not isinstance(name, str) or name not in registry.entries("experiment"):
        known = ", ".join(registry.entries("experiment"))
        raise UsageError(f"{path}: name = {name!r}; accepted: {known}")
    experiment = registry.load("experiment", name)
    for path_of_part, class_name in sorted(data.get("kinds", {}).items()):  # Outer parts first.
        if class_name != experiment.kinds().get(path_of_part):
            part, *inner = path_of_part.split(".")
            config = registry.config_class(part, class_name)()
            experiment = _replaced(experiment, [part, *inner], config)
    rest = ("name", "version", "kinds")
    return override(experiment, {key: value for key, value in data.items() if key not in rest})


def _replaced(config: Any, path: list[str], value: Any) -> Any:
    """Return a copy of a dataclass with another value at the path of nested fields."""
    name, *inner = path
    if inner:
        value = _replaced(getattr(config, name), inner, value)
    return dataclasses.replace(config, **{name: value})


@contextlib.contextmanager
def opened(
    experiment: Experiment, directory: Path, observers: tuple[Observer, ...] = ()
) -> Iterator[Search]:
    """Open the search of a run, new or resumed from its journal; close the journal at exit.

    Raises UsageError where the journal is that of another experiment, or not readable.
    """
    space, controller = _built(experiment.space, experiment.controller)
    head = ExperimentRecord(
        name=experiment.name, settings=identity(experiment), reference=experiment.reference
    )
    with Journal(directory / "journal.jsonl", head) as journal:
        _check_same(journal.head, head, journal.path)
        yield Search(space, controller, experiment.reward, experiment.search, journal, observers)


@functools.cache
def _built(space_config: Any, controller_config: Any) -> tuple[Space, Controller]:
    """Build space and controller once per pair of configurations, which share compiled code."""
    with default_settings():
        space = space_config.build()
        return space, controller_config.build(space)


def _check_same(recorded: ExperimentRecord, current: ExperimentRecord, path: Path) -> None:
    """Raise UsageError that names the setting in which a resumed run differs from its journal.

    Files that results depend on may have been moved: their contents are compared, not their paths.
    """
    before = {"name": recorded.name, **_flat(recorded.settings)}
    now = {"name": current.name, **_flat(current.settings)}
    contents = {name for name in before.keys() & now.keys() if name.startswith("contents.")}
    paths = {name.replace("contents.", "evaluator.", 1) for name in contents}
    parts_first = sorted(before.keys() | now.keys(), key=lambda n: (not n.startswith("kinds."), n))
    for name in parts_first:
        if before.get(name) == now.get(name) or name in paths or name in RESUMABLE_SETTINGS:
            continue
        if name in contents:
            setting = name.replace("contents.", "evaluator.", 1)
            raise UsageError(
                f"{path}: the content of {setting} = {now[setting]!r} is not that of the run; "
                "accepted: the same content, under any path"
            )
        if not name.startswith("contents."):  # else its path was set or unset, and is named
            raise UsageError(
                f"{path}: {name} was {before.get(name)!r} and is {now.get(name)!r} now; "
                f"accepted: the settings of the run, except {', '.join(RESUMABLE_SETTINGS)} and "
                "engine"
            )


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    """Return nested settings by their dotted paths."""
    if not isinstance(data, dict):
        return {path: data}
    return {
        name: value
        for key, inner in data.items()
        for name, value in _flat(inner, f"{path}.{key}".lstrip(".")).items()
    }


def drive(experiment: Experiment, search: Search) -> None:
    """Run the search to its end on the experiment's engine."""
    drive_engine(search, experiment.evaluator, experiment.engine)


def ranking(search: Search) -> list[Result]:
    """Return the results that a search may export, best first (`mnas.loop.selection`)."""
    results = [search.results[number] for number in sorted(search.results)]
    decisions = {result.trial.number: result.trial.decisions.tolist() for result in results}
    ranked = selection.ranking(
        search.config.selection, [ResultRecord.of(result) for result in results], decisions
    )
    return [search.results[record.trial] for record in ranked]


def write_results(experiment: Experiment, search: Search, directory: Path) -> None:
    """Write best.json and top.json of the search so far; nothing where no evaluation succeeded."""
    settings = experiment.search
    specs = [
        result_spec(ResultRecord.of(result), experiment.name, settings.selection, settings.seed)
        for result in ranking(search)[:TOP]
    ]
    if specs:
        write_json(directory / "top.json", specs)
        write_json(directory / "best.json", specs[0])
