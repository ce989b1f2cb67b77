"""Signatures of blocks: equal exactly for blocks that share their compiled programs.

A signature holds the fields of a block's module and the shape of its input. The blocks are the
stem, every layer of every stage, and the head with the classifier.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Hashable
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import block_inputs


def block_keys(architecture: Architecture) -> list[tuple[Hashable, tuple[int, int]]]:
    """Return (module's fields, input's (resolution, filters)) for every block, in order."""
    # The fields of the modules of `mnas.nn.network.network_blocks`, which are slow to build.
    common = (architecture.activation, architecture.bn_epsilon)
    padding = architecture.padding
    pooled = architecture.stem_pool
    stride = architecture.stem_stride
    stem = ("stem", architecture.stem, architecture.stem_kernel, stride, pooled, padding, common)
    head = ("head", architecture.head, architecture.classes, common)
    layers = [
        (layer, padding if layer.stride > 1 else "same", common) for layer in architecture.layers()
    ]
    return list(zip([stem, *layers, head], block_inputs(architecture), strict=True))


def signatures(architecture: Architecture) -> list[str]:
    """Return the signature of every block, in order, as JSON text: the keys of latency tables."""
    return [
        json.dumps([_plain(block), *shape], separators=(",", ":"))
        for block, shape in block_keys(architecture)
    ]


def placed_signatures(architecture: Architecture) -> list[str]:
    """Return the signature of every block with its place, in order: the keys of weight banks.

    The place of a layer is its number within the layers that have the same output shape: within a
    stage, that is. All keys of a network are different.
    """
    placed: Counter[str] = Counter()
    keys, place = [], 0
    layers = (None, *architecture.layers(), None)  # stem and head
    for layer, signature in zip(layers, signatures(architecture), strict=True):
        first = layer is None or layer.stride > 1 or layer.in_filters != layer.filters
        place = 1 if first else place + 1
        key = f"{signature} {place}"
        placed[key] += 1
        # An equal layer at an equal place of a later stage is another block.
        keys.append(key if placed[key] == 1 else f"{key} {placed[key]}")
    return keys


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
