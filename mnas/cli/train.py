"""`mnas train`: a network trained from scratch."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnas.architecture.sources import find
from mnas.cli.arguments import Spec, parse
from mnas.data.images import DataConfig, load
from mnas.errors import UsageError
from mnas.reports.terminal import plain_console
from mnas.runtime import memory
from mnas.training.config import TrainingConfig


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
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = TrainingConfig(epochs=30)
    seed: int = 0
    """Random seed of initial weights, image order, augmentation, dropout and drop path."""
    out: str = "training"
    """Directory of checkpoint.npz and, after the last epoch, spec.json and weights.safetensors."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: list[str]) -> None:
    """Run `mnas train`."""
    options = parse(TrainArguments, "mnas train", arguments)
    from mnas.training.whole_network import Epoch, Retraining  # imports JAX

    architecture = find(options.spec)
    if options.resolution is not None:
        architecture = architecture.replace(resolution=options.resolution)
    images = load(DataConfig(options.data, options.validation), architecture.resolution)
    architecture = architecture.replace(classes=len(images.classes))
    directory = Path(options.out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory} can't be created: {error.strerror}") from None
    memory.retain_freed_memory()
    training = Retraining(
        architecture, images, options.config, options.seed, directory, options.data
    )
    console = plain_console(stderr=True)
    if training.history:
        console.print(f"resumed after epoch {len(training.history)}")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        epochs = options.config.epochs
        task = bar.add_task("", total=epochs, completed=len(training.history))

        def done(epoch: Epoch) -> None:
            bar.advance(task)
            console.print(
                f"epoch {epoch.epoch:3d}/{epochs}  loss {epoch.loss:.4f}  "
                f"accuracy {epoch.accuracy:.4f}"
            )

        history = training.run(done)
    console.print(f"written: {directory}/weights.safetensors", soft_wrap=True)
    if options.json:
        result = {
            "name": architecture.name,
            "accuracy": history[-1].accuracy,
            "history": [dataclasses.asdict(epoch) for epoch in history],
            "weights": str(directory / "weights.safetensors"),
        }
        print(json.dumps(result, indent=2))
