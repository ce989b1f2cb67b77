"""A run: a search in a directory of its own.

experiment.json   the experiment's name and settings, origin and sessions
journal.jsonl     the journal (`mnas.loop.journal`); beside it, in long searches, a snapshot of the
                  controller's state, journal.snapshot.npz, that may be deleted
best.json         spec of the best network (`mnas.architecture.spec`); top.json: of the best ten
report.html       plots and tables (`mnas.reports.run_report`)
events.out.*      TensorBoard events

This module checks an experiment, creates its directory, opens its search, new or resumed, and
writes the specs.
"""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mnas.architecture.cost import network_cost
from mnas.controller import Controller
from mnas.engines.check import check_engine
from mnas.engines.drive import drive as drive_engine
from mnas.engines.environment import prepare_driver
from mnas.errors import UsageError, rejected, shown
from mnas.evaluation import ArchitectureCheck, ContentDependent, CostSource
from mnas.experiment import registry
from mnas.experiment.automatic import backend, resolved
from mnas.experiment.overrides import override
from mnas.experiment.results import read_settings, result_spec
from mnas.experiment.settings import Experiment
from mnas.files import write_json
from mnas.loop import remeasuring
from mnas.loop.journal import Journal, is_begun, read_head, remove_unbegun
from mnas.loop.records import ExperimentRecord
from mnas.loop.search import Observer, Search
from mnas.loop.snapshot import Snapshots
from mnas.loop.spending import spending
from mnas.preparation.evaluator import prepared
from mnas.runtime.jax_settings import default_settings
from mnas.runtime.provenance import provenance
from mnas.space import Space

# What experiment.json says of its origin, beside the settings.
ORIGIN = ("version", "provenance", "sessions")
# Number of specs in top.json.
TOP = 10
# Settings that a resumed run may change, besides those of the engine but threads and backend.
RESUMABLE_SETTINGS = (
    "search.trials",
    "search.selection",
    "search.remeasure",
    "search.remeasure_seeds",
)


def check(experiment: Experiment) -> None:
    """Check that an experiment can run, before anything is started or written.

    Also configures JAX for the experiment's engine, which must happen before JAX first computes.
    Raises UsageError for the first mistake.
    """
    check_engine(experiment.engine)
    _check_cost(experiment)
    prepare_driver(experiment.engine)
    space, _ = _built(experiment.space, experiment.controller)
    first = space.decode([0] * len(space.sizes))
    if experiment.reward.cost != "latency_ms":
        cost = network_cost(first)
        experiment.reward(1.0, getattr(cost, experiment.reward.cost))  # Must be finite.
    if isinstance(experiment.evaluator, ArchitectureCheck):
        experiment.evaluator.check(first)


def _check_cost(experiment: Experiment) -> None:
    """Raise UsageError where the evaluator measures no cost of the reward's kind."""
    evaluator, cost = experiment.evaluator, experiment.reward.cost
    settings = evaluator.missing_settings(cost) if isinstance(evaluator, CostSource) else ()
    if settings:
        flags = [f"--evaluator.{setting.replace('_', '-')}" for setting in settings]
        raise rejected("reward", "cost", cost, f"another cost, or {' or '.join(flags)}")


def identity(experiment: Experiment) -> dict[str, Any]:
    """Return the settings that determine the search, as the journal's first record holds them.

    Beside the settings: `kinds`, the classes of the parts; `contents`, digests of the files that
    results depend on; and the backend, if they depend on it. Raises UsageError where such a file
    cannot be read.
    """
    experiment = resolved(experiment)
    settings = json.loads(json.dumps(experiment.settings()))
    _drop_unidentifying(settings["evaluator"], experiment.evaluator)
    settings["engine"] = {"threads": experiment.engine.threads}
    if (name := backend(experiment)) is not None:
        settings["engine"]["backend"] = name
    evaluator = experiment.evaluator
    is_dependent = isinstance(evaluator, ContentDependent)
    settings["contents"] = evaluator.contents() if is_dependent else {}
    return {"kinds": experiment.kinds(), **settings}


def new_directory(root: Path, name: str) -> Path:
    """Create and return the first of root/name-1, root/name-2, ... that does not exist."""
    _make(root)
    for number in itertools.count(1):
        directory = root / f"{name}-{number}"
        try:
            directory.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{directory} can't be created: {error.strerror}") from None
        return directory
    raise AssertionError("unreachable")


