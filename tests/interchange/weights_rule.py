"""Weights, BatchNorm statistics and images by a rule, the same here and beside timm.

Every tensor is drawn on its own, from its name and shape, so the order of drawing doesn't matter:

    u      = PCG64(crc32("seed name")).random_raw(size) >> 11, times 2^-53: in [0, 1), C order
    value  = low + (high - low) · u, in float64, rounded to float32

    running_var, BatchNorm weight               0.5 to 1.5
      but bn3, which ends a residual branch     0.15 to 0.45
    running_mean, bias                          -0.3 to 0.3
      but se.conv_expand.bias                   1.2 to 1.8: gates rather open
    convolution of an EfficientNet, not SE      ±sqrt(6 / fan in): variance 2 / fan in
    other convolutions, classifier              ±sqrt(3 / fan in): variance 1 / fan in
    num_batches_tracked                         0

Images are 4 × 4 tiles of ±2 sqrt(3), drawn like a tensor named 'images', at the resolution.

The ranges are such that in all of timm's models that are compared, B7 with its 55 layers too,
logits depend on the image (noise would average out in the pooling) and yet are no chaos: in float32
they are within 5e-7 of float64's (seen of B0, B3, B5, B7 and semnasnet). `random_raw` is the part
of NumPy's random numbers whose stream is guaranteed not to change. Needs NumPy only: the file is
also imported beside timm, where there is no JAX. Names, shapes and axes are timm's, NCHW.
"""

import math
import zlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """The tensor of that name and shape; float32, or int64 for num_batches_tracked."""
    if name.endswith(".num_batches_tracked"):
        return np.zeros(shape, np.int64)
    low, high = _range(name, shape)
    bits = np.random.PCG64(zlib.crc32(f"{seed} {name}".encode()))
    uniform = (bits.random_raw(math.prod(shape)) >> np.uint64(11)) * 2.0**-53
    return (low + (high - low) * uniform).reshape(shape).astype(np.float32)


def _range(name: str, shape: tuple[int, ...]) -> tuple[float, float]:
    kind = name.rpartition(".")[2]
    if name == "images":
        return -2 * math.sqrt(3), 2 * math.sqrt(3)
    if kind == "running_var" or (kind == "weight" and len(shape) == 1):
        return (0.15, 0.45) if name.endswith("bn3.weight") else (0.5, 1.5)
    if kind in ("running_mean", "bias"):
        return (1.2, 1.8) if name.endswith("se.conv_expand.bias") else (-0.3, 0.3)
    if kind == "weight":
        gain = 2 if name.startswith(("blocks.", "conv_")) and ".se." not in name else 1
        bound = math.sqrt(3 * gain / math.prod(shape[1:]))
        return -bound, bound
    raise ValueError(f"tensor {name!r}; accepted: weight, bias, running_mean, running_var")


def state_dict(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """A tensor for each name."""
    return {name: tensor(name, shape, seed) for name, shape in shapes.items()}


def images(count: int, resolution: int) -> np.ndarray:
    """Images [count, 3, resolution, resolution]."""
    tiles = tensor("images", (count, 3, 4, 4))
    place = np.arange(resolution) * 4 // resolution
    return np.ascontiguousarray(tiles[:, :, place][:, :, :, place])


def relative_difference(logits: np.ndarray, reference: np.ndarray) -> float:
    """Largest difference, over the largest logit of the reference in size."""
    return float(np.abs(logits - reference).max() / np.abs(reference).max())
