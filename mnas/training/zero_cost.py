"""Scores of networks at initialisation, without training ('zero-cost proxies').

    synflow    arXiv 2101.08134, section 3.2; arXiv 2006.05467, section 6
    naswot     arXiv 2006.04647, section 3
    grad-norm  arXiv 2101.08134, section 3.1

Each is a logarithm, higher is better, and costs one forward pass, or one forward and backward pass,
of one batch. Networks are chains of separately compiled blocks (`score_programs`).
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import jax
import numpy as np
from flax import linen as nn

from mnas.architecture.architecture import Architecture
from mnas.data.statistics import pixel_statistics
from mnas.nn.network import Variables, init_variables, network_blocks
from mnas.training.loss import cross_entropy
from mnas.training.score_programs import Measure, code_program, gradient_programs

Score = Literal["synflow", "naswot", "grad-norm"]
SCORES: tuple[Score, ...] = get_args(Score)
RELUS = ("relu", "relu6")

Blocks = Sequence[tuple[str, nn.Module]]


def score_network(
    architecture: Architecture, score: Score, seed: int, images: np.ndarray, labels: np.ndarray
) -> float:
    """Return a score of a network with the initial weights of a seed.

    images  uint8 [N, R, R, 3], N ≥ 2, normalised by their own mean and standard deviation; with
    labels  [N]. 'synflow' depends on neither, 'naswot' not on the labels

    Raises FloatingPointError if the score is not finite: two images with the same activation code,
    or products beyond the range of float32.
    """
    if score == "synflow":
        value = synflow(architecture, seed)
    elif score == "naswot":
        value = naswot(architecture, seed, _normalised(images))
    else:
        value = grad_norm(architecture, seed, _normalised(images), labels)
    if not math.isfinite(value):
        raise FloatingPointError(f"{score} of {architecture.name} is {value}")
    return value


def synflow(architecture: Architecture, seed: int) -> float:
    """Return log Σ |θ · ∂R/∂θ| over all kernels' weights θ, of a network made linear.

    R is the sum of the logits for an image of ones, with every weight replaced by its absolute
    value, and without BatchNorm, as in the authors' code. Nothing is negative then, and ReLU
    changes nothing. It stands for every activation; gates of squeeze-and-excitation, which are not
    linear, are left out. So the score is defined for all networks, and sees neither their
    activation nor their gates.
    """
    blocks = [dataclasses.replace(block, se_ratio=0.0) for block in architecture.blocks]
    linear = architecture.replace(activation="relu", blocks=tuple(blocks))
    variables = jax.tree.map(np.abs, init_variables(linear, seed))
    resolution = architecture.resolution
    image = np.ones((1, resolution, resolution, 3), np.float32)
    return _log_sum(network_blocks(linear), variables, image, "saliency", np.ones_like)


def naswot(architecture: Architecture, seed: int, x: np.ndarray) -> float:
    """Return log |det K| / N of images x, float32 [N, R, R, 3].

    K[i, j] is the number of ReLU units that are active for both of images i and j or for neither:
    all units less the Hamming distance of the images' binary codes. Divided by N, which the paper
    does not, it is the mean log eigenvalue, and little affected by the batch size. The codes of
    ReLUs name the linear regions of the network; with relu6, units beyond 6 count as active. A
    network with another activation is scored with ReLU in its place. BatchNorm normalises by the
    batch, as in the authors' code.
    """
    if architecture.activation not in RELUS:
        architecture = architecture.replace(activation="relu")
    variables = init_variables(architecture, seed)
    agreement = np.zeros((len(x), len(x)))
    y: Any = x
    for name, block in network_blocks(architecture):
        program, _ = code_program(block, y.shape)
        y, of_block = program(variables[name]["params"], y)
        agreement += jax.device_get(of_block)
    return float(np.linalg.slogdet(agreement).logabsdet) / len(x)


def grad_norm(architecture: Architecture, seed: int, x: np.ndarray, labels: np.ndarray) -> float:
    """Return log Σ ‖∂L/∂θ‖₂ over all kernels θ, of the mean cross-entropy L of a batch.

    x is float32 [N, R, R, 3], labels are [N]. BatchNorm normalises by the batch; its parameters and
    biases don't count, as in the authors' code. Defined for all networks.
    """
    gradient = functools.partial(_loss_gradient, labels=labels.astype(np.int32))
    variables = init_variables(architecture, seed)
    return _log_sum(network_blocks(architecture), variables, x, "norm", gradient)


@jax.jit
def _loss_gradient(logits, labels):
    return jax.grad(lambda logits: cross_entropy(logits, labels, 0.0))(logits)


def _log_sum(
    blocks: Blocks,
    variables: Mapping[str, Variables],
    x: np.ndarray,
    measure: Measure,
    gradient_of: Callable[[Any], Any],
) -> float:
    """Return the logarithm of a measure of the gradients (`gradient_programs`), over all blocks.

    gradient_of  logits [N, classes] → gradient of what is differentiated with respect to them
    """
    passed, y, scales = [], jax.device_put(x), [0.0]
    for name, block in blocks:
        forward, backward, _ = gradient_programs(block, y.shape, measure)
        passed.append((backward, variables[name]["params"], y))
        y, scale = forward(variables[name]["params"], y)
        scales.append(scale)
    dy, sums, below = jax.device_put(gradient_of(y)), [], [0.0]
    for backward, params, y in reversed(passed):
        of_block, dy, scale = backward(params, y, dy)
        sums.append(of_block)
        below.append(scale)
    # A block's sum is scaled by the values before it and by the gradients after it. In a linear
    # network both are factors; elsewhere all scales are 1.
    before = np.cumsum(np.array(jax.device_get(scales[:-1]), np.float64))
    after = np.cumsum(np.array(jax.device_get(below[:-1]), np.float64))[::-1]
    with np.errstate(divide="ignore"):
        logs = np.log(np.array(jax.device_get(sums[::-1]), np.float64))
    return float(np.logaddexp.reduce(logs + before + after))


def _normalised(images: np.ndarray) -> np.ndarray:
    mean, std = pixel_statistics([images])
    return (images.astype(np.float32) - mean) / std
