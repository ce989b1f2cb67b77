"""Settings of a search from a file: the experiment.json of a run, or YAML.

    name: digits                        the experiment or study, where the command names none
    kinds: {controller: reinforce}      parts by name, or by class as in experiment.json
    reward: {target_madds: 300M}        settings of a part; those left out keep their value
    search: {trials: 96, seed: 1}

Numbers may have suffixes, as on the command line. What experiment.json says of its origin is
ignored. YAML is read without tags of Python's, and without aliases, whose expansion has no bound.
"""

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mnas.cli.flags import number, whole_number
from mnas.errors import UsageError, shown
from mnas.experiment import registry
from mnas.experiment.run import ORIGIN
from mnas.experiment.settings import KINDS
from mnas.files import parse_json, read_text

LONGEST = 1_000_000  # characters

Settings = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """Loader that rejects aliases and keys that occur twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(None, None, "an alias", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(None, None, f"key {shown(key)}", node.start_mark)
            if key in keys[:position]:
                raise yaml.MarkedYAMLError(None, None, f"key {key} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_config(path: Path) -> Settings:
    """Return the settings in a file, without what says of their origin.

    Raises UsageError for what can't be read, or isn't an object of settings.
    """
    text = read_text(path)
    if len(text) > LONGEST:
        raise UsageError(f"{path} has {len(text):,} characters; accepted: at most {LONGEST:,}")
    if path.suffix.lower() == ".json":
        data = parse_json(text, str(path))
    elif path.suffix.lower() in (".yaml", ".yml"):
        data = _parse_yaml(text, path)
    else:
        raise UsageError(f"--config {path}; accepted: a file named *.json, *.yaml or *.yml")
    if not isinstance(data, dict):
        raise UsageError(f"{path}: {shown(data)}; accepted: settings by part")
    if not isinstance(data.get("name", ""), str):
        raise UsageError(f"{path}: name = {shown(data['name'])}; accepted: an experiment's name")
    return {key: value for key, value in data.items() if key not in ORIGIN}


def _parse_yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else f"{path}"
        problem = getattr(error, "problem", None) or getattr(error, "reason", "not YAML")
        raise UsageError(
            f"{where}: {problem}; accepted: plain YAML, each key once, without aliases and tags"
        ) from None
    except (RecursionError, ValueError) as error:  # the latter: of a malformed date or number
        cause = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{path}: {cause}; accepted: plain YAML") from None


def with_class_names(settings: Settings) -> Settings:
    """Return settings in which parts that are named in `kinds` are named by their class."""
    kinds = settings.get("kinds")
    if not isinstance(kinds, Mapping):
        return settings
    named = {path: _class_name(path, name) for path, name in kinds.items()}
    return {**settings, "kinds": named}


def _class_name(path: str, name: Any) -> Any:
    part = path.split(".")[0]
    entries = registry.entries(part) if part in KINDS else {}
    return entries[name].attr if isinstance(name, str) and name in entries else name


def with_numbers(target: Any, settings: Any) -> Any:
    """Return settings of a dataclass in which texts that stand for numbers are numbers.

    Only where a field takes a number and no text; whatever is none is left as it is.
    """
    if not dataclasses.is_dataclass(target) or not isinstance(settings, Mapping):
        return settings
    hints = typing.get_type_hints(type(target))
    return {
        name: with_numbers(current, value)
        if dataclasses.is_dataclass(current := getattr(target, name, None))
        else _numeric(hints.get(name), value)
        for name, value in settings.items()
    }


def _numeric(hint: Any, value: Any) -> Any:
    kinds = typing.get_args(hint) or (hint,)
    if not isinstance(value, str) or str in kinds:
        return value
    for kind, read in ((int, whole_number), (float, number)):
        if kind in kinds:
            try:
                return read(value)
            except ValueError:
                return value
    return value
