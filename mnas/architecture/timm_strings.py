"""Blocks as strings of timm's `arch_def`, ``ir_r2_k3_s2_e6_c24_se0.25``."""

import re

from mnas.architecture.block import Block, Layer
from mnas.architecture.block_fields import NUMBER, Fields, Grammar, number_text
from mnas.errors import UsageError, shown

# timm: 'ir' always has an expansion, the others never; 'cn' has no SE, 'dsa' no skip connection.
_OPS = {"ds": "mbconv", "ir": "mbconv", "cn": "conv", "dsa": "separable"}
_GRAMMAR = Grammar(
    keys=re.compile(rf"(se|[rksec]){NUMBER}", re.ASCII),
    words=("skip", "noskip"),
    example="ir_r2_k3_s2_e6_c24_se0.25",
)


def timm_string(block: Block) -> str:
    """Return the `arch_def` string of a block; UsageError if timm cannot represent it."""
    if block.op == "identity":
        raise UsageError("op = 'identity' has no timm arch_def (timm's cn has an activation)")
    if block.op in ("basic", "bottleneck"):
        raise UsageError(
            f"op = {block.op!r} has no timm arch_def (timm builds ResNets by other means)"
        )
    if block.skip in ("pool", "projection"):
        raise UsageError(f"skip = {block.skip!r} has no timm arch_def")
    if block.op == "conv" and block.se_ratio:
        raise UsageError("op = 'conv' with se_ratio has no timm arch_def")
    if block.op == "separable" and block.skip != "none":
        raise UsageError(
            "op = 'separable' with skip = 'identity' has no timm arch_def (timm's dsa never skips)"
        )
    shape = f"r{block.repeats}_k{block.kernel}_s{block.stride}"
    se = f"_se{number_text(block.se_ratio)}" if block.se_ratio else ""
    if block.op == "conv":
        # timm's plain convolution skips only with the field 'skip'; 'ds' and 'ir' skip without.
        return f"cn_{shape}_c{block.filters}{'_skip' if block.skip == 'identity' else ''}"
    if block.op == "separable":
        return f"dsa_{shape}_c{block.filters}{se}"
    kind = "ds" if block.expand_ratio == 1 else "ir"
    skip = "_noskip" if block.skip == "none" else ""
    return f"{kind}_{shape}_e{block.expand_ratio}_c{block.filters}{se}{skip}"


def timm_rejection(layer: Layer) -> str | None:
    """Return the filter count that timm would round to another one in this layer, or None.

    timm rounds expanded filters to multiples of 8, and the reduced filters of
    squeeze-and-excitation to the nearest whole number of expanded filters · (ratio / expand ratio).
    """
    expanded = layer.expanded_filters
    if layer.expand_ratio != 1:
        rounded = max(8, (expanded + 4) // 8 * 8)
        rounded += 8 if rounded < 0.9 * expanded else 0
        if rounded != expanded:
            product = f"{layer.in_filters} · expand_ratio {layer.expand_ratio}"
            return f"{product} = {expanded} filters, which timm rounds to {rounded}"
    if layer.se_filters:
        rounded = round(expanded * (layer.se_ratio / layer.expand_ratio))
        if rounded != layer.se_filters:
            return (
                f"se_ratio = {layer.se_ratio} of {layer.in_filters} filters is "
                f"{layer.se_filters}, which timm rounds to {rounded}"
            )
    return None


def parse_timm_string(string: str) -> Block:
    """Return the block of one `arch_def` string; UsageError quotes an invalid one."""
    source = f"timm block {shown(string)}"
    if not isinstance(string, str):
        raise UsageError(f"{source}; accepted: text like {_GRAMMAR.example}")
    kind, *tokens = string.split("_")
    if kind not in _OPS:
        raise UsageError(f"{source}: type {shown(kind, 40)}; accepted: {', '.join(_OPS)}")
    fields = _GRAMMAR.parse(source, tokens)
    repeats, kernel, stride, filters = map(fields.whole_number, "rksc")
    expand_ratio, se_ratio = _expand_ratio(kind, fields), _se_ratio(kind, fields)
    skip = "identity" if _skips(kind, fields) else "none"
    try:
        return Block(
            op=_OPS[kind],
            kernel=kernel,
            stride=stride,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=se_ratio,
            skip=skip,
        )
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None


def _expand_ratio(kind: str, fields: Fields) -> int:
    ratio = fields.whole_number("e") if kind == "ir" or "e" in fields.values else 1
    if (kind == "ir") == (ratio == 1):
        accepted = "e2 or more, or type ds" if kind == "ir" else "e1, or type ir"
        raise UsageError(f"{fields.source}: e{ratio}; accepted: {accepted}")
    return ratio


def _se_ratio(kind: str, fields: Fields) -> float:
    ratio = fields.values.get("se", "0")
    if kind == "cn" and "se" in fields.values:
        raise UsageError(f"{fields.source}: se{ratio}; accepted: no se with type cn")
    return float(ratio)


def _skips(kind: str, fields: Fields) -> bool:
    word = fields.at_most_one(("skip", "noskip"))
    if kind == "dsa" and word == "skip":
        raise UsageError(f"{fields.source}: skip; accepted: no skip with type dsa")
    return word == "skip" if kind == "cn" else kind != "dsa" and word != "noskip"
