"""Blocks as TF block strings, ``r2_k3_s22_e6_i16_o24_se0.25`` (EfficientNet's TPU code).

TF's grammar covers 'mbconv' with an identity skip connection or none. Other blocks are written with
further fields of our own: the ops ``conv``, ``separable``, ``basic``, ``bottleneck`` and
``identity``, and ``poolskip`` and ``projectionskip``. TF's own decoder silently ignores fields that
it doesn't know; `tf_rejection` tells whether a block can be passed to it.
"""

import re
from collections.abc import Sequence

from mnas.architecture.block import OPS, Block
from mnas.architecture.block_fields import NUMBER, Grammar, number_text
from mnas.errors import UsageError, shown

# Fields of later TF block strings; 0 means that the variant, which we don't build, is not used.
_ZERO_FIELDS = {
    "c": "conv_type",
    "f": "fused_conv",
    "d": "space2depth",
    "p": "super_pixel",
    "cc": "condconv",
}
_OPS = tuple(op for op in OPS if op != "mbconv")
_SKIPS = {"noskip": "none", "poolskip": "pool", "projectionskip": "projection"}
_GRAMMAR = Grammar(
    keys=re.compile(rf"(cc|se|[rkseiocfdp]){NUMBER}", re.ASCII),
    words=(*_SKIPS, *_OPS),
    example="r1_k3_s11_e1_i32_o16_se0.25",
)


def format_blocks(blocks: Sequence[Block], stem: int) -> tuple[str, ...]:
    """Return one block string for each block; `stem` is the number of filters before the first."""
    in_filters = (stem, *(block.filters for block in blocks))
    return tuple(map(block_string, blocks, in_filters))


def block_string(block: Block, in_filters: int) -> str:
    """Return the block string of one block with `in_filters` input filters."""
    fields = [
        f"r{block.repeats}",
        f"k{block.kernel}",
        f"s{block.stride}{block.stride}",
        f"e{block.expand_ratio}",
        f"i{in_filters}",
        f"o{block.filters}",
    ]
    if block.se_ratio:
        fields.append(f"se{number_text(block.se_ratio)}")
    if block.op != "mbconv":
        fields.append(block.op)
    fields += [word for word, skip in _SKIPS.items() if skip == block.skip]
    return "_".join(fields)


def tf_rejection(block: Block) -> str | None:
    """Return the setting of a block that TF's own decoder cannot represent, or None."""
    if block.op != "mbconv":
        return f"op = {block.op!r}"
    if block.skip in ("pool", "projection"):
        return f"skip = {block.skip!r}"
    return None


def parse_block_string(string: str) -> tuple[int, Block]:
    """Return (input filters, block) of one block string; UsageError quotes an invalid one."""
    source = f"block string {shown(string)}"
    if not isinstance(string, str):
        raise UsageError(f"{source}; accepted: text like {_GRAMMAR.example}")
    fields = _GRAMMAR.parse(source, string.strip().split("_"))
    for key, meaning in _ZERO_FIELDS.items():
        if fields.values.get(key, "0") != "0":
            raise UsageError(
                f"{source}: {key}{fields.values[key][:40]} ({meaning}); accepted: {key}0"
            )
    repeats, kernel, strides, expand_ratio, in_filters, filters = map(fields.whole_number, "rkseio")
    if strides not in (11, 22):
        raise UsageError(f"{source}: s{strides}; accepted: s11, s22")
    if in_filters < 1:
        raise UsageError(f"{source}: i{in_filters}; accepted: i1 or more")
    op = fields.at_most_one(_OPS)
    skip = fields.at_most_one(_SKIPS)
    try:
        block = Block(
            op=op or "mbconv",
            kernel=kernel,
            stride=strides % 10,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=float(fields.values.get("se", 0)),
            skip=_SKIPS[skip] if skip else "identity",
        )
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    return in_filters, block


def require_chain(
    strings: Sequence[str], in_filters: Sequence[int], filters: Sequence[int]
) -> None:
    """Require that the input filters (``i``) of every string equal the filters that come in.

    in_filters  input filters as parsed from each string
    filters     filters that come in: of the stem, then of each block before
    """
    for string, stated, expected in zip(strings, in_filters, filters, strict=False):
        if stated != expected:
            raise UsageError(
                f"block string {shown(string)}: i{stated}, but {expected} filters come in; "
                f"accepted: i{expected}"
            )
