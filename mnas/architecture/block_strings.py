"""The text forms of one block: TF block strings and timm's.

A block reads and writes

- EfficientNet's TF block strings, ``r2_k3_s22_e6_i16_o24_se0.25``;
- strings of timm's `arch_def`, ``ir_r2_k3_s2_e6_c24_se0.25``.

TF block strings have no word for anything but MBConv, nor for any skip connection but the identity.
Our own spec files write the others as further fields: the ops ``conv``, ``separable``, ``basic``
and ``bottleneck``, and ``poolskip`` and ``projectionskip``. What is to be read by TF or timm must
not have what they have no word for (`tf_refusal`, `timm_string`): TF's own decoder silently ignores
fields that it does not know.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from mnas.architecture.block import OPS, Block, Layer
from mnas.errors import UsageError

_NUMBER = r"(\d+(?:\.\d+)?(?:e-?\d+)?)"
_FIELD = re.compile(rf"(cc|se|[rkseiocfdp]){_NUMBER}", re.ASCII)
# Fields of newer TF block strings that select variants we do not build; zero means "not used".
_ZERO_FIELDS = {
    "c": "conv_type",
    "f": "fused_conv",
    "d": "space2depth",
    "p": "super_pixel",
    "cc": "condconv",
}
_OP_WORDS = tuple(op for op in OPS if op != "mbconv")
_SKIP_WORDS = {"noskip": "none", "poolskip": "pool", "projectionskip": "projection"}
_WORDS = (*_SKIP_WORDS, *_OP_WORDS)
_EXAMPLE = "r1_k3_s11_e1_i32_o16_se0.25"


def _float_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def block_string(block: Block, in_filters: int) -> str:
    """EfficientNet's block string, with our fields for what it has no word for."""
    fields = [
        f"r{block.repeats}",
        f"k{block.kernel}",
        f"s{block.stride}{block.stride}",
        f"e{block.expand_ratio}",
        f"i{in_filters}",
        f"o{block.filters}",
    ]
    if block.se_ratio:
        fields.append(f"se{_float_text(block.se_ratio)}")
    if block.op != "mbconv":
        fields.append(block.op)
    fields += [word for word, skip in _SKIP_WORDS.items() if skip == block.skip]
    return "_".join(fields)


def tf_refusal(block: Block) -> str | None:
    """What of a block TF's own decoder has no word for; None where it has all words."""
    if block.op != "mbconv":
        return f"op = {block.op!r}"
    if block.skip in ("pool", "projection"):
        return f"skip = {block.skip!r}"
    return None


def _fields(
    what: str, tokens: Sequence[str], pattern: re.Pattern[str], words: Sequence[str], example: str
) -> dict[str, str]:
    """The number that follows each field's letters, as text; '' for a word. No field twice."""
    values: dict[str, str] = {}
    for token in tokens:
        match = pattern.fullmatch(token)
        if not match and token not in words:
            raise UsageError(
                f"{what}: unknown field {token!r}; "
                f"accepted: like {example}, with {', '.join(words)}"
            )
        key, value = match.groups() if match else (token, "")
        if key in values:
            raise UsageError(f"{what}: field {key!r} stands twice; accepted: once")
        values[key] = value
    return values


def _whole_numbers(what: str, values: Mapping[str, str], keys: str, example: str) -> list[int]:
    for key in keys:
        if key not in values:
            raise UsageError(f"{what}: field {key!r} is missing; accepted: like {example}")
        if not values[key].isdigit():
            raise UsageError(f"{what}: {key}{values[key]}; accepted: {key} and a whole number")
    return [int(values[key]) for key in keys]


def _only_one_of(what: str, values: Mapping[str, str], words: Iterable[str]) -> str | None:
    found = [word for word in words if word in values]
    if len(found) > 1:
        raise UsageError(f"{what}: both {found[0]} and {found[1]}; accepted: one of them")
    return found[0] if found else None


def parse_block_string(string: str) -> tuple[int, Block]:
    """(input filters, block) of one block string."""
    what = f"block string {string!r}"
    if not isinstance(string, str):
        raise UsageError(f"{what}; accepted: text like {_EXAMPLE}")
    values = _fields(what, string.strip().split("_"), _FIELD, _WORDS, _EXAMPLE)
    for key, meaning in _ZERO_FIELDS.items():
        if values.get(key, "0") != "0":
            raise UsageError(f"{what}: {key}{values[key]} ({meaning}); accepted: {key}0")
    repeats, kernel, strides, expand_ratio, in_filters, filters = _whole_numbers(
        what, values, "rkseio", _EXAMPLE
    )
    if strides not in (11, 22):
        raise UsageError(f"{what}: s{values['s']}; accepted: s11, s22")
    if in_filters < 1:
        raise UsageError(f"{what}: i{values['i']}; accepted: i1 or more")
    op = _only_one_of(what, values, _OP_WORDS)
    skip = _only_one_of(what, values, _SKIP_WORDS)
    try:
        block = Block(
            op=op or "mbconv",
            kernel=kernel,
            stride=strides % 10,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=float(values.get("se", 0)),
            skip=_SKIP_WORDS[skip] if skip else "identity",
        )
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None
    return in_filters, block


