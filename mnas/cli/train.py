"""`mnas train`: a network trained from scratch, to the end."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mnas.architecture.spec import find
from mnas.cli.arguments import Spec, parse
from mnas.data.images import DataConfig, load
from mnas.errors import UsageError
from mnas.runtime import memory
from mnas.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """A network trained from scratch; the same command goes on with a training that was stopped."""

    spec: Spec
    """A published name, a spec file, a run's directory (its best), or block strings joined by ;."""
    data: str = "digits"
    """'digits' (embedded), a .npz file, or a folder of class folders."""
    validation: float = 0.2
    """Training images held out to be validated on: a share below 1, or a number."""
    resolution: int | None = None
    """Side of the images, pixels; the spec's where not given. Classes are those of the data."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = TrainingConfig(epochs=30)
    seed: int = 0
    """Of initial weights, order, augmentation and drops."""
    out: str = "training"
    """Directory for checkpoint.npz, and in the end spec.json and weights.safetensors."""
    json: bool = False
    """One JSON object on standard output."""


def train(arguments: list[str]) -> None:
    """`mnas train`."""
    from mnas.training.whole_network import Epoch, Retraining

    chosen = parse(TrainArguments, "mnas train", arguments, tyro.MISSING_NONPROP)
    architecture = find(chosen.spec)
    if chosen.resolution is not None:
        architecture = architecture.replace(resolution=chosen.resolution)
    images = load(DataConfig(chosen.data, chosen.validation), architecture.resolution)
    architecture = architecture.replace(classes=len(images.classes))
    directory = Path(chosen.out)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{directory} can't be made: {error.strerror}") from None
    memory.keep_freed_memory()
    training = Retraining(architecture, images, chosen.config, chosen.seed, directory, chosen.data)
    console = Console(stderr=True, highlight=False)
    if training.history:
        console.print(f"goes on after epoch {len(training.history)}")
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("epochs"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        epochs = chosen.config.epochs
        task = bar.add_task("", total=epochs, completed=len(training.history))

        def done(epoch: Epoch) -> None:
            bar.advance(task)
            console.print(
                f"epoch {epoch.epoch:3d}/{epochs}  loss {epoch.loss:.4f}  "
                f"accuracy {epoch.accuracy:.4f}"
            )

        history = training.run(done)
    console.print(f"written: {directory}/weights.safetensors", soft_wrap=True)
    if chosen.json:
        described = {
            "name": architecture.name,
            "accuracy": history[-1].accuracy,
            "history": [dataclasses.asdict(epoch) for epoch in history],
            "weights": str(directory / "weights.safetensors"),
        }
        print(json.dumps(described, indent=2))
