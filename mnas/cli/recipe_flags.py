"""Flags of a training that starts from a recipe: `--recipe` gives the defaults of all others."""

import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Protocol, TypeVar

from mnas.cli.arguments import parse
from mnas.cli.flags import whole_number
from mnas.data.source import counted
from mnas.training.config import TrainingConfig
from mnas.training.recipes import find_recipe


class RecipeArguments(Protocol):
    """Arguments of a verb, with a name of `RECIPES` and the settings of the training."""

    @property
    def recipe(self) -> str: ...

    @property
    def config(self) -> TrainingConfig: ...


T = TypeVar("T", bound=RecipeArguments)


def parse_with_recipe(program: str, arguments: Sequence[str], default: T) -> T:
    """Return the arguments of a verb; the recipe they name gives the defaults of its settings.

    default  values of flags that are not given, `recipe` among them; its `config` is not used

    The recipe's learning rate is scaled to the batch size that is given, where recipes scale it.
    Raises UsageError and SystemExit as `parse`; UsageError for an unknown recipe.
    """
    name = flag_value(arguments, "recipe") or default.recipe
    recipe = find_recipe(name)
    config, batch_size = recipe.config, flag_value(arguments, "batch-size")
    if batch_size is not None:
        with contextlib.suppress(ValueError):  # others are rejected by `parse`
            if 0 < (images := whole_number(batch_size)) < 10**9:
                config = recipe.for_batches_of(images)
    kind: type[T] = type(default)
    changes = {"recipe": name, "config": config}
    return parse(kind, program, arguments, dataclasses.replace(default, **changes))  # type: ignore[type-var]


def flag_value(arguments: Sequence[str], name: str) -> str | None:
    """Return the value of the last flag of that name; None where it is not given."""
    found = None
    for position, word in enumerate(arguments):
        flag, equals, value = word.partition("=")
        if flag.replace("_", "-") == f"--{name}":
            found = value if equals else "".join(arguments[position + 1 : position + 2])
    return found


def described_rate(arguments: RecipeArguments) -> str:
    """Return one line: the recipe and how its learning rate depends on the batch size."""
    config, recipe = arguments.config, find_recipe(arguments.recipe)
    line = (
        f"recipe {arguments.recipe}: {counted(config.epochs, 'epoch')}, batches of "
        f"{config.batch_size}, "
        f"learning rate {config.learning_rate:g}"
    )
    if recipe.scaled and config == dataclasses.replace(
        config, learning_rate=recipe.for_batches_of(config.batch_size).learning_rate
    ):
        rate, batch = recipe.config.learning_rate, recipe.config.batch_size
        line += f" ({rate:g} per {batch} images)"
    return line
