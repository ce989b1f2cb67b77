"""The same random networks ("children") and images for every contender.

Children are sent to workers as JSON, images as one `.npz` file. No model is built here.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.space import OneOf, Space

CLASSES = 10
B0 = PUBLISHED["efficientnet-b0"]


def around_b0(resolution: int) -> Space:
    """Return the space of EfficientNet-B0 with free kernel, expansion, layers and SE per stage."""
    return Space(
        "around-b0",
        partial(
            Architecture,
            blocks=tuple(map(_stage, B0.blocks)),
            resolution=resolution,
            stem=B0.stem,
            head=B0.head,
            classes=CLASSES,
            activation=B0.activation,
        ),
    )


def _stage(block: Block) -> partial[Block]:
    layers = [block.repeats + change for change in (-1, 0, 1) if block.repeats + change > 0]
    return partial(
        Block,
        kernel=OneOf(3, 5),
        stride=block.stride,
        filters=block.filters,
        expand_ratio=OneOf(1, 3, 6),
        repeats=OneOf(*layers),
        se_ratio=OneOf(0.0, 0.25),
    )


def random_children(count: int, resolution: int, seed: int) -> list[Architecture]:
    """Return `count` distinct networks around B0; a smaller count gives a prefix of them."""
    space, rng = around_b0(resolution), np.random.default_rng(seed)
    children: dict[str, Architecture] = {}
    while len(children) < count:
        child = space.decode(space.sample(rng))
        children.setdefault(child.canonical_hash(), child.replace(name=f"child-{len(children)}"))
    return list(children.values())


def b0(resolution: int) -> Architecture:
    """Return EfficientNet-B0 for this resolution and `CLASSES` classes."""
    return B0.replace(resolution=resolution, classes=CLASSES)


def description(child: Architecture) -> dict[str, Any]:
    """Return a child as plain data for JSON: name, spec, resolved layers, params and mult-adds.

    `layers` serves contenders without a parser for block strings. `params` is the number of
    parameters of every correct build.
    """
    layers = [
        dataclasses.asdict(layer)
        | {"expanded_filters": layer.expanded_filters, "se_filters": layer.se_filters}
        for layer in child.layers()
    ]
    cost = network_cost(child)
    return {
        "name": child.name,
        "spec": child.to_dict(),
        "layers": layers,
        "params": cost.params,
        "mult_adds": cost.mult_adds,
    }


def write_images(path: Path, count: int, held_out: int, resolution: int, seed: int) -> None:
    """Write a `.npz` of images uint8 [N, R, R, 3] and labels int32 [N], training and held out.

    Each class is a random pattern of 4 × 4 coarse squares in noise, quick to generate at any
    resolution and learnable, so that accuracies show that contenders train.
    """
    rng = np.random.default_rng([seed, *b"images"])
    coarse = rng.normal(0, 40, (CLASSES, 4, 4, 3))
    pixels = np.arange(resolution) * 4 // resolution
    patterns = coarse[:, pixels][:, :, pixels]
    arrays = {}
    for name, size in (("train", count), ("held_out", held_out)):
        labels = rng.integers(0, CLASSES, size, np.int32)
        noise = rng.normal(128, 60, (size, resolution, resolution, 3))
        arrays[f"{name}_images"] = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
        arrays[f"{name}_labels"] = labels
    np.savez(path, **arrays)
