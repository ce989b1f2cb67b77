"""An experiment that is named on the command line, and its parts that are exchanged by name."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import tyro

from mnas.cli.config_file import Settings, with_class_names, with_numbers
from mnas.cli.flags import is_given
from mnas.cli.recipe_flags import flag_value
from mnas.data.images import DataConfig
from mnas.errors import UsageError, unknown
from mnas.evaluation import WrapperConfig
from mnas.evaluators.presets import PRESETS, with_recipe
from mnas.experiment import registry
from mnas.experiment.overrides import override
from mnas.experiment.run import with_kinds
from mnas.experiment.settings import KINDS, Experiment
from mnas.experiment.study import Study

DEFAULT = "digits"


@dataclasses.dataclass(frozen=True)
class ExperimentArguments:
    """Settings of an experiment and the directory of its run."""

    BASIC: ClassVar[tuple[str, ...]] = (
        *("--seed", "--out", "--track", "--search.trials", "--search.batch", "--search.selection"),
        *("--search.stopping.quantile", "--reward.form", "--reward.cost", "--reward.target-madds"),
        *("--reward.target-params", "--reward.target-latency-ms", "--evaluator.data.source"),
        *("--evaluator.training.epochs", "--evaluator.fit", "--evaluator.path"),
        *("--evaluator.latency-table", "--space.resolution", "--engine.kind", "--engine.workers"),
        *("--engine.gpus-per-worker", "--engine.address", "--engine.time-limit-seconds"),
    )

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    seed: int | None = None
    """Short for --search.seed."""
    out: str | None = None
    """Directory of the run; None: runs/EXPERIMENT-N."""
    track: tuple[str, ...] = ()
    """Trackers by name that the search is logged to, beside TensorBoard: wandb, mlflow."""


def split_name(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the name at the start of `arguments`, `DEFAULT` where there is none, and the flags."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], arguments[1:]
    return DEFAULT, arguments


def described(purpose: str, example: str, registered: Experiment | Study | None = None) -> str:
    """Return the head of a help text: purpose, duration and expected result, an example."""
    lines = [purpose]
    if registered is not None:
        facts = {"Takes": registered.takes, "Expect": registered.expect}
        lines += [f"{name}: {fact}" for name, fact in facts.items() if fact]
    return "\n\n".join([*lines, f"Example: {example}"])


def parts_description() -> str:
    """Return the help text about parts and recipes that are exchanged as a whole."""
    parts = (f"--{part} ({', '.join(registry.entries(part))})" for part in KINDS)
    recipes = "; ".join(f"{name}, {preset.summary}" for name, preset in PRESETS.items())
    return (
        f"Parts to exchange by name, before their settings: {'; '.join(parts)}.\n\n"
        f"--recipe gives the evaluator's settings by name, which flags override: {recipes}; or "
        "those of mnas train.\n\n--data SOURCE is short for --evaluator.data.source.\n\n"
        "Numbers may end in k, M, G or B: 300M."
    )


def with_classes_of_data(
    experiment: Experiment, flags: Sequence[str], config: Settings | None = None
) -> Experiment:
    """Return the experiment with the number of classes of its data, if none is given.

    It may be given by the flags, or by the settings of a file.
    """
    space = (config or {}).get("space", {})
    given = is_given(flags, "--space.classes") or "classes" in space
    return experiment if given else experiment.with_classes_of_data()


def taken(words: Sequence[str], name: str) -> tuple[str | None, list[str]]:
    """Return the value of the flag `--NAME`, and the other words; UsageError without a value."""
    value, rest, remaining = None, [], iter(words)
    for word in remaining:
        flag, equals, given = word.partition("=")
        if flag != f"--{name}":
            rest.append(word)
            continue
        if value is not None:
            raise UsageError(f"--{name} twice; accepted: once")
        value = given if equals else next(remaining, "")
        if not value or value.startswith("--"):
            raise UsageError(f"--{name} needs a file")
    return value, rest


def configured(experiment: Experiment, config: Settings) -> Experiment:
    """Return the experiment with the parts and settings of a file (`mnas.cli.config_file`)."""
    experiment = with_kinds(experiment, with_class_names(config).get("kinds", {}))
    settings = {key: value for key, value in config.items() if key not in ("name", "kinds")}
    return override(experiment, with_numbers(experiment, settings))


def exchange(experiment: Experiment, flags: list[str]) -> tuple[Experiment, list[str]]:
    """Return the experiment with the parts named by `--controller NAME` etc., and other flags.

    A part that is a `WrapperConfig` is placed around the experiment's own; any other part replaces
    it, with default settings. `--recipe NAME` then sets the evaluator's settings (`with_recipe`),
    and `--data SOURCE` becomes the flag of its images.
    """
    recipe, source = flag_value(flags, "recipe"), flag_value(flags, "data")
    rest, words = [], iter(flags)
    for word in words:
        flag, equals, name = word.partition("=")
        part = flag.removeprefix("--")
        if flag in ("--recipe", "--data"):
            if not equals:
                next(words, "")
            continue
        if part not in KINDS or not flag.startswith("--"):
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if name not in registry.entries(part):
            raise unknown(part, name, registry.entries(part))
        kind = registry.load(part, name)
        current = getattr(experiment, part)
        if type(current) is not kind:  # a weight bank's settings are a kind of a proxy's
            config = kind()
            if isinstance(config, WrapperConfig):
                config = kind.around(current)
            experiment = dataclasses.replace(experiment, **{part: config})
    if recipe is not None:
        evaluator = with_recipe(experiment.evaluator, recipe)
        experiment = dataclasses.replace(experiment, evaluator=evaluator)
    if source is not None:
        rest.append(f"--{_path_of_data(experiment.evaluator)}.source={source}")
    return experiment, rest


def _path_of_data(evaluator: Any) -> str:
    """Return the path of the setting that has an evaluator's images, inside its wrappers."""
    path = "evaluator"
    while isinstance(evaluator, WrapperConfig):
        evaluator, path = evaluator.evaluator, f"{path}.evaluator"
    if not isinstance(getattr(evaluator, "data", None), DataConfig):
        raise UsageError(
            f"--data with {type(evaluator).__name__}, which has no images; accepted: with "
            "--evaluator proxy or weight-bank"
        )
    return f"{path}.data"
