"""`mnas train`: a network trained from scratch."""

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnas.architecture.sources import find
from mnas.cli.arguments import Spec
from mnas.cli.command import stop_advice
from mnas.cli.recipe_flags import described_rate, parse_with_recipe
from mnas.data.images import DataConfig, load
from mnas.data.sources import open_source
from mnas.files import locked_directory
from mnas.reports.terminal import plain_console
from mnas.runtime import memory
from mnas.training.checkpoint import Epoch
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES

if TYPE_CHECKING:
    from mnas.training.whole_network import Retraining


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a network from scratch; the same command resumes a training that was stopped.

    Example: mnas train runs/digits-1 --data cifar10.npz --epochs 30 --out trained
    """

    spec: Spec
    data: str = "digits"
    """Images: 'digits' (embedded), a .npz file, or a folder with one folder per class."""
    validation: float = 0.2
    """Training images held out for validation: a fraction below 1, or a number of images."""
    resolution: int | None = None
    """Height and width of the images, pixels; None: those of the spec."""
    recipe: str = "proxy"
    """Settings to start from, which the flags below override: proxy, efficientnet. Learning rates
    of recipes but proxy grow with --batch-size where --learning-rate is not given."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = RECIPES["proxy"].config
    seed: int = 0
    """Random seed of initial weights, image order, augmentation, dropout and drop path."""
    out: str = "training"
    """Directory of checkpoint.npz and, after the last epoch, spec.json and weights.safetensors."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: list[str]) -> None:
    """Run `mnas train`."""
    options = parse_with_recipe("mnas train", arguments, TrainArguments(tyro.MISSING))
    with stop_advice(f"to continue: mnas train {shlex.join(arguments)}"):
        train(options)


def train(options: TrainArguments) -> None:
    """Train the network, or what is left of it, and write its files."""
    from mnas.training.whole_network import Retraining  # imports JAX

    console = plain_console(stderr=True)
    architecture = find(options.spec)
    if options.resolution is not None:
        architecture = architecture.replace(resolution=options.resolution)
    data = DataConfig(options.data, options.validation)
    console.print(f"data: {open_source(data.source).describe()}", soft_wrap=True)
    console.print(described_rate(options), soft_wrap=True)
    images = load(data, architecture.resolution)
    architecture = architecture.replace(classes=len(images.classes))
    memory.retain_freed_memory()
    directory, seed = Path(options.out), options.seed
    with locked_directory(directory, "is training in this directory"):
        training = Retraining(architecture, images, options.config, seed, directory, data.source)
        history = follow(training, options.config.epochs, console)
    weights = directory / "weights.safetensors"
    console.print(f"written: {weights}", soft_wrap=True)
    if options.json:
        result = {
            "name": architecture.name,
            "accuracy": history[-1].accuracy,
            "history": [dataclasses.asdict(epoch) for epoch in history],
            "weights": str(weights),
        }
        print(json.dumps(result, indent=2))


def follow(training: "Retraining", epochs: int, console: Console) -> list[Epoch]:
    """Run the training to its end with a line for each epoch; return its history."""
    if training.history:
        console.print(f"resumed after epoch {len(training.history)}")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=epochs, completed=len(training.history))

        def done(epoch: Epoch) -> None:
            bar.advance(task)
            console.print(
                f"epoch {epoch.epoch:3d}/{epochs}  loss {epoch.loss:.4f}  "
                f"accuracy {epoch.accuracy:.4f}"
            )

        return training.run(done)
