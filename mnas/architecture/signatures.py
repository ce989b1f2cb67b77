"""Signatures of blocks: equal exactly for blocks that share their compiled programs."""

import dataclasses
import json
from collections.abc import Hashable
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import parts


def block_keys(architecture: Architecture) -> list[Hashable]:
    """One for every block in order, equal exactly for those that share their programs."""
    outputs = list(parts(architecture))[:-1]  # the classifier is of the head
    inputs = [(architecture.resolution, 3), *((part.resolution, part.filters) for part in outputs)]
    # What the modules of `network_blocks` hold, without the time that building them takes.
    common = (architecture.activation, architecture.bn_epsilon)
    padding = architecture.padding
    pooled = architecture.stem_pool
    stem = ("stem", architecture.stem, architecture.stem_kernel, pooled, padding, common)
    head = ("head", architecture.head, architecture.classes, common)
    layers = [
        (layer, padding if layer.stride > 1 else "same", common) for layer in architecture.layers()
    ]
    return list(zip([stem, *layers, head], inputs, strict=False))


def signatures(architecture: Architecture) -> list[str]:
    """A text for every block in order, equal exactly for blocks that share their programs."""
    return [
        json.dumps([_plain(block), *shape], separators=(",", ":"))
        for block, shape in block_keys(architecture)
    ]


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value
