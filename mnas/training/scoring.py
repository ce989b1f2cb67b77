"""Top-1 accuracy of a chain of blocks."""

from collections.abc import Mapping

import jax
import numpy as np

from mnas.data.batches import DeviceImages
from mnas.nn.network import Variables
from mnas.training.child import Blocks, inference


def top1_accuracy(
    blocks: Blocks, variables: Mapping[str, Variables], data: DeviceImages, batch_size: int
) -> float:
    """Return top-1 accuracy on all images of `data`, 0 to 1."""
    count = len(data.images)
    # One batch shape for all: the last batch is padded with copies of the first image.
    indices = np.zeros((-(-count // batch_size), batch_size), np.int32)
    indices.flat[:count] = np.arange(count)
    variables = jax.device_put(variables)
    infer = inference(blocks, variables, (batch_size, *data.images.shape[1:]))
    logits = [infer(variables, data.batch(batch)[0]) for batch in indices]
    predictions = np.concatenate(jax.device_get(logits))[:count].argmax(-1)
    return float((predictions == np.asarray(data.labels)).mean())
