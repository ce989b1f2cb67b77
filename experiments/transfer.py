"""Transfer study: a network trained on several data sets, from scratch and from given weights.

Paper     EfficientNet (arXiv 1905.11946), Table 5, in form; Kornblith et al. (arXiv 1805.08974)
Command   python -m mnas.experiments.transfer SPEC --init WEIGHTS --data A B --epochs 5 --out DIR
Cost      2 · seeds trainings for each data set (docs/results/budget.md)
Expect    higher test accuracy from weights of a related data set, most so for few images or epochs
Results   docs/results/transfer.md

Both trainings of a pair have the same settings, images, epochs and seed. The classifier is always
initialised anew. The same command continues a study that was stopped.
"""

import dataclasses
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro
from rich.console import Console

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.sources import find
from mnas.cli.arguments import Spec, rows_table
from mnas.cli.command import run_command, stop_advice
from mnas.cli.recipe_flags import described_rate, parse_with_recipe
from mnas.data.images import DataConfig, Images, load
from mnas.errors import UsageError, require_whole
from mnas.files import locked_directory, write_csv
from mnas.loop.selection import half_interval
from mnas.reports.terminal import plain_console
from mnas.reports.training_progress import TrainingProgress
from mnas.runtime import memory
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES
from mnas.training.transfer import TransferConfig, block_rates

STARTS = ("scratch", "weights")
HEADS = ("data", "classes", "images", "from scratch", "from weights", "difference", "params")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Train a network on several data sets, from scratch and from weights, with several seeds.

    Example: python -m mnas.experiments.transfer trained --init trained/weights.safetensors
    --data flowers.npz pets/ --epochs 20 --out transferred
    """

    spec: Spec
    init: str
    """Weights to start from, as of mnas train."""
    data: tuple[str, ...]
    """Data sets with test images, as of mnas train."""
    seeds: int = 3
    """Pairs of trainings for each data set."""
    resolution: int | None = None
    """Height and width of the images, pixels; None: those of the spec."""
    train_images: int | None = None
    """Maximum number of training images of each data set; all by default."""
    validation: float = 0.1
    """Training images held out for validation: a fraction below 1, or a number of images."""
    freeze: str = ""
    """Blocks that keep their weights, as of mnas train."""
    layer_decay: float = 1.0
    """Factor on the learning rate for each stage from the head down, as of mnas train."""
    recipe: str = "proxy"
    """Settings to start from, as of mnas train."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = RECIPES["proxy"].config
    out: str = "transfer"
    """Directory of the trainings and of transfer.csv."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_whole("transfer", "seeds", self.seeds, most=1000)
        names = [data_name(source) for source in self.data]
        if not names or len({*names}) < len(names):
            raise UsageError(
                f"transfer: data = {', '.join(self.data) or 'none'}; accepted: one or more data "
                "sets whose names differ, without folder and ending"
            )

    @property
    def transfer(self) -> TransferConfig:
        """Settings of the trainings that start from the weights."""
        return TransferConfig(self.init, True, self.freeze, self.layer_decay)


class Row(NamedTuple):
    """A training, with its top-1 accuracy on n test images."""

    data: str
    start: str
    seed: int
    classes: int
    train_images: int
    params: int
    accuracy: float
    n: int


def data_name(source: str) -> str:
    """Return the name of a data set: of its file or folder, without ending."""
    name = os.path.basename(os.path.abspath(source))
    return name.removesuffix(".npz") or "data"


def study(options: Arguments, console: Console) -> list[Row]:
    """Train, or what is left of it; return a row for each training."""
    architecture = find(options.spec)
    if options.resolution is not None:
        architecture = architecture.replace(resolution=options.resolution)
    block_rates(architecture, options.freeze, options.layer_decay)
    opened = {source: _images(options, source, architecture.resolution) for source in options.data}
    rows = []
    for source, images in opened.items():
        network = architecture.replace(classes=len(images.classes))
        console.print(f"{data_name(source)}: {images.source.describe()}", soft_wrap=True)
        for seed in range(options.seeds):
            for start in STARTS:
                rows.append(_train(options, network, images, source, start, seed, console))
    return rows


def _images(options: Arguments, source: str, resolution: int) -> Images:
    data = DataConfig(source, options.validation, options.train_images)
    images = load(data, resolution, test=True)
    if images.test is None:
        raise UsageError(f"transfer: {source} has no test images; accepted: data with some")
    return images


def _train(
    options: Arguments,
    network: Architecture,
    images: Images,
    source: str,
    start: str,
    seed: int,
    console: Console,
) -> Row:
    """Train one network, from scratch or from the weights, and score it."""
    from mnas.training.initial import initial_weights  # import JAX
    from mnas.training.whole_network import Retraining

    began, name = time.monotonic(), data_name(source)
    directory = Path(options.out) / name / f"{start}-{seed}"
    directory.mkdir(parents=True, exist_ok=True)
    settings: dict[str, Any] = {}
    if start == "weights":
        initial = initial_weights(options.transfer, network, seed)
        settings = initial.settings
        if not seed:
            console.print(f"{name}: {initial.describe()}", soft_wrap=True)
    config = options.config
    training = Retraining(network, images, config, seed, directory, source, **settings)
    steps, batch_size = training.steps_per_epoch, min(config.batch_size, len(images.train))
    done = len(training.history) * steps + training.step
    with TrainingProgress(console, config.epochs, steps, batch_size, done) as progress:
        training.run(on_step=progress.on_step)
    assert training.test is not None
    score, seconds = training.test, time.monotonic() - began
    console.print(f"{name}, {start}, seed {seed}: test {score}, {seconds:.0f} s", soft_wrap=True)
    params = network_cost(network).params
    count = len(images.train)
    return Row(name, start, seed, network.classes, count, params, score.accuracy, score.n)


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return, for each data set, means over the seeds with halves of their 95% intervals.

    Intervals are by Student's t distribution over seeds, of the difference over pairs of equal
    seed; None for one seed.
    """
    table = []
    for name in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == name]
        by_start = {s: [row.accuracy for row in own if row.start == s] for s in STARTS}
        scratch, weights = by_start.values()
        differences = [w - s for s, w in zip(scratch, weights, strict=True)]
        line: dict[str, Any] = {
            "data": name,
            "classes": own[0].classes,
            "train_images": own[0].train_images,
            "params": own[0].params,
            "test_images": own[0].n,
            "seeds": len(scratch),
        }
        for key, values in (*by_start.items(), ("difference", differences)):
            n = len(values)
            half = half_interval(statistics.stdev(values), n) if n > 1 else None
            line |= {key: statistics.fmean(values), f"{key}_half_interval": half}
        table.append(line)
    return table