# --- timm ---------------------------------------------------------------------------------------

_TIMM_FIELD = re.compile(rf"(se|[rksec]){_NUMBER}", re.ASCII)
_TIMM_OPS = {"ds": "mbconv", "ir": "mbconv", "cn": "conv", "dsa": "separable"}
_TIMM_WORDS = ("skip", "noskip")
_TIMM_EXAMPLE = "ir_r2_k3_s2_e6_c24_se0.25"


def timm_string(block: Block) -> str:
    """The string of timm's `arch_def`; ValueError where timm has no word."""
    if block.op in ("basic", "bottleneck"):
        raise UsageError(f"op = {block.op!r} has no timm arch_def (timm builds ResNets by others)")
    if block.skip in ("pool", "projection"):
        raise UsageError(f"skip = {block.skip!r} has no timm arch_def")
    if block.op == "conv" and block.se_ratio:
        raise UsageError("op = 'conv' with se_ratio has no timm arch_def")
    if block.op == "separable" and block.skip != "none":
        raise UsageError(
            "op = 'separable' with skip = 'identity' has no timm arch_def (timm's dsa never skips)"
        )
    shape = f"r{block.repeats}_k{block.kernel}_s{block.stride}"
    se = f"_se{_float_text(block.se_ratio)}" if block.se_ratio else ""
    if block.op == "conv":
        # timm's conv block skips only where it is told to; its other blocks the other way.
        return f"cn_{shape}_c{block.filters}{'_skip' if block.skip == 'identity' else ''}"
    if block.op == "separable":
        return f"dsa_{shape}_c{block.filters}{se}"
    kind = "ds" if block.expand_ratio == 1 else "ir"
    skip = "_noskip" if block.skip == "none" else ""
    return f"{kind}_{shape}_e{block.expand_ratio}_c{block.filters}{se}{skip}"


def timm_refusal(layer: Layer) -> str | None:
    """What timm would silently build otherwise in an 'mbconv' or 'separable' layer; None for none.

    timm rounds expanded filters to multiples of 8, and the reduced filters of
    squeeze-and-excitation to the nearest, of expanded filters · (ratio / expand ratio).
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
    """The block of one string of timm's `arch_def`."""
    what = f"timm block {string!r}"
    if not isinstance(string, str):
        raise UsageError(f"{what}; accepted: text like {_TIMM_EXAMPLE}")
    kind, *tokens = string.split("_")
    if kind not in _TIMM_OPS:
        raise UsageError(f"{what}: type {kind!r}; accepted: {', '.join(_TIMM_OPS)}")
    values = _fields(what, tokens, _TIMM_FIELD, _TIMM_WORDS, _TIMM_EXAMPLE)
    repeats, kernel, stride, filters = _whole_numbers(what, values, "rksc", _TIMM_EXAMPLE)
    # timm: 'ir' always has an expansion, the others never; 'cn' has no SE, 'dsa' no skip.
    expand_ratio = 1
    if kind == "ir" or "e" in values:
        (expand_ratio,) = _whole_numbers(what, values, "e", _TIMM_EXAMPLE)
    if (kind == "ir") == (expand_ratio == 1):
        accepted = "e2 or more, or type ds" if kind == "ir" else "e1, or type ir"
        raise UsageError(f"{what}: e{expand_ratio}; accepted: {accepted}")
    if kind == "cn" and "se" in values:
        raise UsageError(f"{what}: se{values['se']}; accepted: no se with type cn")
    if "skip" in values and "noskip" in values:
        raise UsageError(f"{what}: both skip and noskip; accepted: one of them")
    if kind == "dsa" and "skip" in values:
        raise UsageError(f"{what}: skip; accepted: no skip with type dsa")
    skips = "skip" in values if kind == "cn" else kind != "dsa" and "noskip" not in values
    try:
        return Block(
            op=_TIMM_OPS[kind],
            kernel=kernel,
            stride=stride,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=float(values.get("se", 0)),
            skip="identity" if skips else "none",
        )
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None
