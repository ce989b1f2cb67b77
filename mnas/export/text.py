"""Architectures as text: each format a function from an architecture to it."""

import json
from collections.abc import Callable

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.spec import to_spec
from mnas.architecture.text_forms import arch_def, tf_block_strings


def to_json(architecture: Architecture) -> str:
    """A spec file (`mnas.architecture.spec`)."""
    return json.dumps(to_spec(architecture), indent=2)


def to_tf(architecture: Architecture) -> str:
    """EfficientNet's block strings, one a line, as its TPU code reads them."""
    return "\n".join(tf_block_strings(architecture))


def to_timm(architecture: Architecture) -> str:
    """Timm's `arch_def` and the arguments of its EfficientNet beside it, as JSON.

    Where `told` is that JSON, read, timm builds the network, with as many `params`, by

        EfficientNet(
            decode_arch_def(told["arch_def"]),
            num_classes=told["num_classes"],
            num_features=told["num_features"],
            stem_size=told["stem_size"],
            stem_kernel_size=told["stem_kernel_size"],
            output_stride=told["output_stride"],
            pad_type=told["pad_type"],
            act_layer=get_act_layer(told["act_layer"]),
            norm_layer=partial(BatchNorm2d, eps=told["bn_eps"]),
            round_chs_fn=int,
        )

    Without `round_chs_fn` timm rounds filters to multiples of 8. Without `output_stride` it gives
    up strides beyond 32 in favour of dilation.
    """
    strides = [block.stride for block in architecture.blocks]
    described = {
        "arch_def": arch_def(architecture),
        "stem_size": architecture.stem,
        "stem_kernel_size": architecture.stem_kernel,
        "num_features": architecture.head,
        "num_classes": architecture.classes,
        "output_stride": max(32, 2 * 2 ** strides.count(2)),
        "pad_type": {"same": "same", "symmetric": ""}[architecture.padding],
        "bn_eps": architecture.bn_epsilon,
        "act_layer": architecture.activation,
        "input_size": [3, architecture.resolution, architecture.resolution],
        "params": network_cost(architecture).params,
    }
    return json.dumps(described, indent=2)


FORMATS: dict[str, Callable[[Architecture], str]] = {
    "json": to_json,
    "tf": to_tf,
    "timm": to_timm,
}
