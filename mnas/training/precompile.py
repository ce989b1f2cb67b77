"""Compiles ahead what `mnas.training.blockwise` does, part by part: for a warm-up (`mnas.preparation.warmup`)."""

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import parts
from mnas.data.batches import DeviceImages, calibration_batches, epoch_batches, pixel_statistics
from mnas.nn.network import block_shapes, network_blocks
from mnas.training.blockwise import Labelled
from mnas.training.child import compile_loss
from mnas.training.config import TrainingConfig
from mnas.training.optimizer import optimizer_of
from mnas.training.programs import Shape, inference_program, training_programs


def compile_batches(
    architecture: Architecture,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    config: TrainingConfig,
    validation: Labelled,
) -> None:
    """Has JAX compile what `train` does outside the blocks: loading batches, and the loss."""
    data = DeviceImages.of(train_images, train_labels, *pixel_statistics(train_images))
    batch_size = min(config.batch_size, len(train_images))
    next(epoch_batches(data, batch_size, 0, 1, flip=config.flip, padding=config.crop_padding))
    next(calibration_batches(data, batch_size, 0, config.calibration_batches))
    DeviceImages.of(*validation, data.mean, data.std).batch(np.zeros(batch_size, np.int32))
    compile_loss(config.label_smoothing, (batch_size, architecture.classes))


def compile_block(
    architecture: Architecture, index: int, config: TrainingConfig, batch_size: int
) -> None:
    """Has JAX compile what `train` does with one block of a network, by its place in it."""
    dropping = {"drop_path": config.drop_path > 0, "dropout": config.dropout > 0}
    _, block = network_blocks(architecture, **dropping)[index]
    shape = _input_shape(architecture, index, batch_size)
    training_programs(block, shape, optimizer_of(config), averaged=config.ema_decay > 0)
    _compile_inference(architecture, index, shape)


def compile_block_latency(architecture: Architecture, index: int) -> None:
    """Has JAX compile what `latency_ms` does with one block of a network."""
    _compile_inference(architecture, index, _input_shape(architecture, index, 1))


def _compile_inference(architecture: Architecture, index: int, shape: Shape) -> None:
    _, block = network_blocks(architecture)[index]
    inference_program(block, block_shapes(block, shape)[0], shape)


def _input_shape(architecture: Architecture, index: int, images: int) -> Shape:
    side, filters = architecture.resolution, 3
    if index:
        below = list(parts(architecture))[index - 1]
        side, filters = below.resolution, below.filters
    return images, side, side, filters
