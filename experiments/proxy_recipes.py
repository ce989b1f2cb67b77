"""Settings of a short training, one by one: what each gains or loses in ranking networks.

Command   python -m mnas.experiments.proxy_recipes TABLE --data cifar10.npz --networks 40 --out DIR
Cost      8 CPU-minutes a variant for 40 networks of about 50M mult-adds, 3 CPU-hours in all
Expect    nothing certain: at 10 CPU-seconds a child, differences are about as large as intervals
Results   docs/results/proxy.md

The base is a recipe of `mnas.evaluators.presets`; each variant changes one of its settings, and
where that changes the cost of an image, also their number, so that a child costs about the same.
All variants have the same networks, whose accuracies of full training are in TABLE (as of
`mnas proxy-quality`), and the same seed. Differences of Kendall's τ are paired: 95% intervals by
bootstrap over networks. Choose by other networks than those that the choice is reported on
(`--skip`). The same command continues a comparison that was stopped.
"""

import dataclasses
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from mnas.analysis.proxy_quality import Score, known_networks, random_rows, require_enough
from mnas.analysis.rank_agreement import Estimate, Networks, agreement, estimate, resamples
from mnas.architecture.network_table import TableRow, read_network_table
from mnas.cli.arguments import parse, rows_table
from mnas.cli.command import run_command, stop_advice
from mnas.cli.proxy_scores import evaluated
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError, require_whole, unknown
from mnas.evaluators.presets import with_recipe
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment import registry
from mnas.files import locked_directory, write_csv
from mnas.reports import proxy_differences
from mnas.reports.proxy_quality import signed, text
from mnas.reports.terminal import plain_console
from mnas.reward import RewardConfig

BASE, TEACHER = "base", "a teacher's probabilities"
MEASURES = ("tau", "tau_equal_depth", "tau_reward")
HEADS = ("variant", "CPU-seconds", "τ", "gain", "τ, equal depth", "gain", "τ of the reward", "gain")
# Settings of variants of `proxy-10s`: 7,500 images of 32 pixels at width 1/4, each once.
VARIANTS: dict[str, dict[str, Any]] = {
    # What is read out of the training.
    "accuracy": {"score": "accuracy"},
    "training likelihood": {"score": "training-likelihood"},
    "10,000 held-out images": {"data.validation": 10_000},
    "statistics of 1 batch": {"training.calibration_batches": 1},
    "statistics of 64 batches": {"training.calibration_batches": 64},
    # How it is trained.
    "RMSProp": {
        "training.optimizer": "rmsprop",
        "training.learning_rate": 0.005,
        "training.weight_decay": 1e-5,
    },
    "Muon": {"training.optimizer": "muon", "training.learning_rate": 0.02},
    "half the learning rate": {"training.learning_rate": 0.025},
    "twice the learning rate": {"training.learning_rate": 0.1},
    "constant learning rate": {"training.schedule": "constant"},
    "BatchNorm's biases 8 times as fast": {"training.norm_bias_rate": 8.0},
    "no label smoothing": {"training.label_smoothing": 0.0},
    "average of weights": {"training.ema_decay": 0.98},
    "residual branches not from 0": {"training.zero_residual": False},
    "batches of 32": {"training.batch_size": 32, "training.learning_rate": 0.025},
    "shifts and flips": {"training.flip": True, "training.crop_padding": 4},
    # What it is trained on, at about equal cost: width 1/2 takes 3.6 times as long per image.
    "width 1/2, 2,100 images": {"width": 0.5, "data.train_images": 2_100},
    "16 pixels, 22,500 images": {"resolution": 16, "data.train_images": 22_500},
    "3 epochs of 2,500 images": {"training.epochs": 3, "data.train_images": 2_500},
    "16 to 32 pixels, 3 epochs of 4,000 images": {
        "training.progressive": 16,
        "training.epochs": 3,
        "data.train_images": 4_000,
    },
}


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Compare variants of a short training by how they rank networks of known accuracy.

    Example: python -m mnas.experiments.proxy_recipes table.csv --space nas-bench-macro
    --data cifar10.npz --networks 40 --out recipes
    """

    table: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="TABLE")]
    data: str
    """Images, as of mnas search."""
    space: str | None = None
    """Search space, by name, of the column `decisions`; with its default settings."""
    recipe: str = "proxy-10s"
    """Recipe of the base, as of mnas proxy-quality."""
    variants: tuple[str, ...] = ()
    """Names of variants beside the base; none: all."""
    teacher: str | None = None
    """File of mnas evaluate --predictions: a further variant, children that learn from it."""
    networks: int | None = 40
    """Number of networks, in a random order; None: all."""
    skip: int = 0
    """Number of networks to leave out before."""
    engine: EngineConfig = EngineConfig()
    out: str = "proxy-recipes"
    """Directory of recipes.csv, recipes.svg, and the journals of each variant."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        if self.networks is not None:
            require_whole("proxy-recipes", "networks", self.networks)
        require_whole("proxy-recipes", "skip", self.skip, least=0)
        for name in self.variants:
            if name not in VARIANTS:
                raise unknown("variant", name, VARIANTS)


@dataclasses.dataclass(frozen=True)
class Line:
    """A variant's cost, its agreement with full training, and what that is above the base's."""

    variant: str
    networks: int
    cpu_seconds: float | None
    measures: dict[str, Estimate]
    gains: dict[str, Estimate]


