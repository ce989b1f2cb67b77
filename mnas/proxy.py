"""Proxy training as an evaluator: a short training of each child on few, small images."""

import dataclasses
import time

from mnas import ahead, training
from mnas.architecture import Architecture
from mnas.compilation import cache_mended
from mnas.data import DataConfig, Images, load
from mnas.evaluation import Evaluation, Report
from mnas.training import TrainingConfig


@dataclasses.dataclass(frozen=True)
class ProxyConfig:
    """How every child is trained, and on what."""

    data: DataConfig = DataConfig()
    """The images."""
    training: TrainingConfig = TrainingConfig()
    """The schedule, the same for every child: equal images, not equal time."""
    measure_latency: bool = False
    """Also time inference of one image on this device (for rewards of latency)."""

    def build(self) -> "ProxyEvaluator":
        return ProxyEvaluator(self)

    def check(self, architecture: Architecture) -> None:
        """ValueError where children like this one can't be trained on these images."""
        self.build().images_for(architecture)


class ProxyEvaluator:
    """Trains a child from scratch on the training images, scores it on held-out ones.

    Keeps the images, and through JAX's caches the compiled blocks, between children; so one
    evaluator that is kept alive is much faster than one for each child.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self._images: dict[int, Images] = {}

    def images_for(self, architecture: Architecture) -> Images:
        """The images at the architecture's resolution; ValueError where its classes don't fit."""
        resolution = architecture.resolution
        if resolution not in self._images:
            self._images[resolution] = load(self.config.data, resolution)
        images = self._images[resolution]
        if architecture.classes != len(images.classes):
            raise ValueError(
                f"the architecture has {architecture.classes} classes, "
                f"{self.config.data.source} has {len(images.classes)}"
            )
        return images

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        start = time.perf_counter()
        images = self.images_for(architecture)
        with cache_mended():
            result = training.train(
                architecture,
                images.train_images,
                images.train_labels,
                self.config.training,
                seed,
                report=report,
                validation=(images.validation_images, images.validation_labels),
            )
        latency_ms = None
        if self.config.measure_latency:
            latency_ms = training.latency_ms(architecture, result)
        return Evaluation(
            accuracy=result.accuracy,
            latency_ms=latency_ms,
            epochs=result.epochs,
            seconds=time.perf_counter() - start,
            timings={
                "train_seconds": result.train_seconds,
                "evaluate_seconds": result.evaluate_seconds,
                "compile_seconds": result.compile_seconds,
                "compiles": result.compiles,
                "cache_read_seconds": result.cache_read_seconds,
                "cache_reads": result.cache_reads,
            },
        )

    def compile_batches(self, architecture: Architecture) -> None:
        """Has JAX compile what children of this resolution need besides their blocks."""
        images = self.images_for(architecture)
        ahead.compile_batches(
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
        ahead.compile_block(architecture, index, schedule, batch_size)
        if self.config.measure_latency:
            ahead.compile_block_latency(architecture, index)
