"""Weights, BatchNorm statistics and images by a rule, the same here and beside timm.

Every tensor is drawn on its own, from its name and shape, so the order of drawing doesn't matter:

    u      = PCG64(crc32(name)).random_raw(size) >> 11, times 2^-53: in [0, 1), C order
    value  = low + (high - low) · u, in float64, rounded to float32

    running_var, BatchNorm weight                   0.5 to 1.5
    running_mean, every bias                        -0.3 to 0.3
    convolution of an EfficientNet                  ±sqrt(6 / fan in): variance 2 / fan in
    (blocks.*, conv_stem, conv_head)
    other convolutions, classifier                  ±sqrt(3 / fan in): variance 1 / fan in
    images (named 'images')                         ±sqrt(3): variance 1
    num_batches_tracked                             0

With these variances what comes out depends on the image, and is finite, in all of timm's models
that are compared: swish and the gates of squeeze-and-excitation need more than ResNets bear.
`random_raw` is the part of NumPy's random numbers whose stream is guaranteed not to change. Needs
NumPy only: the file is also imported beside timm, where there is no JAX. Names, shapes and axes are
timm's, NCHW.
"""

import math
import zlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor of that name and shape; float32, or int64 for num_batches_tracked."""
    kind = name.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if name == "images":
        low, high = -math.sqrt(3), math.sqrt(3)
    elif kind == "running_var" or (kind == "weight" and len(shape) == 1):
        low, high = 0.5, 1.5
    elif kind in ("running_mean", "bias"):
        low, high = -0.3, 0.3
    elif kind == "weight":
        gain = 2 if name.startswith(("blocks.", "conv_")) else 1
        high = math.sqrt(3 * gain / math.prod(shape[1:]))
        low = -high
    else:
        raise ValueError(f"tensor {name!r}; accepted: weight, bias, running_mean, running_var")
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape)) >> np.uint64(11)
    return (low + (high - low) * (raw * 2.0**-53)).reshape(shape).astype(np.float32)


def state_dict(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """A tensor for each name."""
    return {name: tensor(name, shape) for name, shape in shapes.items()}


def images(count: int, resolution: int) -> np.ndarray:
    """Images [count, 3, resolution, resolution]."""
    return tensor("images", (count, 3, resolution, resolution))


def relative_difference(logits: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference, over the largest logit of the reference in size."""
    return float(np.abs(logits - reference).max() / np.abs(reference).max())
