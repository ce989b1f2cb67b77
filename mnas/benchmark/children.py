"""What all sides of the benchmark are given: the same random children, the same images.

Nothing here builds a model. Children travel to the workers as JSON, images as one `.npz` file.
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
    """EfficientNet-B0 with each stage's kernel, expansion, layers and SE left open."""
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


def _stage(block: Block) -> partial:
    layers = [block.repeats + step for step in (-1, 0, 1) if block.repeats + step > 0]
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
    """`count` different networks around B0; the first ones are the same whatever the count."""
    space, rng = around_b0(resolution), np.random.default_rng(seed)
    children: dict[str, Architecture] = {}
    while len(children) < count:
        child = space.decode(space.sample(rng))
        children.setdefault(child.canonical_hash(), child.replace(name=f"child-{len(children)}"))
    return list(children.values())


def b0(resolution: int) -> Architecture:
    """EfficientNet-B0 for images of that size and our number of classes."""
    return B0.replace(resolution=resolution, classes=CLASSES)


def description(child: Architecture) -> dict[str, Any]:
    """A child for JSON: its spec, and its layers resolved for those who can't read block strings.

    `params` is what any true build of it has.
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
    """A `.npz` of images uint8 [N, R, R, 3] and labels int32 [N], for training and held out.

    Each class is a random pattern of coarse squares, hidden in noise: made in a moment at any
    size, and learnt by a network that is trained properly.
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
