"""Proxy training: a short training of a child on few, small images, and its accuracy.

The network is trained block by block, as separately compiled programs (`mnas.training.child`); here are
the settings, the schedule and the loop over epochs. `mnas.data.batches` brings the images to the device,
`mnas.training.precompile` compiles what is done here beforehand.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Literal

import jax
import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.data.batches import (
    DeviceImages,
    calibration_batches,
    check_images,
    epoch_batches,
    pixel_statistics,
)
from mnas.nn.network import Variables, network_blocks
from mnas.runtime.compile_stats import Recording
from mnas.training.child import Child, inference
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.optimizer import optimizer_of
from mnas.training.scoring import top1_accuracy as share_right

Report = Callable[[int, float], Literal["stop"] | None]
Labelled = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """A trained child.

    variables              {block: {'params', 'batch_stats'}}; final (or averaged) weights
    pixel_mean, pixel_std  [3], of the training images, which inference normalises by; in 0 to 255
    accuracy               on the validation images, 0 to 1; None where there were none
    history                (epoch, accuracy) as reported
    epochs                 trained; fewer than configured where `report` said "stop"
    loss                   mean training loss of the last epoch
    train_seconds          with compilation
    evaluate_seconds       calibration and validation, with compilation
    trace_seconds          of tracing blocks that this process had not seen yet
    compiles               programs compiled by XLA; compile_seconds, of compiling them
    cache_reads            programs read from the cache on disk; cache_read_seconds, of reading them
    """

    variables: dict[str, Variables]
    pixel_mean: np.ndarray
    pixel_std: np.ndarray
    accuracy: float | None
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
    train_images: np.ndarray,
    train_labels: np.ndarray,
    config: TrainingConfig,
    seed: int,
    *,
    report: Report | None = None,
    validation: Labelled | None = None,
) -> TrainingResult:
    """Trains `architecture` from scratch; the same seed gives the same weights, bit for bit.

    train_images  uint8 [N, R, R, 3], R the architecture's resolution
    train_labels  [N], whole numbers below the architecture's classes
    validation    (images, labels), evaluated after training
    report        called as report(epoch, accuracy) after every epoch, which is then evaluated; may
                  answer "stop". Doesn't change what is trained

    ValueError for images that don't fit; FloatingPointError where the loss is not finite, noticed
    at the end of the epoch.
    """
    check_images(architecture, train_images, train_labels)
    if report is not None and validation is None:
        raise ValueError("validation = None with report given; accepted: (images, labels)")
    recording, start = Recording(), time.perf_counter()
    evaluate_seconds = 0.0

    data = DeviceImages.of(train_images, train_labels, *pixel_statistics(train_images))
    if validation is not None:
        check_images(architecture, *validation)
        held_out = DeviceImages.of(*validation, data.mean, data.std)
    child = Child(
        architecture,
        seed,
        optimizer_of(config),
        label_smoothing=config.label_smoothing,
        ema_decay=config.ema_decay,
        drop_path=config.drop_path,
        dropout=config.dropout,
    )
    batch_size = min(config.batch_size, len(train_images))
    steps = len(train_images) // batch_size
    calibration = functools.partial(
        calibration_batches, data, batch_size, seed, config.calibration_batches
    )
    augmentation = {"flip": config.flip, "padding": config.crop_padding}
    measured, history = None, []
    for epoch in range(1, config.epochs + 1):
        losses = []
        batches = epoch_batches(data, batch_size, seed, epoch, **augmentation)
        for step, (images, labels) in enumerate(batches, start=(epoch - 1) * steps):
            rate = learning_rate(config, step, steps)
            losses.append(child.step(images, labels, rate, step))
        losses = np.array(jax.device_get(losses))  # the one wait for the device in an epoch
        if not np.isfinite(losses).all():
            step = (epoch - 1) * steps + int(np.argmin(np.isfinite(losses)))
            raise FloatingPointError(
                f"loss is not finite at step {step + 1} (epoch {epoch}, "
                f"learning rate {learning_rate(config, step, steps):.3g})"
            )
        last = epoch == config.epochs
        if validation is not None and (report is not None or last):
            began = time.perf_counter()
            variables = child.variables(calibration())
            measured = share_right(child.blocks, variables, held_out, batch_size)
            evaluate_seconds += time.perf_counter() - began
            if report is not None:
                history.append((epoch, measured))
                if report(epoch, measured) == "stop":
                    break
    if validation is None:
        began = time.perf_counter()
        variables = child.variables(calibration())
        evaluate_seconds += time.perf_counter() - began
    return TrainingResult(
        variables=variables,
        pixel_mean=data.mean,
        pixel_std=data.std,
        accuracy=measured,
        history=tuple(history),
        epochs=epoch,
        loss=float(losses.mean()),
        train_seconds=time.perf_counter() - start - evaluate_seconds,
        evaluate_seconds=evaluate_seconds,
        **recording.compilations._asdict(),
    )


def accuracy(
    architecture: Architecture,
    result: TrainingResult,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 64,
) -> float:
    """Share of `images` (uint8 [N, R, R, 3]) whose label [N] the trained child gives, 0 to 1."""
    check_images(architecture, images, labels)
    data = DeviceImages.of(images, labels, result.pixel_mean, result.pixel_std)
    return share_right(network_blocks(architecture), result.variables, data, batch_size)


def latency_ms(architecture: Architecture, result: TrainingResult, repeats: int = 30) -> float:
    """Median milliseconds of inference of one image on this device, warm, block by block.

    Block by block there is a call for each block, about 0.02 ms of overhead apiece, which the whole
    network compiled at once would not have; but that would be a compilation for every child.
    """
    blocks = network_blocks(architecture)
    variables = jax.device_put(result.variables)
    side = architecture.resolution
    image = jax.device_put(np.zeros((1, side, side, 3), np.float32))
    infer = inference(blocks, variables, image.shape)

    infer(variables, image).block_until_ready()  # its first call takes longer
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        infer(variables, image).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 1000 * float(np.median(seconds))
