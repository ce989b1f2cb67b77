"""Weights, BatchNorm statistics and images by a fixed rule, in mnas and in timm alike.

Every tensor is sampled from its name and shape alone, independently of order:

    u      = PCG64(crc32("seed name")).random_raw(size) >> 11, times 2^-53: in [0, 1), C order
    value  = low + (high - low) · u, in float64, rounded to float32

    running_var, BatchNorm weight               0.5 to 1.5
      except bn3, the end of a residual branch  0.15 to 0.45
    running_mean, bias                          -0.3 to 0.3
      except se.conv_expand.bias                1.2 to 1.8, so that gates are mostly open
    convolution of an EfficientNet, not SE      ±sqrt(6 / fan in): variance 2 / fan in
    other convolutions, classifier              ±sqrt(3 / fan in): variance 1 / fan in
    num_batches_tracked                         0

Images are 4 × 4 tiles in ±2 sqrt(3), sampled as a tensor named 'images' and enlarged to the
resolution.

The ranges are chosen so that in every compared model, up to B7 with its 55 layers, logits depend on
the image (noise would average out in the pooling) and are well conditioned: float32 is within 5e-7
of float64 (checked for B0, B3, B5, B7 and semnasnet). NumPy guarantees the stream of `random_raw`.
The module needs NumPy only, since `timm_peer.py` imports it where there is no JAX. Names, shapes
and axes are timm's, NCHW.
"""

import math
import zlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return the tensor of a name and shape; float32, or int64 for num_batches_tracked."""
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
    """Return a tensor for each name."""
    return {name: tensor(name, shape, seed) for name, shape in shapes.items()}


def images(count: int, resolution: int) -> np.ndarray:
    """Return images [count, 3, resolution, resolution]."""
    tiles = tensor("images", (count, 3, 4, 4))
    tile = np.arange(resolution) * 4 // resolution
    return np.ascontiguousarray(tiles[:, :, tile][:, :, :, tile])


def relative_difference(logits: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest absolute difference over the largest absolute reference logit."""
    return float(np.abs(logits - reference).max() / np.abs(reference).max())
