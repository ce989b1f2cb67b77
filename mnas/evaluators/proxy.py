"""Proxy training as an evaluator: a short training of each child on few, small images."""

import dataclasses
import time
from pathlib import Path

from mnas.architecture.architecture import Architecture
from mnas.data.images import DataConfig, Images, load
from mnas.errors import UsageError
from mnas.evaluation import Evaluation, Report
from mnas.evaluators.latency_table import LatencyTable
from mnas.runtime.cache_repair import cache_mended
from mnas.training import blockwise, precompile
from mnas.training.config import TrainingConfig


@dataclasses.dataclass(frozen=True)
class ProxyConfig:
    """How every child is trained, and on what."""

    data: DataConfig = DataConfig()
    """The images."""
    training: TrainingConfig = TrainingConfig()
    """The schedule, the same for every child: equal images, not equal time."""
    measure_latency: bool = False
    """Also time inference of one image on this device (for rewards of latency)."""

    latency_table: str | None = None
    """File of `search.py --latency-table`, whose sums stand for measured latency."""

    def __post_init__(self) -> None:
        if self.measure_latency and self.latency_table is not None:
            raise UsageError(
                f"proxy: latency_table = {self.latency_table!r} with measure_latency; "
                "accepted: one of the two"
            )

    def build(self) -> "ProxyEvaluator":
        return ProxyEvaluator(self)

    def files(self) -> dict[str, Path]:
        """Files that results depend on, by the setting that names each; folders aren't listed."""
        files = {}
        if self.data.source.endswith(".npz"):
            files["data.source"] = Path(self.data.source)
        if self.latency_table is not None:
            files["latency_table"] = Path(self.latency_table)
        return files

    def check(self, architecture: Architecture) -> None:
        """ValueError where children like this one can't be trained, or are not in the table."""
        evaluator = self.build()
        evaluator.images_for(architecture)
        if evaluator.latency_table is not None:
            evaluator.latency_table.latency_ms(architecture)


class ProxyEvaluator:
    """Trains a child from scratch on the training images, scores it on held-out ones.

    Keeps the images, and through JAX's caches the compiled blocks, between children; so one
    evaluator that is kept alive is much faster than one for each child.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self._images: dict[int, Images] = {}
        path = config.latency_table
        self.latency_table = None if path is None else LatencyTable.read(Path(path))

    def images_for(self, architecture: Architecture) -> Images:
        """The images at the architecture's resolution; ValueError where its classes don't fit."""
        resolution = architecture.resolution
        if resolution not in self._images:
            self._images[resolution] = load(self.config.data, resolution)
        images = self._images[resolution]
        if architecture.classes != len(images.classes):
            raise UsageError(
                f"the architecture has {architecture.classes} classes, "
                f"{self.config.data.source} has {len(images.classes)}"
            )
        return images

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        start = time.perf_counter()
        images = self.images_for(architecture)
        latency_ms = None
        if self.latency_table is not None:  # before the training, which a missing block would waste
            latency_ms = self.latency_table.latency_ms(architecture)
        with cache_mended():
            result = blockwise.train(
                architecture,
                images.train_images,
                images.train_labels,
                self.config.training,
                seed,
                report=report,
                validation=(images.validation_images, images.validation_labels),
            )
        if self.config.measure_latency:
            latency_ms = blockwise.latency_ms(architecture, result)
        return Evaluation(
            accuracy=result.accuracy,
            latency_ms=latency_ms,
            epochs=result.epochs,
            seconds=time.perf_counter() - start,
            timings={
                "train_seconds": result.train_seconds,
                "evaluate_seconds": result.evaluate_seconds,
                "trace_seconds": result.trace_seconds,
                "compile_seconds": result.compile_seconds,
                "compiles": result.compiles,
                "cache_read_seconds": result.cache_read_seconds,
                "cache_reads": result.cache_reads,
            },
        )

    def compile_batches(self, architecture: Architecture) -> None:
        """Has JAX compile what children of this resolution need besides their blocks."""
        images = self.images_for(architecture)
        precompile.compile_batches(
            architecture,
            images.train_images,
            images.train_labels,
            self.config.training,
            (images.validation_images, images.validation_labels),
        )

    def compile_block(self, architecture: Architecture, index: int) -> None:
        """Has JAX compile all programs of one block of a child, by its place in it."""
        schedule = self.config.training
        batch_size = min(schedule.batch_size, len(self.images_for(architecture).train_images))
        precompile.compile_block(architecture, index, schedule, batch_size)
        if self.config.measure_latency:
            precompile.compile_block_latency(architecture, index)
