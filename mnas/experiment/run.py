"""A run: an experiment in a directory of its own, from its first line to its last file.

experiment.json   the experiment's name and settings
journal.jsonl     everything that happened (`mnas.loop.journal`)
best.json         the spec of the best architecture (`mnas.architecture.spec`); top.json: the best ten
report.html       plots and tables (`mnas.reports.run_report`)
events.out.*      TensorBoard
"""

import contextlib
import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import mnas
from mnas.architecture.spec import to_spec
from mnas.controller import Controller
from mnas.engines.drive import drive as drive_engine
from mnas.errors import UsageError
from mnas.evaluation import FileDependent
from mnas.experiment import registry
from mnas.experiment.overrides import override
from mnas.experiment.settings import Experiment
from mnas.files import read_json, write_json
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.journal import FORMAT, Journal
from mnas.loop.records import to_record
from mnas.loop.search import Search
from mnas.loop.selection import candidates, worth
from mnas.loop.trial import Result
from mnas.space import Space

TOP = 10
# What a resumed run may change besides the engine, whose `threads` alone moves the trajectory.
FREE = ("search.trials", "search.selection")
# What a journal means that says nothing of these settings.
UNSAID = {f"search.stopping.{k}": v for k, v in dataclasses.asdict(StoppingConfig()).items()}


def identity(experiment: Experiment) -> dict[str, Any]:
    """The settings that determine the search's trajectory, as they stand in the journal."""
    settings = json.loads(json.dumps(experiment.settings()))
    settings["engine"] = {"threads": experiment.engine.threads}
    if not experiment.search.stopping.quantile:
        del settings["search"]["stopping"]  # what is off determines nothing
    if isinstance(experiment.evaluator, FileDependent):
        files = experiment.evaluator.files()
        if files:
            settings["contents"] = {name: _digest(path) for name, path in files.items()}
    return {"kinds": experiment.kinds(), **settings}


def _digest(path: Path) -> str:
    """SHA-256 of a file's content, in hex; ValueError where it can't be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None


def new_directory(root: Path, name: str) -> Path:
    """The first of root/name-1, root/name-2, ... that does not exist; created."""
    number = 1
    while True:
        directory = root / f"{name}-{number}"
        with contextlib.suppress(FileExistsError):
            directory.mkdir(parents=True)
            return directory
        number += 1


def create(experiment: Experiment, directory: Path) -> None:
    """Makes the directory of a new run; ValueError where one stands already."""
    if (directory / "journal.jsonl").exists():
        raise UsageError(f"{directory} holds a run already; accepted: a new directory, or --resume")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory} can't be made: {error.strerror}") from None
    write_experiment(experiment, directory)


def write_experiment(experiment: Experiment, directory: Path) -> None:
    """experiment.json: the name, our version, all settings."""
    head = {"name": experiment.name, "version": mnas.__version__, "kinds": experiment.kinds()}
    write_json(directory / "experiment.json", {**head, **experiment.settings()})


def read_experiment(directory: Path) -> Experiment:
    """Return the registered experiment of a run's name with the run's parts and settings."""
    path = directory / "experiment.json"
    data = read_json(path)
    name = data.get("name") if isinstance(data, dict) else data
    if not isinstance(name, str) or name not in registry.entries("experiment"):
        known = ", ".join(registry.entries("experiment"))
        raise UsageError(f"{path}: name = {name!r}; accepted: {known}")
    experiment = registry.load("experiment", name)
    for path_of_part, class_name in sorted(data.get("kinds", {}).items()):  # outer ones first
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
    experiment: Experiment, directory: Path, observers: tuple[Callable[..., None], ...] = ()
) -> Iterator[Search]:
    """The search of a run, new or resumed where its journal left it."""
    space, controller = _built(experiment.space, experiment.controller)
    with Journal(directory / "journal.jsonl") as journal:
        if journal.records:
            _check_same(journal.records[0], experiment, journal.path)
        else:
            head = {"kind": "experiment", "format": FORMAT, "version": mnas.__version__}
            head = {**head, "name": experiment.name, "settings": identity(experiment)}
            if experiment.reference:
                head["reference"] = experiment.reference  # for the report; steers nothing
            journal.append(head)
        yield Search(space, controller, experiment.reward, experiment.search, journal, observers)


@functools.cache
def _built(space_config: Any, controller_config: Any) -> tuple[Space, Controller]:
    """Once for each pair of settings: searches that differ by seed share compiled code."""
    space = space_config.build()
    return space, controller_config.build(space)


def _check_same(head: dict[str, Any], experiment: Experiment, path: Path) -> None:
    """A resumed run must be the run that was begun; ValueError names the setting that differs."""
    settings, wanted = head.get("settings", {}), identity(experiment)
    if "contents" not in settings:  # a journal older than that
        wanted.pop("contents", None)
    before = {**UNSAID, **_flat(settings)}
    now = {**UNSAID, **_flat(wanted)}
    parts_first = sorted(before.keys() | now.keys(), key=lambda n: (not n.startswith("kinds."), n))
    for name in parts_first:
        if name not in FREE and before.get(name) != now.get(name):
            raise UsageError(
                f"{path}: {name} was {before.get(name)!r} and is {now.get(name)!r} now; "
                "a resumed search keeps its settings (but for search.trials and engine)"
            )


def _flat(data: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(data, dict):
        return {path: data}
    return {
        name: value
        for key, inner in data.items()
        for name, value in _flat(inner, f"{path}.{key}".lstrip(".")).items()
    }


def drive(experiment: Experiment, search: Search) -> None:
    """Runs the search to its end on the experiment's engine."""
    drive_engine(search, experiment.evaluator, experiment.engine)


def ranking(search: Search) -> list[Result]:
    """The networks that a search may export, best first by its `choice` (`mnas.loop.selection`)."""
    records = candidates(to_record(search.results[number]) for number in sorted(search.results))
    results = [search.results[record["trial"]] for record in records]
    decisions = [result.trial.decisions for result in results]
    values = worth(search.config.selection, decisions, [result.reward for result in results])
    return [results[index] for index in np.argsort(-values, kind="stable")]


def write_results(experiment: Experiment, search: Search, directory: Path) -> None:
    """best.json and top.json, of the search as it stands."""
    specs = [_found(experiment, result) for result in ranking(search)[:TOP]]
    if specs:
        write_json(directory / "top.json", specs)
        write_json(directory / "best.json", specs[0])


def _found(experiment: Experiment, result: Result) -> dict[str, Any]:
    name = f"{experiment.name}-{result.trial.hash[:8]}"
    provenance = {
        "experiment": experiment.name,
        "trial": result.trial.number,
        "reward": result.reward,
        "accuracy": result.evaluation.accuracy,
        "latency_ms": result.evaluation.latency_ms,
        "selection": experiment.search.selection,
        "seed": experiment.search.seed,
        "version": mnas.__version__,
    }
    return to_spec(result.trial.architecture.replace(name=name), provenance)
