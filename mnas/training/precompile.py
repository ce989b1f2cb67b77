"""Compilation of everything `mnas.training.blockwise` runs, part by part, ahead of a search."""

from mnas.architecture.architecture import Architecture
from mnas.data.batches import ordered_batches
from mnas.data.feeds import Feed
from mnas.nn import ops
from mnas.nn.blocks import without_drop
from mnas.nn.network import block_shapes, blocks_with_inputs
from mnas.training.batches import batch_size_of, statistics_batches, training_batches
from mnas.training.child import compile_loss
from mnas.training.config import TrainingConfig, resolution_epochs
from mnas.training.optimizer import optimizer_of
from mnas.training.programs import inference_program, statistics_program, training_programs


def compile_batches(
    architecture: Architecture, feed: Feed, config: TrainingConfig, validation: Feed
) -> None:
    """Compile what `train` runs outside the blocks: batches and the loss."""
    batch_size = batch_size_of(feed, config)
    for epoch in resolution_epochs(config, architecture.resolution).values():
        images, targets = next(training_batches(feed, config, architecture.classes, 0, epoch))
        feed.stop()
        ops.cast(images, config.precision)
    next(statistics_batches(feed, config, architecture.classes, 0, batch_size, max_batches=1))
    next(ordered_batches(validation, batch_size))
    compile_loss(config.label_smoothing, architecture.classes, targets)


def compile_block(
    architecture: Architecture, index: int, config: TrainingConfig, batch_size: int
) -> None:
    """Compile what `train` runs for the block at `index`: training and inference programs."""
    averaged, dtype = config.ema_decay > 0, config.precision
    # The last resolution is the network's.
    for resolution in resolution_epochs(config, architecture.resolution):
        _, block, shape = blocks_with_inputs(
            architecture.replace(resolution=resolution),
            batch_size,
            drop_path=config.drop_path > 0,
            dropout=config.dropout > 0,
        )[index]
        training_programs(block, shape, optimizer_of(config), averaged=averaged, dtype=dtype)
    if dtype != "float32":
        statistics_program(block, shape)
    whole = without_drop(block)
    inference_program(whole, block_shapes(whole, shape)[0], shape)


def compile_block_latency(architecture: Architecture, index: int) -> None:
    """Compile what `measure_latency_ms` runs for the block at `index`: inference of one image."""
    _, block, shape = blocks_with_inputs(architecture, 1)[index]
    inference_program(block, block_shapes(block, shape)[0], shape)
