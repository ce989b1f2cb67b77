"""Words that a shell completes after a verb, and after a flag that takes a value."""

import dataclasses
import importlib
import typing
from typing import Any, NamedTuple

from mnas.architecture.published import PUBLISHED
from mnas.cli.flags import flags
from mnas.cli.verbs import GLOBAL_FLAGS
from mnas.evaluators.presets import PRESETS
from mnas.experiment import registry
from mnas.experiment.settings import KINDS
from mnas.experiment.trials import COLUMNS
from mnas.export.formats import FORMATS
from mnas.training.recipes import RECIPES

# Words of verbs that are no fields of their dataclass of arguments.
WORDS = {
    "search": ("--list", "--warm-up"),
    "data": ("show", "pack"),
    "benchmark": ("--inference",),
    "completion": ("bash", "zsh", "fish"),
}
# Flags with a value that verbs take before, or in place of, those of their dataclass.
VALUE_FLAGS = {
    "search": (
        *(f"--{part}" for part in KINDS),
        *("--data", "--recipe", "--resume", "--config", "--latency-table", "--blocks"),
        *("--networks", "--seeds", "--trials", "--workers"),
    ),
    "resume": ("--workers",),
    "proxy-quality": ("--evaluator",),
}
TAKE_SPECS = ("cost", "compare", "draw", "scale", "export", "train", "evaluate")


class Completion(NamedTuple):
    """Words that are completed after a verb.

    words   words that may stand anywhere
    values  values of a flag by its name; none where it takes a number, a text or a file
    """

    words: list[str]
    values: dict[str, list[str]]


def completion_of(verb: str) -> Completion:
    """Return the words that a verb takes."""
    from mnas.cli.named_experiment import DEFAULT, ExperimentArguments  # imports JAX

    taken: dict[str, Any] = dict.fromkeys(VALUE_FLAGS.get(verb, ()), str)
    if verb in ("search", "resume"):
        default = ExperimentArguments(registry.load_experiment(DEFAULT))
        taken |= dict(flags(ExperimentArguments, default))
    module = importlib.import_module(f"mnas.cli.{verb.replace('-', '_')}")
    for kind in vars(module).values():
        if _is_arguments(kind) and kind.__module__ == module.__name__:
            taken |= dict(flags(kind))
    words = [*WORDS.get(verb, ()), "--help", "--help-all", *taken]
    if verb == "search":
        words += registry.entries("experiment")
    if verb in ("search", "resume"):  # --track takes several
        words += registry.entries("tracker")
    if verb in TAKE_SPECS:
        words += PUBLISHED
    values = {flag: _values(verb, flag, hint) for flag, hint in taken.items() if hint is not bool}
    return Completion(list(dict.fromkeys([*words, *GLOBAL_FLAGS])), values)


def _values(verb: str, flag: str, hint: Any) -> list[str]:
    """Return the values of a flag; none where it takes a number, a text or a file."""
    name = flag.removeprefix("--")
    if name in KINDS:
        return list(registry.entries(name))
    if name == "recipe":
        of_search = {"search": [*PRESETS], "proxy-quality": ["default", *PRESETS]}
        return [*of_search.get(verb, ()), *RECIPES]
    if name == "reference":
        return ["none", *PUBLISHED] if verb == "retrain" else list(PUBLISHED)
    if name == "track":
        return list(registry.entries("tracker"))
    if verb == "export" and name == "format":
        return list(FORMATS)
    if verb == "trials" and name in ("sort", "columns"):
        return list(COLUMNS)
    return [value for value in _literals(hint) if isinstance(value, str)]


def _literals(hint: Any) -> list[Any]:
    """Return the values of the literals in a type."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [value for part in typing.get_args(hint) for value in _literals(part)]


def _is_arguments(kind: Any) -> bool:
    """Return whether an object is a dataclass of a verb's arguments."""
    return (
        isinstance(kind, type)
        and dataclasses.is_dataclass(kind)
        and kind.__name__.endswith("Arguments")
    )
