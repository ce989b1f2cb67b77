"""`mnas train`: a network trained to the end, from scratch or from given weights."""

import contextlib
import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import tyro
from rich.console import Console

from mnas.architecture.architecture import Architecture
from mnas.architecture.sources import find
from mnas.cli.arguments import Spec
from mnas.cli.command import exit_status, stop_advice
from mnas.cli.recipe_flags import described_rate, parse_with_recipe
from mnas.data.images import DataConfig, Images, load
from mnas.data.sources import EMBEDDED
from mnas.files import locked_directory, write_json
from mnas.reports.terminal import plain_console
from mnas.reports.training_progress import TrainingProgress
from mnas.runtime import memory
from mnas.training.checkpoint import CheckpointConfig
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES
from mnas.training.transfer import TransferConfig

if TYPE_CHECKING:
    from mnas.training.whole_network import Retraining

# Pixels of a side, beyond which a training on the embedded digits is probably not meant.
LARGEST_DIGITS = 64


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a network to the end; the same command resumes a training that was stopped.

    It starts from scratch, or from the weights --init. After the last epoch the network is scored
    once on the test images, where the data have any.

    Example: mnas train runs/digits-1 --data cifar10.npz --recipe cifar --out trained
    """

    BASIC: ClassVar[tuple[str, ...]] = (
        "--data",
        "--validation",
        "--resolution",
        "--recipe",
        "--epochs",
        "--batch-size",
        "--learning-rate",
        "--precision",
        "--init",
        "--freeze",
        "--seed",
        "--out",
        "--json",
    )

    spec: Spec
    data: str = "digits"
    """Images: 'digits' (embedded), a .npz file, a folder with one folder per class, or another
    source as of mnas search."""
    validation: float = 0.2
    """Training images held out for validation: a fraction below 1, or a number of images."""
    resolution: int | None = None
    """Height and width of the images, pixels; None: those of the spec."""
    recipe: str = "proxy"
    """Settings to start from, which the flags below override: proxy, cifar, efficientnet. Learning
    rates of recipes but proxy grow with --batch-size where --learning-rate is not given."""
    config: Annotated[TrainingConfig, tyro.conf.arg(name="")] = RECIPES["proxy"].config
    transfer: Annotated[TransferConfig, tyro.conf.arg(name="")] = TransferConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    feeding: Literal["auto", "device", "stream"] = "auto"
    """Where images are kept: 'device', all on the device; 'stream', read batch by batch, ahead;
    'auto', on the device if they fit. Results don't depend on it."""
    readers: int = 0
    """Processes that read images where they are streamed; 0: threads of this process."""
    seed: int = 0
    """Random seed of initial weights, image order, augmentation, dropout and drop path."""
    out: str = "training"
    """Directory of checkpoints, history.csv, curves.svg, TensorBoard events and, after the last
    epoch, spec.json, weights.safetensors and result.json."""
    distributed: bool = False
    """Train with all processes of a cluster's job (Slurm, Open MPI, Kubernetes), one a host; each
    runs the same command, and the first one writes."""
    coordinator: str | None = None
    """Without a cluster's job: address of the first of several processes, host:port."""
    processes: int | None = None
    """Number of processes, with --coordinator."""
    process_index: int | None = None
    """Number of this process, from 0, with --coordinator."""
    json: bool = False
    """Print one JSON object."""


def main(arguments: list[str]) -> None:
    """Run `mnas train`."""
    options = parse_with_recipe("mnas train", arguments, TrainArguments(tyro.MISSING))
    with stop_advice(f"to continue: mnas train {shlex.join(arguments)}"):
        train(options)


def train(options: TrainArguments) -> None:
    """Train the network, or what is left of it, and write its files; with other processes if so."""
    memory.retain_freed_memory()
    processes = options.coordinator, options.processes, options.process_index
    if not options.distributed and all(value is None for value in processes):
        _train(options)
        return
    from mnas.training.processes import together  # imports JAX

    with together(*processes, exit_status):
        _train(options)


def _train(options: TrainArguments) -> None:
    from mnas.data.feeds import Feeding  # these import JAX
    from mnas.training.devices import Devices
    from mnas.training.whole_network import Retraining

    devices = Devices()
    console = plain_console(stderr=True)
    console.quiet = not devices.writes
    architecture = find(options.spec)
    if options.resolution is not None:
        architecture = architecture.replace(resolution=options.resolution)
    data = DataConfig(
        options.data, options.validation, feeding=options.feeding, readers=options.readers
    )
    images = load(data, architecture.resolution, test=True)
    console.print(f"data: {images.source.describe()}", soft_wrap=True)
    if options.data == EMBEDDED and architecture.resolution > LARGEST_DIGITS:
        size = f"{architecture.resolution}×{architecture.resolution}"
        console.print(
            f"digits of 8×8 pixels are enlarged to {size}; --data takes other images, --resolution "
            "another size",
            soft_wrap=True,
        )
    console.print(described_rate(options), soft_wrap=True)
    architecture = architecture.replace(classes=len(images.classes))
    feeding = Feeding.of(data, images)
    console.print(f"images: {feeding.describe()}", soft_wrap=True)
    initial = _initial(options, architecture, console)
    directory, seed = Path(options.out), options.seed
    lock = locked_directory(directory, "is training in this directory")
    with lock if devices.writes else contextlib.nullcontext():
        training = Retraining(
            architecture,
            images,
            options.config,
            seed,
            directory,
            data.source,
            checkpoints=options.checkpoint,
            devices=devices,
            feeding=feeding,
            **initial,
        )
        if not devices.writes:
            training.run()
            return
        result = follow(training, options, images, directory, console)
    if options.json:
        print(json.dumps(result, indent=2, allow_nan=False))


def _initial(
    options: TrainArguments, architecture: Architecture, console: Console
) -> dict[str, Any]:
    """Return the arguments of `Retraining` for weights to start from and rates by block."""
    from mnas.training.initial import initial_weights

    if options.transfer.init is None:
        return {}
    initial = initial_weights(options.transfer, architecture, options.seed)
    console.print(f"init: {initial.describe()}", soft_wrap=True)
    return initial.settings


def follow(
    training: "Retraining",
    options: TrainArguments,
    images: Images,
    directory: Path,
    console: Console,
) -> dict[str, Any]:
    """Run the training to its end with progress and files; return its result."""
    from mnas.cli.logged_training import run_logged
    from mnas.training.result import result_of

    if training.resumed:
        console.print(training.resumed)
    config, steps = options.config, training.steps_per_epoch
    batch_size = min(config.batch_size, len(images.train))
    done = len(training.history) * steps + training.step
    with TrainingProgress(console, config.epochs, steps, batch_size, done) as progress:
        rows = run_logged(training, config, directory, progress.on_epoch, progress.on_step)
    result = result_of(training, config, options.seed, options.data, len(images.validation))
    result |= {"recipe": options.recipe, "transfer": dataclasses.asdict(options.transfer)}
    result |= {"weights": str(directory / "weights.safetensors")}
    write_json(directory / "result.json", result)
    none = f"no test images in {options.data}: the accuracy is that of validation"
    console.print(f"test: {training.test}" if training.test else none, soft_wrap=True)
    files = "weights.safetensors, spec.json, result.json, history.csv, curves.svg"
    console.print(f"written: {directory}/{files}", soft_wrap=True)
    return {**result, "history": [dataclasses.asdict(row) for row in rows]}