def _make(directory: Path) -> None:
    """Make a directory where there is none; UsageError where that is impossible."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(
            f"{directory} is no directory, but a file or a link to nothing; accepted: a new "
            "directory"
        ) from None
    except OSError as error:
        raise UsageError(f"{directory} can't be created: {error.strerror}") from None


def has_begun(directory: Path) -> bool:
    """Return whether a directory holds a run with proposals, whatever its settings."""
    return is_begun(directory / "journal.jsonl")


def create(experiment: Experiment, directory: Path) -> None:
    """Create the directory of a new run; a run in it that never began is replaced.

    Raises UsageError where it holds a run that has begun, or where it can't be written.
    """
    if has_begun(directory):
        raise UsageError(
            f"{directory} holds a run already; accepted: a new directory, or mnas resume "
            f"{directory}"
        )
    _make(directory)
    remove_unbegun(directory / "journal.jsonl")
    write_experiment(experiment, directory)


def write_experiment(
    experiment: Experiment, directory: Path, sessions: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Write experiment.json: name, classes of the parts, all settings, origin of the results.

    sessions  of the run so far (`mnas.experiment.sessions`)
    """
    experiment = resolved(experiment)
    path = directory / "experiment.json"
    head = {"name": experiment.name, "version": version("mnas"), "kinds": experiment.kinds()}
    try:
        origin = {"provenance": provenance(), "sessions": [*sessions]}
        write_json(path, {**head, **experiment.settings(), **origin})
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None


def read_experiment(directory: Path) -> Experiment:
    """Return the registered experiment of the run's name with the run's parts and settings.

    Raises UsageError where the name or a part is not registered, or a setting is unknown.
    """
    path = directory / "experiment.json"
    data = read_settings(directory)
    try:
        name = data.get("name")
        if not isinstance(name, str) or name not in registry.entries("experiment"):
            known = ", ".join(registry.entries("experiment"))
            raise UsageError(f"name = {shown(name)}; accepted: {known}")
        experiment = with_kinds(registry.load_experiment(name), data.get("kinds", {}))
        rest = ("name", "kinds", *ORIGIN)
        return override(experiment, {key: value for key, value in data.items() if key not in rest})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def with_kinds(experiment: Experiment, kinds: Any) -> Experiment:
    """Return the experiment with parts of the classes named in `kinds`, with default settings."""
    if not isinstance(kinds, dict):
        raise UsageError(f"kinds = {shown(kinds)}; accepted: class names by part")
    for path, class_name in sorted(kinds.items()):  # Outer parts first.
        current = experiment.kinds()
        if path not in current or not isinstance(class_name, str):
            accepted = f"class names of {', '.join(current)}"
            raise UsageError(f"kinds: {shown(path)} is {shown(class_name)}; accepted: {accepted}")
        if class_name != current[path]:
            part, *inner = path.split(".")
            config = registry.config_class(part, class_name)()
            experiment = _replaced(experiment, [part, *inner], config)
    return experiment


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

    A new run that a `UsageError` ends before its first proposals leaves nothing behind. Raises
    UsageError where the journal is that of another experiment, or not readable.
    """
    space, controller = _built(experiment.space, experiment.controller)
    head = ExperimentRecord(
        name=experiment.name, settings=identity(experiment), reference=experiment.reference
    )
    with Journal(directory / "journal.jsonl", head) as journal:
        _check_same(journal.head, head, journal.path)
        try:
            yield Search(
                space,
                controller,
                experiment.reward,
                experiment.search,
                journal,
                observers,
                Snapshots(journal, experiment.controller),
            )
        except UsageError:
            if journal.new and not has_begun(directory):
                for name in ("journal.jsonl", "experiment.json"):
                    (directory / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # Other files of the user's are in it.
                    directory.rmdir()
            raise


@functools.cache
def _built(space_config: Any, controller_config: Any) -> tuple[Space, Controller]:
    """Build space and controller once per pair of configurations, which share compiled code."""
    with default_settings():
        space = space_config.build()
        return space, controller_config.build(space)


def _drop_unidentifying(settings: dict[str, Any], config: Any) -> None:
    """Remove the settings of a configuration that results don't depend on (`mnas.evaluation`)."""
    for field in dataclasses.fields(config) if dataclasses.is_dataclass(config) else ():
        if not field.metadata.get("identifying", True):
            del settings[field.name]
        elif isinstance(settings[field.name], dict):
            _drop_unidentifying(settings[field.name], getattr(config, field.name))


