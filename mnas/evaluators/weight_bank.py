"""Weight bank: networks scored with weights that all networks of the space have trained together.

The bank (`mnas.training.weight_bank`) is trained before the first trial, each step on one sampled
network ('single-path one-shot', arXiv 1904.00420). A child then costs seconds: BatchNorm's
statistics are computed anew, over some batches of training images, and the child is scored on the
held-out ones. Nothing of the bank changes during a search, so a score depends on the network alone:
scores of early and late children are comparable, a run may use any engine, and scoring children
again at the end would give the same numbers. The price is that networks of the bank's steps are
sampled before the search: the controller can't lead the bank to the networks that it prefers.

Each evaluation's timings have the processor time of the bank's training beside that of its own
scoring (`mnas.evaluation.SHARED_CPU_SECONDS`), so that the cost per child is that of both.
"""

import dataclasses
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, Self, get_args

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.images import NOT_IDENTIFYING, Images
from mnas.errors import UsageError, rejected, require_one_of, require_whole
from mnas.evaluation import CPU_SECONDS, SHARED_CPU_SECONDS, Evaluation, Report
from mnas.evaluators.proxy import BlockEvaluator, ProxyConfig, ProxyEvaluator
from mnas.files import file_digest, locked_directory
from mnas.runtime.cache_repair import repaired_cache
from mnas.runtime.machine import available_bytes
from mnas.space import Space
from mnas.training.bank_training import BankTraining
from mnas.training.batches import batch_size_of, statistics_batches
from mnas.training.child import Child
from mnas.training.config import TrainingConfig
from mnas.training.optimizer import optimizer_of
from mnas.training.scoring import held_out_scores
from mnas.training.weight_bank import BankFile, WeightBank, bank_bytes

Sampling = Literal["fair", "uniform"]
SAMPLINGS: tuple[Sampling, ...] = get_args(Sampling)
BankScore = Literal["accuracy", "likelihood"]
BANK_SCORES: tuple[BankScore, ...] = get_args(BankScore)

FILE = "weight-bank.npz"
# Seconds between two checkpoints of a bank in training.
CHECKPOINT_SECONDS = 60.0
# Networks from which the size of a bank is estimated.
COUNTED_NETWORKS = 500


@dataclasses.dataclass(frozen=True)
class WeightBankConfig(ProxyConfig):
    """Images and schedule of the bank's training, and how children are scored with it."""

    training: TrainingConfig = TrainingConfig(epochs=30, precision="auto")
    """Training schedule of the bank, over all of its steps."""
    program: Literal["blocks"] = "blocks"
    """Children are chains of separately compiled blocks."""
    score: BankScore = "accuracy"
    """Score on validation images: 'accuracy' (top-1) or 'likelihood', exp(-cross-entropy), which
    ranks with fewer images."""
    sampling: Sampling = "fair"
    """Networks of the bank's steps: 'uniform', each open decision by itself; or 'fair', as often
    with each of its choices (after arXiv 1907.01845)."""
    seed: int = 0
    """Seed of the bank: initial weights, batches, networks of its steps."""
    bank: str | None = dataclasses.field(default=None, metadata=NOT_IDENTIFYING)
    """File of the bank, trained before the search if it is not complete; weight-bank.npz in the
    run's directory by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("weight-bank", "program", self.program, ("blocks",))
        require_one_of("weight-bank", "score", self.score, BANK_SCORES)
        require_one_of("weight-bank", "sampling", self.sampling, SAMPLINGS)
        require_whole("weight-bank", "seed", self.seed, least=0, most=2**32 - 1)
        if self.inherit is not None:
            raise rejected("weight-bank", "inherit", self.inherit, "None: a bank starts anew")
        if self.measure_latency:
            raise rejected("weight-bank", "measure_latency", True, "False, and a latency_table")
        if self.training.ema_decay:
            raise rejected("training", "ema_decay", self.training.ema_decay, "0 for a weight bank")
        if self.bank is not None:  # absolute, for a resumption from any directory
            object.__setattr__(self, "bank", os.path.abspath(self.bank))

    def located(self, directory: Path) -> Self:
        """Return the configuration with the bank's file; by default, the one in `directory`."""
        return self if self.bank else dataclasses.replace(self, bank=str(directory / FILE))

    def build(self) -> "WeightBankEvaluator":
        """Return a new evaluator; without a bank it compiles blocks only.

        Raises UsageError if the file of the bank is missing or damaged, or not trained to its end,
        or if the latency table can't be read.
        """
        return WeightBankEvaluator(self.for_backend(jax.default_backend()))

    def check(self, architecture: Architecture) -> None:
        """Raise UsageError as for proxy training; the bank may have to be trained yet."""
        ProxyConfig.check(dataclasses.replace(self, bank=None), architecture)

    def prepare(self, space: Any) -> Iterator[tuple[int, int, str]]:
        """Train the bank, or what is left of its training.

        Yields steps done, steps in all and a line about the training so far. Raises UsageError for
        a file of other settings, or where another process trains it; FloatingPointError for a loss
        that is not finite.
        """
        assert self.bank is not None  # set by `located`
        path = Path(self.bank)
        use = "is training a weight bank in this directory"
        with locked_directory(path.parent, use, file=path.name):
            yield from _train(self.for_backend(jax.default_backend()), space, path)


