"""Predictors of accuracy that need no training of children, to compare proxies with.

Costs and counts of layers, and a ridge regression from few networks of known accuracy.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mnas.analysis.rank_agreement import Networks
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block, Layer
from mnas.loop.smoothing import covariates

LABELS = 30
DRAWS = 100  # of the networks whose labels are known
MAX_JUDGED = 500  # of the others, in each draw
MAX_FOLDS = 100
ALPHAS = np.logspace(-2, 3, 11)


def _layers(architecture: Architecture) -> list[Layer]:
    return [layer for layer in architecture.layers() if layer.op != "identity"]


def weighted_depth(architecture: Architecture) -> int:
    """Return the number of layers, each times the number of resolutions from its own to the last.

    In three stages of descending resolution the weights are 3, 2, 1.
    """
    strides = [block.stride for block in architecture.blocks]
    stages = sum(stride > 1 for stride in strides) or 1
    total, stage = 0, 0
    for layers, stride in zip(architecture.stages(), strides, strict=True):
        stage += stride > 1
        weight = stages + 1 - max(stage, 1)
        total += weight * sum(layer.op != "identity" for layer in layers)
    return total


def layers_by_expansion(architecture: Architecture) -> int:
    """Return Σ expand ratio over the layers."""
    return sum(layer.expand_ratio for layer in _layers(architecture))


def free_scores(architectures: Sequence[Architecture], networks: Networks) -> dict[str, np.ndarray]:
    """Return scores [N] by name of the predictor."""
    counts = {"weighted depth": weighted_depth, "layers × expansion": layers_by_expansion}
    return {
        "mult-adds": networks.mult_adds,
        "params": networks.params,
        "depth": networks.depth,
        **{
            name: np.array([count(architecture) for architecture in architectures], float)
            for name, count in counts.items()
        },
    }


def costs(networks: Networks) -> np.ndarray:
    """Return log mult-adds, log params and depth, float64 [N, 3]."""
    return covariates(networks.mult_adds, networks.params, networks.depth)


def choices(architectures: Sequence[Architecture]) -> np.ndarray:
    """Return the blocks of networks, one-hot by position, float64 [N, F].

    F is 0 where the networks differ in their number of blocks.
    """
    rows = [architecture.blocks for architecture in architectures]
    if len({len(blocks) for blocks in rows}) > 1:
        return np.zeros((len(rows), 0))
    columns = []
    for position in zip(*rows, strict=True):
        kinds = list(dict.fromkeys(position))
        columns += [[block == kind for block in position] for kind in kinds if len(kinds) > 1]
    return np.array(columns, float).T.reshape(len(rows), len(columns))


def settings(architectures: Sequence[Architecture]) -> np.ndarray:
    """Return the settings of blocks in which networks differ, as categories, int [N, F].

    F is 0 where the networks differ in their number of blocks.
    """
    rows = [architecture.blocks for architecture in architectures]
    if len({len(blocks) for blocks in rows}) > 1:
        return np.zeros((len(rows), 0), int)
    columns = []
    for position in zip(*rows, strict=True):
        for field in dataclasses.fields(Block):
            values = [getattr(block, field.name) for block in position]
            kinds = {value: index for index, value in enumerate(dict.fromkeys(values))}
            if len(kinds) > 1:
                columns.append([kinds[value] for value in values])
    return np.array(columns, int).T.reshape(len(rows), len(columns))


def ridge_draws(
    features: np.ndarray, accuracy: np.ndarray, labels: int, seed: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (indices of other networks, their predictions) for `DRAWS` random sets of labels.

    Of the other networks, `MAX_JUDGED` random ones.
    """
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        order = rng.permutation(len(accuracy))
        known, rest = order[:labels], order[labels : labels + MAX_JUDGED]
        model = _ridge().fit(features[known], accuracy[known])
        draws.append((rest, model.predict(features[rest])))
    return draws


def ridge_out_of_sample(features: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Return a prediction [N] of each network by a ridge regression of others.

    Leave-one-out for up to `MAX_FOLDS` networks, otherwise that many folds.
    """
    folds = KFold(min(MAX_FOLDS, len(accuracy)), shuffle=True, random_state=0)
    predicted: np.ndarray = cross_val_predict(_ridge(), features, accuracy, cv=folds)
    return predicted


def _ridge() -> Any:
    return make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
