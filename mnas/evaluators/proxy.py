"""Proxy training: a short training of each child on few, small images."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Literal, Self, get_args

import jax

from mnas.architecture.architecture import Architecture
from mnas.architecture.scaling import multiply
from mnas.data.feeds import Feed, Feeding, expected_feeding
from mnas.data.images import DataConfig, Images, load, validation_count
from mnas.data.source import shortened
from mnas.data.sources import EMBEDDED, open_source
from mnas.data.teacher import Teacher
from mnas.errors import (
    UsageError,
    rejected,
    require_one_of,
    require_positive,
    require_whole,
)
from mnas.evaluation import CPU_SECONDS, SHARED_CPU_SECONDS, Evaluation, Report
from mnas.evaluators.latency_table import LatencyTable
from mnas.files import file_digest
from mnas.runtime.backends import Program, choices
from mnas.runtime.cache_repair import repaired_cache
from mnas.training import blockwise, precompile
from mnas.training.config import TrainingConfig, resolution_epochs
from mnas.training.weight_bank import BankFile, Inherited, inherited

PROGRAMS = ("auto", *get_args(Program))


@dataclasses.dataclass(frozen=True)
class ProxyConfig:
    """Images and schedule of the proxy training, the same for all children."""

    data: DataConfig = DataConfig()
    """Images to train and validate on."""
    training: TrainingConfig = TrainingConfig(precision="auto")
    """Training schedule: an equal number of images for all children, not equal time."""
    program: Literal["auto", "blocks", "whole"] = "auto"
    """How a child is compiled: 'blocks', one by one, which other children share; 'whole', as one
    program of its own; 'auto', by the backend (`mnas.runtime.backends`): as blocks on CPUs."""
    score: blockwise.Score = "accuracy"
    """Score on validation images: 'accuracy' (top-1) or 'likelihood', exp(-cross-entropy), which
    ranks with fewer images; or 'training-likelihood', exp(-mean loss of the last epoch)."""
    width: float = 1.0
    """Factor on the filters of children in training; costs are those of the whole networks."""
    inherit: str | None = None
    """File of a weight bank (evaluator weight-bank, same width, resolution and images, or all
    training images of the same split) in whose blocks children start; others start anew."""
    teacher: str | None = None
    """File of a teacher's class probabilities of the training images (mnas evaluate --predictions),
    which children learn in place of labels; validation images keep theirs."""
    resolution: int | None = None
    """Resolution of children in training, pixels; costs are those at the network's own."""
    measure_latency: bool = False
    """Also measure the inference latency of one image on this device, for rewards of latency."""
    latency_table: str | None = None
    """Latency table written by --latency-table, to sum block latencies instead of measuring."""

    def __post_init__(self) -> None:
        require_one_of("proxy", "program", self.program, PROGRAMS)
        require_one_of("proxy", "score", self.score, blockwise.SCORES)
        require_positive("proxy", "width", self.width, most=1)
        if self.resolution is not None:
            require_whole("proxy", "resolution", self.resolution)
        if self.measure_latency and (self.width != 1 or self.resolution is not None):
            raise UsageError(
                "proxy: measure_latency = True with width or resolution, of which the latency "
                "would be; accepted: a latency_table"
            )
        if self.training.accumulation != 1:
            accepted = "1 in a search, where a batch is one part"
            raise rejected("training", "accumulation", self.training.accumulation, accepted)
        if self.measure_latency and self.latency_table is not None:
            raise UsageError(
                f"proxy: latency_table = {self.latency_table!r} with measure_latency; "
                "accepted: one of the two"
            )
        if self.teacher is not None:
            for field in ("mixup", "cutmix"):
                if value := getattr(self.training, field):
                    raise rejected("training", field, value, "0 with a teacher, without labels")
        for field in ("latency_table", "inherit", "teacher"):
            if (path := getattr(self, field)) is not None:  # absolute, to resume from any directory
                object.__setattr__(self, field, os.path.abspath(path))

    def trained(self, architecture: Architecture) -> Architecture:
        """Return the network that is trained in place of `architecture`: narrower, smaller."""
        narrow = multiply(architecture, width=self.width)
        return narrow if self.resolution is None else narrow.replace(resolution=self.resolution)

    def build(self) -> "ProxyEvaluator":
        """Return a new evaluator, which compiles blocks ahead if children are chains of them.

        What is 'auto' is set for the backend of this process. Raises UsageError if the latency
        table, the weight bank or the teacher's file can't be read.
        """
        config = self.for_backend(jax.default_backend())
        return BlockEvaluator(config) if config.program == "blocks" else ProxyEvaluator(config)

    def for_backend(self, backend: str) -> Self:
        """Return the configuration with program and precision, if 'auto', set for a backend."""
        program = choices(backend).program if self.program == "auto" else self.program
        training = self.training.for_backend(backend)
        return dataclasses.replace(self, program=program, training=training)

    def contents(self) -> dict[str, str]:
        """Return digests of images, latency table, teacher and weight bank by setting."""
        contents = {}
        if self.data.source != EMBEDDED:
            contents["data.source"] = open_source(self.data.source).digest()
        if self.latency_table is not None:
            contents["latency_table"] = file_digest(Path(self.latency_table))
        if self.teacher is not None:
            contents["teacher"] = file_digest(Path(self.teacher))
        if self.inherit is not None:
            contents["inherit"] = BankFile(Path(self.inherit)).digest()
        return contents

    def describe_data(self) -> str:
        """Return one line: images, classes, sizes, and what was left out."""
        return open_source(self.data.source).describe()

    def accuracy_images(self) -> int | None:
        """Return the number of validation images; None for a score that is no proportion of it."""
        if self.score != "accuracy":
            return None
        return validation_count(self.data, len(open_source(self.data.source).train.labels))

    def data_classes(self) -> int:
        """Return the number of classes of the images."""
        return len(open_source(self.data.source).classes)

    def describe_images(self, architecture: Architecture, backend: str) -> str:
        """Return one line: where workers on this backend keep images of networks like this one."""
        images = load(self.data, self.trained(architecture).resolution)
        return expected_feeding(self.data, images, backend)

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError if images, teacher, weight bank or latency table don't fit the network.

        Images that workers keep in memory are all read once; of others, the first ones.
        """
        evaluator = self.build()
        images = evaluator.images_for(architecture)
        in_memory = Feeding.of(self.data, images).where == "device"
        for subset in (images.train, images.validation):
            for part in subset.parts()[: None if in_memory else 1]:
                subset.take(part)
        if evaluator.latency_table is not None:
            evaluator.latency_table.latency_ms(architecture)
        if evaluator.teacher is not None:
            evaluator.teacher.require_images(images)
        evaluator.inherited(architecture, 0)
        resolution_epochs(self.training, self.trained(architecture).resolution)

    def missing_settings(self, cost: str) -> tuple[str, ...]:
        """Return the settings of latencies where none are measured or summed."""
        has_latency = self.measure_latency or self.latency_table is not None
        return () if has_latency or cost != "latency_ms" else ("measure_latency", "latency_table")


class ProxyEvaluator:
    """Evaluator that trains each child and measures accuracy on held-out images.

    Children start from scratch, or from blocks of a weight bank that nothing changes.

    Images on the device, and through JAX's caches the compiled blocks, are kept between children;
    so a long-lived evaluator is much faster than a new one for each child.
    """

    def __init__(self, config: ProxyConfig) -> None:
        self.config = config
        self._images: dict[int, Images] = {}
        self._feeds: dict[int, tuple[Feed, Feed]] = {}
        path = config.latency_table
        self.latency_table = None if path is None else LatencyTable.read(Path(path))
        self.teacher = None if config.teacher is None else Teacher.read(Path(config.teacher))
        self._checked: set[int] = set()  # resolutions at which a bank is known to fit
        self._bank: BankFile | None = None
        if config.inherit is not None:
            self._bank = BankFile(Path(config.inherit))
            self._bank.require_finished()

    def images_for(self, architecture: Architecture) -> Images:
        """Return the images at the resolution that the architecture is trained at.

        Raises UsageError if they can't be read, or differ from it in the number of classes.
        """
        resolution = self.config.trained(architecture).resolution
        if resolution not in self._images:
            self._images[resolution] = load(self.config.data, resolution)
        images = self._images[resolution]
        require_classes(architecture, images, self.config.data.source)
        return images

    def feeds_for(self, architecture: Architecture) -> tuple[Feed, Feed]:
        """Return the feeds of training and validation images.

        With a teacher, those of training have its probabilities in place of labels. Raises
        UsageError as `images_for`, and for a teacher of other images.
        """
        images = self.images_for(architecture)
        resolution = self.config.trained(architecture).resolution
        if resolution not in self._feeds:
            feeding = Feeding.of(self.config.data, images)
            train = feeding.feed(images.train)
            validation = feeding.feed(images.validation, (train.mean, train.std))
            if self.teacher is not None:
                train = self.teacher.feed(train, images)
            self._feeds[resolution] = train, validation
        return self._feeds[resolution]

    def inherited(self, architecture: Architecture, seed: int) -> Inherited | None:
        """Return what a child starts from that takes blocks from the bank; None without a bank.

        The bank may have been trained on more images than the child (`train_images`). Raises
        UsageError for a bank of another width or resolution, or of other images, some of which may
        be held out of the child's; and for one without any block of the network.
        """
        bank = self._bank
        if bank is None:
            return None
        config = self.config
        trained = config.trained(architecture)
        if trained.resolution not in self._checked:
            data = self.images_for(architecture).digest()
            everything = dataclasses.replace(config.data, train_images=None)
            unlimited = load(everything, trained.resolution).digest()
            if bank.identity.get("data") == unlimited:  # what is held out is the same
                data = unlimited
            settings = {"data": data, "resolution": config.resolution, "width": config.width}
            bank.require_identity(settings, only=tuple(settings))
            self._checked.add(trained.resolution)
        found = inherited(bank, trained, seed, zero_residual=config.training.zero_residual)
        if not found.blocks:
            raise UsageError(
                f"{bank.path} has no block of {architecture.name}; accepted: the weight bank of a "
                "space with blocks of this one"
            )
        return found

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Train and validate one child; its score is reported after every epoch.

        The evaluation's accuracy is the score that the configuration names. Raises UsageError as
        `images_for`, or if the latency table lacks a block.
        """
        start, cpu_start = time.perf_counter(), time.process_time()
        program = self.config.program
        assert program != "auto"  # `build` has set it
        feed, validation = self.feeds_for(architecture)
        latency_ms = None
        if self.latency_table is not None:  # before the training, so that a missing block is cheap
            latency_ms = self.latency_table.latency_ms(architecture)
        start_from = self.inherited(architecture, seed)
        with repaired_cache():
            result = blockwise.train(
                self.config.trained(architecture),
                feed,
                self.config.training,
                seed,
                report=report,
                validation=validation,
                score=self.config.score,
                program=program,
                initial=None if start_from is None else start_from.variables,
            )
        assert result.score is not None  # because of the validation images
        if self.config.measure_latency:
            latency_ms = blockwise.measure_latency_ms(architecture, result, program=program)
        return Evaluation(
            accuracy=result.score,
            latency_ms=latency_ms,
            epochs=result.epochs,
            seconds=time.perf_counter() - start,
            timings={
                CPU_SECONDS: time.process_time() - cpu_start,  # of all threads
                "train_seconds": result.train_seconds,
                "evaluate_seconds": result.evaluate_seconds,
                "trace_seconds": result.trace_seconds,
                "compile_seconds": result.compile_seconds,
                "compiles": result.compiles,
                "cache_read_seconds": result.cache_read_seconds,
                "cache_reads": result.cache_reads,
                **self._inheritance(start_from),
            },
        )

    def _inheritance(self, found: Inherited | None) -> dict[str, float]:
        """Return numbers of blocks of a child by origin, and the cost of the bank for a run."""
        if found is None or self._bank is None:
            return {}
        return {
            "inherited_blocks": found.blocks,
            "new_blocks": found.new,
            SHARED_CPU_SECONDS: self._bank.cpu_seconds,
        }


def require_classes(architecture: Architecture, images: Images, source: str) -> None:
    """Raise UsageError if a network and the images of a source differ in the number of classes."""
    count = len(images.classes)
    if architecture.classes != count:
        raise UsageError(
            f"space: classes = {architecture.classes}, and {source} has {count} "
            f"({shortened(images.classes)}); accepted: --space.classes {count}"
        )


class BlockEvaluator(ProxyEvaluator):
    """Evaluator whose children are chains of blocks, a `mnas.evaluation.BlockCompiler`."""

    def compile_batches(self, architecture: Architecture) -> None:
        """Compile loading of batches and the loss for children of this resolution."""
        feed, validation = self.feeds_for(architecture)
        architecture = self.config.trained(architecture)
        precompile.compile_batches(architecture, feed, self.config.training, validation)

    def compile_block(self, architecture: Architecture, index: int) -> None:
        """Compile all programs of one block of a child, by its index."""
        schedule = self.config.training
        batch_size = min(schedule.batch_size, len(self.images_for(architecture).train))
        trained = self.config.trained(architecture)
        precompile.compile_block(trained, index, schedule, batch_size)
        if self.config.measure_latency:
            precompile.compile_block_latency(architecture, index)