class WeightBankEvaluator(BlockEvaluator):
    """Evaluator that scores each child with the bank's weights; the seed has no effect.

    All children are calibrated on the same images. No reports are made: there are no epochs.
    """

    config: WeightBankConfig

    def __init__(self, config: WeightBankConfig) -> None:
        super().__init__(config)
        self._optimizer = optimizer_of(config.training)
        self._file = None if config.bank is None else BankFile(Path(config.bank))
        if self._file is not None:
            self._file.require_finished()
        zero = config.training.zero_residual
        self._weights = WeightBank(
            self._optimizer, config.seed, zero_residual=zero, file=self._file
        )

    def __call__(
        self, architecture: Architecture, seed: int, report: Report | None = None
    ) -> Evaluation:
        """Score one child.

        Raises UsageError as `images_for`, if the latency table lacks a block, without a bank, or if
        it is one of other settings or images.
        """
        start, cpu_start = time.perf_counter(), time.process_time()
        config = self.config
        if self._file is None:
            raise rejected("weight-bank", "bank", None, "the file of a trained weight bank")
        feed, validation = self.feeds_for(architecture)
        latency_ms = None
        if self.latency_table is not None:
            latency_ms = self.latency_table.latency_ms(architecture)
        trained = config.trained(architecture)
        if trained.resolution not in self._checked:
            images = self.images_for(architecture)
            self._file.require_identity(_settings(config, images), without="space.")
            self._checked.add(trained.resolution)
        batch_size = batch_size_of(feed, config.training)
        calibration = config.training.calibration_batches
        with repaired_cache():
            child = Child(
                trained,
                config.seed,
                self._optimizer,
                drop_path=config.training.drop_path,
                dropout=config.training.dropout,
                start=jax.device_put(self._weights.trained(trained)),
                precision=config.training.precision,
            )
            batches = statistics_batches(
                feed, config.training, trained.classes, config.seed, batch_size, calibration
            )
            variables = child.variables(batches)
            calibrated = time.perf_counter()
            scores = held_out_scores(child.inference, variables, validation, batch_size)
        end = time.perf_counter()
        return Evaluation(
            accuracy=scores._asdict()[config.score],
            latency_ms=latency_ms,
            seconds=end - start,
            timings={
                "calibrate_seconds": calibrated - start,
                "evaluate_seconds": end - calibrated,
                CPU_SECONDS: time.process_time() - cpu_start,
                SHARED_CPU_SECONDS: self._file.cpu_seconds,
            },
        )


def sampled_network(space: Space, sampling: Sampling, seed: int, step: int) -> Architecture:
    """Return the network that a step of a bank's training updates.

    'uniform': each active decision is uniform, independently of the others. 'fair': the choices of
    each decision come in random order, all of them before one comes again, so that they differ by
    one in the number of steps (arXiv 1907.01845, section 4.1, without its accumulated gradients).
    """
    if sampling == "uniform":
        return space.decode(space.sample(np.random.default_rng([seed, *b"path", step])))
    decisions = []
    for d, size in enumerate(space.sizes.tolist()):
        turn, index = divmod(step, size)
        order = np.random.default_rng([seed, *b"path", d, turn]).permutation(size)
        decisions.append(int(order[index]))
    return space.decode(decisions)


def _train(
    config: WeightBankConfig, space_config: Any, path: Path
) -> Iterator[tuple[int, int, str]]:
    """Train the bank of a file, which is written from time to time and at the end."""
    space: Space = space_config.build()

    def network(step: int) -> Architecture:
        return config.trained(sampled_network(space, config.sampling, config.seed, step))

    first = space.decode([0] * len(space.sizes))
    images = ProxyEvaluator(config)
    identity = _settings(config, images.images_for(first)) | _space_settings(space_config, space)
    file = BankFile(path) if path.exists() else None
    if file is not None:
        file.require_identity(identity)
        if file.finished:
            return
    feed, _ = images.feeds_for(first)
    training = BankTraining(network, feed, config.training, config.seed, file)
    networks = [network(step) for step in range(min(training.total, COUNTED_NETWORKS))]
    blocks, nbytes = bank_bytes(networks, optimizer_of(config.training))
    # While a checkpoint is written, all values are in memory twice.
    if 2 * nbytes > available_bytes():
        raise UsageError(
            f"weight bank: {blocks:,} blocks take {2 * nbytes / 1e6:,.0f} MB of memory in "
            f"training, and {available_bytes() / 1e6:,.0f} MB are available; accepted: a lower "
            "--evaluator.width, or a space of fewer blocks"
        )
    line = f"weight bank of {blocks:,} blocks, {nbytes / 1e6:,.1f} MB in training"
    written = time.monotonic()
    yield training.steps, training.total, line
    with repaired_cache():
        for steps in training.run():
            yield steps, training.total, f"{line}, loss {training.loss:.3f}"
            if time.monotonic() - written > CHECKPOINT_SECONDS:
                training.write(path, identity)
                written = time.monotonic()
    training.write(path, identity)


def _settings(config: WeightBankConfig, images: Images) -> dict[str, Any]:
    """Return the settings on which the weights of a bank depend, apart from those of the space."""
    settings = {f"training.{name}": value for name, value in asdict(config.training).items()}
    for name in ("width", "resolution", "sampling", "seed"):
        settings[name] = getattr(config, name)
    if config.teacher is not None:
        settings["teacher"] = file_digest(Path(config.teacher))
    return {**settings, "data": images.digest()}


def _space_settings(config: Any, space: Space) -> dict[str, Any]:
    """Return the settings of a space's configuration, and a digest of its decisions."""
    settings = {f"space.{name}": repr(value) for name, value in asdict(config).items()}
    first = space.decode([0] * len(space.sizes)).to_dict()
    content = repr([[(d.name, d.choices, d.conditions) for d in space.decisions], first])
    return {
        **settings,
        "space.kind": type(config).__name__,
        "space.decisions": hashlib.sha256(content.encode()).hexdigest(),
    }
