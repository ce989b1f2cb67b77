"""Proxy training: a short training of one child on few, small images, and its accuracy.

The network is trained as separately compiled blocks (`mnas.training.child`) or as one program
(`mnas.training.whole_child`); this module has the loop over epochs. `mnas.training.precompile`
compiles everything used here for blocks ahead of time.
"""

import dataclasses
import functools
import math
import time
from collections.abc import Mapping
from typing import Literal, get_args

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.batches import check_images
from mnas.data.feeds import DeviceImages, Feed
from mnas.data.images import Subset
from mnas.evaluation import Report
from mnas.nn.network import Variables, network_blocks
from mnas.runtime.backends import Program
from mnas.runtime.compile_stats import Recording
from mnas.training.batches import batch_size_of, statistics_batches, training_batches
from mnas.training.child import Child, inference
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.optimizer import optimizer_of
from mnas.training.scoring import held_out_scores
from mnas.training.whole_child import WholeChild, whole_inference

Score = Literal["accuracy", "likelihood", "training-likelihood"]
SCORES: tuple[Score, ...] = get_args(Score)

CHILDREN: dict[Program, type[Child] | type[WholeChild]] = {"blocks": Child, "whole": WholeChild}


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """A trained child.

    variables              {block: {'params', 'batch_stats'}}; final (or averaged) weights
    pixel_mean, pixel_std  [3], statistics of the training images, on the scale of 0 to 255, by
                           which images are normalised
    accuracy               top-1 accuracy on the validation images; None without any
    score                  what `train` was asked to score by; None without validation images
    history                (epoch, score) as reported
    epochs                 epochs trained; fewer than configured if `report` returned "stop"
    loss                   mean training loss of the last epoch
    train_seconds          training, including compilation
    evaluate_seconds       calibration and validation, including compilation
    trace_seconds          tracing blocks that were new to this process
    compiles               programs compiled by XLA, in compile_seconds
    cache_reads            programs read from disk, in cache_read_seconds
    """

    variables: dict[str, Variables]
    pixel_mean: np.ndarray
    pixel_std: np.ndarray
    accuracy: float | None
    score: float | None
    history: tuple[tuple[int, float], ...]
    epochs: int
    loss: float
    train_seconds: float
    evaluate_seconds: float
    trace_seconds: float
    compiles: int
    compile_seconds: float
    cache_reads: int
    cache_read_seconds: float


def train(
    architecture: Architecture,
    feed: Feed,
    config: TrainingConfig,
    seed: int,
    *,
    report: Report | None = None,
    validation: Feed | None = None,
    score: Score = "accuracy",
    program: Program = "blocks",
    initial: Mapping[str, Variables] | None = None,
) -> TrainingResult:
    """Train `architecture`; equal seeds and initial variables give bit-identical weights.

    feed        training images, of the architecture's resolution and classes
    validation  images to evaluate on after training
    report      called as report(epoch, score) after every epoch, which is then evaluated;
                returning "stop" ends training. Does not change the weights
    score       of validation images, top-1 'accuracy' or 'likelihood', exp(-cross-entropy); or
                'training-likelihood', exp(-mean training loss of the last epoch)
    program     the network as separately compiled 'blocks', or as one, 'whole'; results differ in
                rounding
    initial     variables to start from, {block: {'params', ...}}; by default new ones

    Raises ValueError for images of another resolution, UsageError for labels out of range, and
    FloatingPointError for a non-finite loss, detected at the end of the epoch.
    """
    check_images(architecture, feed)
    if validation is not None:
        check_images(architecture, validation)
    elif report is not None:
        raise ValueError("validation = None with report given; accepted: a feed")
    try:
        return _train(architecture, feed, config, seed, report, validation, score, program, initial)
    finally:
        feed.stop()


