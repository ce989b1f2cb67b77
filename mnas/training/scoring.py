"""Top-1 accuracy of a chain of blocks."""

import jax
import numpy as np

from mnas.data.batches import DeviceImages
from mnas.nn.network import Variables
from mnas.training.child import inference


def top1_accuracy(
    blocks, variables: dict[str, Variables], data: DeviceImages, batch_size: int
) -> float:
    """Share of the images whose label the chain of blocks gives, 0 to 1."""
    count = len(data.images)
    # One shape for all: the last batch is filled up with the first image.
    chosen = np.zeros((-(-count // batch_size), batch_size), np.int32)
    chosen.flat[:count] = np.arange(count)
    variables = jax.device_put(variables)
    infer = inference(blocks, variables, (batch_size, *data.images.shape[1:]))
    logits = [infer(variables, data.batch(indices)[0]) for indices in chosen]
    answers = np.concatenate(jax.device_get(logits))[:count].argmax(-1)
    return float((answers == np.asarray(data.labels)).mean())