def _cells(line: Mapping[str, Any]) -> list[str]:
    """Return a line of the table as text; accuracies in percent."""
    texts = []
    for key, sign in (("scratch", ""), ("weights", ""), ("difference", "+")):
        half = line[f"{key}_half_interval"]
        spread = "" if half is None else f" ± {100 * half:.1f}"
        texts.append(f"{100 * line[key]:{sign}.1f}{spread}")
    counts = [line["data"], f"{line['classes']}", f"{line['train_images']:,}"]
    return [*counts, *texts, f"{line['params'] / 1e6:.2f}M"]


def main(flags: list[str]) -> int:
    """Run the study and print its table; return the exit status."""
    program = "mnas.experiments.transfer"
    default = Arguments(tyro.MISSING, tyro.MISSING, ("digits",))
    options = parse_with_recipe(program, flags, default)
    console = plain_console(stderr=True)
    memory.retain_freed_memory()
    with (
        stop_advice(f"to continue: python -m {program} {shlex.join(flags)}"),
        locked_directory(Path(options.out), "is training in this directory"),
    ):
        console.print(described_rate(options), soft_wrap=True)
        rows = study(options, console)
        write_csv(Path(options.out) / "transfer.csv", [row._asdict() for row in rows])
    table = summary(rows)
    if options.json:
        print(json.dumps({"rows": table, "init": options.init}, indent=2, allow_nan=False))
        return 0
    plain_console().print(rows_table(HEADS, [_cells(line) for line in table]))
    spread = f"mean ± half of its 95% interval over {options.seeds} seeds"
    kind = spread if options.seeds > 1 else "one seed"
    console.print(f"test top-1 in percent, {kind}; {described_rate(options)}", soft_wrap=True)
    console.print(f"written: {options.out}/transfer.csv")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.transfer", lambda: main(sys.argv[1:])))