def _train(
    architecture: Architecture,
    feed: Feed,
    config: TrainingConfig,
    seed: int,
    report: Report | None,
    validation: Feed | None,
    score: Score,
    program: Program,
    initial: Mapping[str, Variables] | None,
) -> TrainingResult:
    recording, start = Recording(), time.perf_counter()
    evaluate_seconds = 0.0
    config = config.for_backend(jax.default_backend())
    child = CHILDREN[program](
        architecture,
        seed,
        optimizer_of(config),
        label_smoothing=config.label_smoothing,
        ema_decay=config.ema_decay,
        drop_path=config.drop_path,
        dropout=config.dropout,
        zero_residual=config.zero_residual,
        initial=initial,
        precision=config.precision,
    )
    batch_size = batch_size_of(feed, config)
    calibration = functools.partial(
        statistics_batches,
        feed,
        config,
        architecture.classes,
        seed,
        batch_size,
        config.calibration_batches,
    )
    held_out, value, history = None, None, []
    for epoch in range(1, config.epochs + 1):
        loss = _train_epoch(child, feed, config, architecture.classes, seed, epoch)
        last = epoch == config.epochs
        if validation is not None and (report is not None or last):
            began = time.perf_counter()
            variables = child.variables(calibration())
            held_out = held_out_scores(child.inference, variables, validation, batch_size)
            scores = {**held_out._asdict(), "training-likelihood": math.exp(-loss)}
            value = scores[score]
            evaluate_seconds += time.perf_counter() - began
            if report is not None:
                history.append((epoch, value))
                if report(epoch, value) == "stop":
                    break
    if validation is None:
        began = time.perf_counter()
        variables = child.variables(calibration())
        evaluate_seconds += time.perf_counter() - began
    return TrainingResult(
        variables=variables,
        pixel_mean=feed.mean,
        pixel_std=feed.std,
        accuracy=None if held_out is None else held_out.accuracy,
        score=value,
        history=tuple(history),
        epochs=epoch,
        loss=loss,
        train_seconds=time.perf_counter() - start - evaluate_seconds,
        evaluate_seconds=evaluate_seconds,
        **recording.compilations._asdict(),
    )


def _train_epoch(
    child: Child | WholeChild,
    feed: Feed,
    config: TrainingConfig,
    classes: int,
    seed: int,
    epoch: int,
) -> float:
    """Train one epoch, counted from 1; return the mean loss."""
    steps = len(feed) // batch_size_of(feed, config)
    first = (epoch - 1) * steps
    batches = training_batches(feed, config, classes, seed, epoch)
    pending = []
    for step, (images, targets) in enumerate(batches, start=first):
        rate = learning_rate(config, step, steps)
        pending.append(child.step(images, targets, rate, step))
    losses = np.array(jax.device_get(pending))  # the only synchronisation in an epoch
    if not np.isfinite(losses).all():
        step = first + int(np.argmin(np.isfinite(losses)))
        raise FloatingPointError(
            f"loss is not finite at step {step + 1} (epoch {epoch}, "
            f"learning rate {learning_rate(config, step, steps):.3g})"
        )
    return float(losses.mean())


def accuracy(
    architecture: Architecture,
    result: TrainingResult,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 64,
) -> float:
    """Return the trained child's top-1 accuracy on images uint8 [N, R, R, 3] with labels [N]."""
    feed = DeviceImages(Subset.of(images, labels), (result.pixel_mean, result.pixel_std))
    check_images(architecture, feed)
    infer = functools.partial(inference, network_blocks(architecture))
    return held_out_scores(infer, result.variables, feed, batch_size).accuracy


def measure_latency_ms(
    architecture: Architecture,
    result: TrainingResult,
    repeats: int = 30,
    *,
    program: Program = "blocks",
) -> float:
    """Return the median latency of inference of one image on this device, warm, milliseconds.

    As 'blocks', it is about 0.02 ms a block above that of the network compiled whole, but needs no
    compilation for a child of known blocks.
    """
    blocks = network_blocks(architecture)
    variables = jax.device_put(result.variables)
    resolution = architecture.resolution
    image = jax.device_put(np.zeros((1, resolution, resolution, 3), np.float32))
    compile_ = inference if program == "blocks" else whole_inference
    infer = compile_(blocks, variables, image.shape)

    infer(variables, image).block_until_ready()  # the first call is slower
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        infer(variables, image).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))
