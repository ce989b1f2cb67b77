"""Measure images per second from the device's memory and streamed, by number of reader processes.

Command   python -m mnas.experiments.performance.feeding cifar10.npz [--images 12800] [--json]
Cost      4 minutes on 2 cores
Expect    equal weights from every feed; streams by threads train as fast as images on the device
Results   docs/results/data.md

Feeds take turns over the rounds; ratios are to images on the device in the same round. Each is
measured alone, augmented by shift and flip, and in the second epoch of a training of a small
network, block by block, in which the readers have started.
"""

import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from typing import Annotated

import jax
import tyro

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.data.augmentation import Augmentation
from mnas.data.batches import epoch_batches
from mnas.data.feeds import DeviceImages, Feed, StreamedImages
from mnas.data.images import DataConfig, load
from mnas.errors import require_whole
from mnas.experiments.performance.harness import print_rows
from mnas.nn.network import Variables
from mnas.reports.terminal import plain_console
from mnas.training.blockwise import train
from mnas.training.config import TrainingConfig

BLOCKS = (
    Block(kernel=3, stride=1, filters=16),
    Block(kernel=3, stride=2, filters=24, expand_ratio=4),
    Block(kernel=5, stride=2, filters=40, expand_ratio=4),
)
BATCH_SIZE, SHIFT = 64, 4
RESIDENT = "on the device"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Data and extent of the measurements."""

    source: Annotated[str, tyro.conf.Positional] = "digits"
    """Data set: a name, file or folder that `mnas train --data` accepts."""
    images: int = 12_800
    """Training images."""
    resolution: int = 32
    """Resolution of the images, pixels."""
    rounds: int = 5
    """Rounds in which the feeds take turns."""
    readers: int = 2
    """Most reader processes."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        for field in ("images", "resolution", "rounds"):
            require_whole("feeding", field, getattr(self, field))
        require_whole("feeding", "readers", self.readers, least=0)


@dataclasses.dataclass(frozen=True)
class Row:
    """Images per second of a feed: medians over the rounds, and ratios with their range.

    alone, training              images/s of the feed alone, and of a training
    ratio, lowest, highest       of the training, to that of images on the device
    equal_weights                whether the trained weights equal those of images on the device
    """

    feed: str
    alone: float
    training: float
    ratio: float
    lowest: float
    highest: float
    equal_weights: bool


def measure(arguments: Arguments, log: Callable[[str], None]) -> list[Row]:
    """Return a row for each feed."""
    data = DataConfig(arguments.source, train_images=arguments.images)
    images = load(data, arguments.resolution)
    resident = DeviceImages(images.train)
    feeds: dict[str, Feed] = {RESIDENT: resident}
    for readers in range(arguments.readers + 1):
        by = {0: "threads", 1: "1 process"}.get(readers, f"{readers} processes")
        name = f"streamed by {by}"
        feeds[name] = StreamedImages(images.train, readers=readers)
    held_out = DeviceImages(images.validation, (resident.mean, resident.std))
    network = Architecture(
        BLOCKS, resolution=arguments.resolution, classes=len(images.classes), stem=16, head=128
    )
    training_rate(network, resident, held_out)  # compiles
    alone: dict[str, list[float]] = {name: [] for name in feeds}
    training: dict[str, list[float]] = {name: [] for name in feeds}
    weights = {}
    for number in range(1, arguments.rounds + 1):
        for name, feed in feeds.items():
            alone[name].append(feed_rate(feed, number))
            rate, weights[name] = training_rate(network, feed, held_out)
            training[name].append(rate)
            log(f"round {number}: {name}: {alone[name][-1]:,.0f} alone, {rate:,.0f} in training")
    rows = []
    for name in feeds:
        ratios = [a / b for a, b in zip(training[name], training[RESIDENT], strict=True)]
        rows.append(
            Row(
                feed=name,
                alone=statistics.median(alone[name]),
                training=statistics.median(training[name]),
                ratio=statistics.median(ratios),
                lowest=min(ratios),
                highest=max(ratios),
                equal_weights=_equal(weights[name], weights[RESIDENT]),
            )
        )
    return rows


def feed_rate(feed: Feed, epoch: int) -> float:
    """Return images per second of a feed that nothing waits for, from the second batch on."""
    augmentation = Augmentation(flip=True, padding=SHIFT)
    batches = epoch_batches(feed, BATCH_SIZE, 0, epoch, augmentation)
    images, _ = next(batches)
    images.block_until_ready()
    began, count = time.perf_counter(), 0
    for images, _ in batches:
        count += len(images)
    images.block_until_ready()
    seconds = time.perf_counter() - began
    feed.stop()
    return count / seconds


def training_rate(
    network: Architecture, feed: Feed, held_out: Feed
) -> tuple[float, dict[str, Variables]]:
    """Return images per second of the second epoch of a training, and the trained variables."""
    config = TrainingConfig(epochs=2, batch_size=BATCH_SIZE, flip=True, crop_padding=SHIFT)
    ends = []

    def report(epoch: int, accuracy: float) -> None:
        ends.append(time.perf_counter())

    result = train(network, feed, config, 0, report=report, validation=held_out)
    return len(feed) // BATCH_SIZE * BATCH_SIZE / (ends[1] - ends[0]), result.variables


def _equal(variables: dict[str, Variables], others: dict[str, Variables]) -> bool:
    """Return whether all leaves are equal bit for bit."""
    pairs = zip(jax.tree.leaves(variables), jax.tree.leaves(others), strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.feeding", flags, Arguments())
    console = plain_console(stderr=True)
    rows = measure(arguments, console.print)
    print_rows(rows, console, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.feeding", lambda: main(sys.argv[1:])))
