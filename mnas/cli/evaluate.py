"""`mnas evaluate`: accuracy of a network with given weights."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mnas.architecture.architecture import Architecture
from mnas.architecture.sources import find, trained_weights
from mnas.cli.arguments import Spec, parse, require_writable
from mnas.data.images import DataConfig, Images, Subset, load
from mnas.data.source import shortened
from mnas.errors import UsageError, is_finite, rejected, require_whole
from mnas.reports.terminal import plain_console
from mnas.runtime import memory

if TYPE_CHECKING:
    from mnas.data.feeds import Feed
    from mnas.training.accuracy import Score


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """Score a network with given weights on the images of a data set.

    Images are normalised by the statistics that mnas stores with the weights. Files without them,
    as timm's, are taken to need timm's mean 0.485 0.456 0.406 and standard deviation
    0.229 0.224 0.225, unless --mean and --std are given.

    Example: mnas evaluate trained --data cifar10.npz
    """

    spec: Spec
    weights: str | None = None
    """.safetensors file with the weights by timm's names, written by mnas or by timm; None: those
    of SPEC where it is a training's directory."""
    data: str = "digits"
    """Images, as of mnas train."""
    split: Literal["test", "validation"] = "test"
    """Images that are scored: the test set, or those that mnas train holds out."""
    validation: float = 0.2
    """Training images held out for validation, as of mnas train."""
    resolution: int | None = None
    """Height and width of the images, pixels; None: those of the spec."""
    mean: tuple[float, float, float] | None = None
    """Mean of the channels, 0 to 1; None: as stored with the weights."""
    std: tuple[float, float, float] | None = None
    """Standard deviation of the channels, 0 to 1; None: as stored with the weights."""
    batch_size: int = 64
    """Images per step."""
    predictions: str | None = None
    """.npz file to write: class probabilities of all training images of the data, from which
    children of a search learn (--evaluator.teacher)."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_whole("evaluate", "batch_size", self.batch_size, most=1_000_000)
        if self.mean is not None and self.std is None:
            raise rejected("evaluate", "mean", self.mean, "with --std")
        if self.std is not None:
            if self.mean is None:
                raise rejected("evaluate", "std", self.std, "with --mean")
            if not all(is_finite(value) and value > 0 for value in self.std):
                raise rejected("evaluate", "std", self.std, "numbers above 0")
            if not all(map(is_finite, self.mean)):
                raise rejected("evaluate", "mean", self.mean, "numbers")


def main(arguments: list[str]) -> None:
    """Run `mnas evaluate`."""
    options = parse(EvaluateArguments, "mnas evaluate", arguments)
    console = plain_console(stderr=True)
    architecture = find(options.spec)
    weights = trained_weights(options.spec) if options.weights is None else options.weights
    if weights is None:
        raise UsageError(
            "no weights given; accepted: with --weights FILE.safetensors, or the directory of a "
            "training as SPEC"
        )
    if options.resolution is not None:
        architecture = architecture.replace(resolution=options.resolution)
    data = DataConfig(options.data, options.validation)
    images = load(data, architecture.resolution, test=options.split == "test")
    console.print(f"data: {images.source.describe()}", soft_wrap=True)
    if architecture.classes != len(images.classes):
        raise UsageError(
            f"{options.spec} has {architecture.classes} classes, and {options.data} has "
            f"{len(images.classes)} ({shortened(images.classes)}); accepted: the spec that was "
            "trained on such data"
        )
    subset = images.validation if options.split == "validation" else images.test
    if subset is None:
        raise UsageError(f"{options.data} has no test images; accepted: --split validation")
    if options.predictions is not None:
        require_writable(options.predictions)
    network = _Network(options, weights, architecture)
    scored = network.score(subset)
    if options.predictions is not None:
        _write_predictions(Path(options.predictions), network, images, data, console)
    if options.json:
        names = {"name": architecture.name, "weights": weights, "data": options.data}
        print(json.dumps({**names, "split": options.split, **scored.to_dict()}, indent=2))
    else:
        print(f"{options.split}: {scored}")


class _Network:
    """A network with weights, on the device, that images are classified by."""

    def __init__(self, options: EvaluateArguments, weights: str, architecture: Architecture):
        memory.retain_freed_memory()
        import jax

        from mnas.nn.weights import load_weights
        from mnas.training.step import infer

        self._batch_size = options.batch_size
        placed = jax.device_put(load_weights(weights, architecture))
        self._statistics = _normalisation(options, weights)
        self._infer = lambda x: infer(architecture, placed, x)

    def _feed(self, subset: Subset) -> "Feed":
        from mnas.data.feeds import Feeding, room

        where: Literal["device", "stream"] = "device" if subset.nbytes <= room() else "stream"
        return Feeding(where, 0, subset.nbytes).feed(subset, self._statistics)

    def score(self, subset: Subset) -> "Score":
        """Return the score on the images."""
        from mnas.training.scoring import score

        return score(self._infer, self._feed(subset), self._batch_size)

    def probabilities(self, subset: Subset, console: Console) -> np.ndarray:
        """Return the class probabilities of the images, float32 [N, K], with progress."""
        from mnas.training.scoring import probabilities

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("images"), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=len(subset))
            return probabilities(
                self._infer,
                self._feed(subset),
                self._batch_size,
                lambda done: bar.update(task, completed=done),
            )


def _write_predictions(
    path: Path, network: _Network, images: Images, data: DataConfig, console: Console
) -> None:
    """Write class probabilities of all training images, those held out for validation included."""
    from mnas.data.teacher import Teacher

    split = images.source.train
    everything = Subset(
        split, np.arange(len(split.labels)), images.train.resolution, (data.source, "train")
    )
    probabilities = network.probabilities(everything, console)
    try:
        Teacher(path, probabilities, images.source.digest()).write()
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}") from None
    console.print(f"written: {path}, {len(everything):,} training images", soft_wrap=True)


def _normalisation(options: EvaluateArguments, weights: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the channels, float32 [3], on the scale of 0 to 255."""
    from mnas.nn.weights import saved_normalisation
    from mnas.training.initial import IMAGENET

    if options.mean is not None and options.std is not None:
        return _scaled(options.mean), _scaled(options.std)
    mean, std = saved_normalisation(weights) or IMAGENET
    return np.array(mean, np.float32), np.array(std, np.float32)


def _scaled(values: Sequence[float]) -> np.ndarray:
    return np.array(values, np.float32) * 255
