"""Whole networks as the arguments of timm's `EfficientNet`, a JSON object of plain data.

    {"arch_def": [["ds_r1_k3_s1_e1_c16_se0.25"], ...], "stem_size": 32, "stem_kernel_size": 3,
     "num_features": 1280, "num_classes": 1000, "output_stride": 32, "pad_type": "same",
     "bn_eps": 0.001, "act_layer": "swish", "input_size": [3, 224, 224], "params": ...,
     "name": ...}

timm builds the network, with the same number of `params`, by

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

Without `round_chs_fn`, timm rounds filters to multiples of 8; without `output_stride`, it replaces
strides beyond 32 by dilation.
"""

from collections.abc import Mapping
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.text_forms import arch_def, from_arch_def
from mnas.errors import UsageError, rejected, require_one_of, shown, unknown

PAD_TYPES = {"same": "same", "": "symmetric"}
# timm's arguments that are our settings under another name.
SETTINGS = {
    "stem_size": "stem",
    "stem_kernel_size": "stem_kernel",
    "num_features": "head",
    "num_classes": "classes",
    "bn_eps": "bn_epsilon",
    "act_layer": "activation",
    "name": "name",
}
KEYS = (*SETTINGS, "arch_def", "output_stride", "pad_type", "input_size", "params")


def timm_arguments(architecture: Architecture) -> dict[str, Any]:
    """Return the arguments of a network; UsageError for what timm cannot represent."""
    return {
        "arch_def": arch_def(architecture),
        **{theirs: getattr(architecture, ours) for theirs, ours in SETTINGS.items()},
        "output_stride": _output_stride(architecture),
        "pad_type": {ours: theirs for theirs, ours in PAD_TYPES.items()}[architecture.padding],
        "input_size": [3, architecture.resolution, architecture.resolution],
        "params": network_cost(architecture).params,
    }


def _output_stride(architecture: Architecture) -> int:
    """Return the smallest `output_stride` at which timm keeps all strides."""
    strides = [block.stride for block in architecture.blocks]
    return max(32, 2 * 2 ** strides.count(2))


def from_timm_arguments(data: Mapping[str, Any]) -> Architecture:
    """Return the network of such arguments; missing ones but `arch_def` take our defaults.

    Raises UsageError for unknown and invalid arguments, and where `params` are not those of the
    network.
    """
    for key in data:
        if key not in KEYS:
            raise unknown("argument of timm", key, KEYS)
    settings = {ours: data[theirs] for theirs, ours in SETTINGS.items() if theirs in data}
    if "pad_type" in data:
        require_one_of("timm", "pad_type", data["pad_type"], list(PAD_TYPES))
        settings["padding"] = PAD_TYPES[data["pad_type"]]
    if "input_size" in data:
        size = data["input_size"]
        if not isinstance(size, list) or len(size) != 3 or size[0] != 3 or size[1] != size[2]:
            raise rejected("timm", "input_size", size, "[3, pixels, pixels], both the same")
        settings["resolution"] = size[1]
    architecture = from_arch_def(data["arch_def"], **settings)
    stride = _output_stride(architecture)
    if data.get("output_stride", stride) != stride:
        accepted = f"{stride}: timm dilates at another one, which is not supported"
        raise rejected("timm", "output_stride", data["output_stride"], accepted)
    params = network_cost(architecture).params
    if data.get("params", params) != params:
        raise UsageError(
            f"params = {shown(data['params'])}, but the arch_def has {params}; "
            "accepted: that, or no such key"
        )
    return architecture