def changed(config: ProxyConfig, changes: Mapping[str, Any]) -> ProxyConfig:
    """Return the configuration with other values of settings, `part.field` or `field`."""
    for setting, value in changes.items():
        part, _, field = setting.rpartition(".")
        if part:
            value = dataclasses.replace(getattr(config, part), **{field: value})
        config = dataclasses.replace(config, **{part or field: value})
    return config


def configurations(arguments: Arguments) -> dict[str, ProxyConfig]:
    """Return the base and the variants by name. Raises UsageError where one equals the base."""
    data = DataConfig(arguments.data)
    base = with_recipe(ProxyConfig(data=data), arguments.recipe)
    found = {BASE: base}
    variants = {name: VARIANTS[name] for name in arguments.variants or VARIANTS}
    if arguments.teacher is not None:
        variants[TEACHER] = {"teacher": arguments.teacher}
    for name, changes in variants.items():
        found[name] = changed(base, changes)
        if found[name] == base:
            raise UsageError(
                f"variant {name} equals recipe {arguments.recipe}; accepted: other --variants"
            )
    return found


def compare(scores: Mapping[str, Sequence[Score | None]], rows: Sequence[TableRow]) -> list[Line]:
    """Return a line for each variant, on the networks that all of them have a score of."""
    known = [i for i in range(len(rows)) if all(found[i] is not None for found in scores.values())]
    require_enough(len(known))
    networks = known_networks([rows[i] for i in known], None, RewardConfig().w)
    weights = resamples(len(known))
    measured, spent = {}, {}
    for name, found in scores.items():
        kept = [score for i in known if (score := found[i]) is not None]
        measured[name] = _measures(np.array([score.mean for score in kept]), networks, weights)
        seconds = [score.cpu_seconds for score in kept if score.cpu_seconds is not None]
        spent[name] = sum(seconds) / len(seconds) if seconds else None
    base = measured[BASE]
    return [
        Line(
            name,
            len(known),
            spent[name],
            {key: estimate(values) for key, values in own.items()},
            {key: estimate(values - base[key]) for key, values in own.items() if name != BASE},
        )
        for name, own in measured.items()
    ]


def _measures(score: np.ndarray, networks: Networks, weights: np.ndarray) -> dict[str, np.ndarray]:
    found = agreement(score, networks, weights)
    return {name: found[name] for name in MEASURES}


def examine(arguments: Arguments, console: Console) -> list[Line]:
    """Evaluate the networks by all variants, or what is left of them, and compare these."""
    space = None if arguments.space is None else registry.load("space", arguments.space)()
    decode = None if space is None else space.build().decode
    rows = read_network_table(Path(arguments.table), decode)
    rows = random_rows(rows, arguments.networks, arguments.skip)
    require_enough(len(rows))
    scores = {}
    for name, config in configurations(arguments).items():
        console.print(f"{name}:", highlight=False)
        directory = Path(arguments.out) / directory_name(name)
        scores[name] = evaluated(rows, config, arguments.engine, 1, directory, console, space)
    return compare(scores, rows)


def directory_name(variant: str) -> str:
    """Return the name of a variant's directory: letters and digits, joined by hyphens."""
    return "-".join("".join(c if c.isalnum() else " " for c in variant).split())


def cells(line: Line) -> list[str]:
    """Return a line of the table as text."""
    spent = "-" if line.cpu_seconds is None else f"{line.cpu_seconds:.1f}"
    found = [line.variant, spent]
    for name in MEASURES:
        gain = line.gains.get(name)
        found += [text(line.measures[name]), "" if gain is None else signed(gain)]
    return found


def records(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Return a row for each variant, for CSV."""
    found = []
    for line in lines:
        row: dict[str, Any] = {"variant": line.variant, "networks": line.networks}
        row["cpu_seconds"] = line.cpu_seconds
        for name in MEASURES:
            for key, value in (("", line.measures[name]), ("_gain", line.gains.get(name))):
                value = value or Estimate(None)
                row |= {
                    f"{name}{key}": value.value,
                    f"{name}{key}_low": value.low,
                    f"{name}{key}_high": value.high,
                }
        found.append(row)
    return found


def main(flags: list[str]) -> int:
    """Run the comparison and print its table; return the exit status."""
    program = "mnas.experiments.proxy_recipes"
    arguments = parse(Arguments, program, flags)
    console, out = plain_console(stderr=True), Path(arguments.out)
    with (
        stop_advice(f"to continue: python -m {program} {shlex.join(flags)}"),
        locked_directory(out, "is comparing recipes in this directory"),
    ):
        lines = examine(arguments, console)
        write_csv(out / "recipes.csv", records(lines))
        gains = {line.variant: line.gains for line in lines if line.gains}
        proxy_differences.write_picture(out / "recipes.svg", gains, MEASURES[:2])
    if arguments.json:
        found = [dataclasses.asdict(line) for line in lines]
        print(json.dumps({"recipe": arguments.recipe, "variants": found}, indent=2))
    else:
        plain_console(width=150).print(rows_table(HEADS, [cells(line) for line in lines]))
    console.print(
        f"{lines[0].networks} networks, 95% intervals by bootstrap over networks; gains beside "
        f"{arguments.recipe}, paired",
        soft_wrap=True,
    )
    console.print(f"written: {out}/recipes.csv, recipes.svg", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.proxy_recipes", lambda: main(sys.argv[1:])))
