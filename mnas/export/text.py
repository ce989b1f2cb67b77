"""Architectures as text: a spec, TF block strings, timm's `arch_def`."""

import json

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.spec import to_spec
from mnas.architecture.text_forms import arch_def, tf_block_strings


def to_json(architecture: Architecture) -> str:
    """Return a spec file (`mnas.architecture.spec`)."""
    return json.dumps(to_spec(architecture), indent=2)


def to_tf(architecture: Architecture) -> str:
    """Return EfficientNet's block strings, one a line, as its TPU code reads them.

    Raises UsageError for what TF cannot represent.
    """
    return "\n".join(tf_block_strings(architecture))


def to_timm(architecture: Architecture) -> str:
    """Return timm's `arch_def` and the other arguments of its EfficientNet, as JSON.

    With `spec` for the parsed JSON, timm builds the network, with the same number of `params`, by

        EfficientNet(
            decode_arch_def(spec["arch_def"]),
            num_classes=spec["num_classes"],
            num_features=spec["num_features"],
            stem_size=spec["stem_size"],
            stem_kernel_size=spec["stem_kernel_size"],
            output_stride=spec["output_stride"],
            pad_type=spec["pad_type"],
            act_layer=get_act_layer(spec["act_layer"]),
            norm_layer=partial(BatchNorm2d, eps=spec["bn_eps"]),
            round_chs_fn=int,
        )

    Without `round_chs_fn`, timm rounds filters to multiples of 8; without `output_stride`, it
    replaces strides beyond 32 by dilation. Raises UsageError for what timm cannot represent.
    """
    strides = [block.stride for block in architecture.blocks]
    arguments = {
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
    return json.dumps(arguments, indent=2)