def _check_same(recorded: ExperimentRecord, current: ExperimentRecord, path: Path) -> None:
    """Raise UsageError that names the setting in which a resumed run differs from its journal.

    Files that results depend on may have been moved: their contents are compared, not their paths.
    """
    before = {"name": recorded.name, **_flat(recorded.settings)}
    now = {"name": current.name, **_flat(current.settings)}
    contents = {name for name in before.keys() & now.keys() if name.startswith("contents.")}
    paths = {name.replace("contents.", "evaluator.", 1) for name in contents}
    parts_first = sorted(before.keys() | now.keys(), key=lambda n: (not n.startswith("kinds."), n))
    backends = [settings.get("engine.backend") for settings in (before, now)]
    if None not in backends and backends[0] != backends[1]:
        raise UsageError(
            f"{path}: children were evaluated on the {backends[0]} and would be on the "
            f"{backends[1]} now; accepted: the backend of the run, with --engine.gpus-per-worker 0 "
            "on the cpu and above 0 on the gpu"
        )
    for name in parts_first:
        if before.get(name) == now.get(name) or name in paths or name in RESUMABLE_SETTINGS:
            continue
        if name in contents:
            setting = name.replace("contents.", "evaluator.", 1)
            raise UsageError(
                f"{path}: the content of {setting} = {shown(now[setting])} is not that of the run; "
                "accepted: the same content, under any path"
            )
        if not name.startswith("contents."):  # else its path was set or unset, and is named
            raise UsageError(
                f"{path}: {name} was {shown(before.get(name))} and is {shown(now.get(name))} now; "
                f"accepted: the settings of the run, except {', '.join(RESUMABLE_SETTINGS)} and "
                "engine"
            )


def require_files(experiment: Experiment, directory: Path) -> None:
    """Raise UsageError where a file or folder that a run depends on is gone, with the flag for it.

    experiment  settings with which the run in `directory` is to be resumed
    """
    journal = directory / "journal.jsonl"
    if not has_begun(directory):
        return
    recorded, current = _flat(read_head(journal).settings), _flat(experiment.settings())
    for name in recorded:
        setting = name.replace("contents.", "evaluator.", 1)
        path = recorded.get(setting)
        if not name.startswith("contents.") or current.get(setting) != path:
            continue
        if isinstance(path, str) and os.path.isabs(path) and not os.path.exists(path):
            flag = f"--{setting.replace('_', '-')}"
            raise UsageError(
                f"{directory}: {setting} = {shown(path)}: no such file or directory; accepted: "
                f"{flag} and its new path"
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


def drive(
    experiment: Experiment,
    search: Search,
    observe: Callable[[int, int, str], None] = lambda done, total, line: None,
) -> None:
    """Run the search to its end on the experiment's engine, further measurements included.

    observe  called with the progress of what the evaluator needs before the first trial
             (`mnas.preparation.evaluator`)
    """
    evaluator, source = resolved(experiment).evaluator, remeasuring.Remeasuring(search)
    if not source.done:
        directory, engine = search.journal.path.parent, experiment.engine
        evaluator = prepared(evaluator, experiment.space, directory, engine, observe)
    drive_engine(source, evaluator, experiment.engine)


def write_results(experiment: Experiment, search: Search, directory: Path) -> None:
    """Write best.json and top.json of the search so far; nothing where no evaluation succeeded."""
    settings, ranked = experiment.search, remeasuring.ranked(search)
    accuracies = remeasuring.smoothed_accuracies(search)
    of_trials = (search.results[number].evaluation for number in sorted(search.results))
    spent = spending(evaluation.timings for evaluation in of_trials)
    specs = [
        result_spec(
            best.result,
            experiment.name,
            settings.selection,
            settings.seed,
            accuracies.get(best.result.trial),
            best.remeasured,
            spent,
        )
        for best in ranked[:TOP]
    ]
    if specs:
        write_json(directory / "top.json", specs)
        write_json(directory / "best.json", specs[0])
