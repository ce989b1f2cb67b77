"""Architectures out into the world: each format a function from an architecture to text."""

import json
from collections.abc import Callable

from mnas.architecture import Architecture, arch_def, tf_block_strings
from mnas.spec import to_spec


def to_json(architecture: Architecture) -> str:
    """A spec file (`mnas.spec`)."""
    return json.dumps(to_spec(architecture), indent=2)


def to_tf(architecture: Architecture) -> str:
    """EfficientNet's block strings, one a line, as its TPU code reads them."""
    return "\n".join(tf_block_strings(architecture))


def to_timm(architecture: Architecture) -> str:
    """Timm's `arch_def` and the arguments of its EfficientNet builder beside it, as JSON."""
    described = {
        "arch_def": arch_def(architecture),
        "stem_size": architecture.stem,
        "stem_kernel_size": architecture.stem_kernel,
        "num_features": architecture.head,
        "num_classes": architecture.classes,
        "act_layer": architecture.activation,
        "pad_type": "same" if architecture.padding == "same" else "",
        "bn_eps": architecture.bn_epsilon,
        "input_size": [3, architecture.resolution, architecture.resolution],
    }
    return json.dumps(described, indent=2)


FORMATS: dict[str, Callable[[Architecture], str]] = {
    "json": to_json,
    "tf": to_tf,
    "timm": to_timm,
}
