"""Whole networks as text that other projects read: TF block strings and timm's `arch_def`.

Both are exact round trips, or a UsageError that names what the format cannot represent.
"""

from collections.abc import Sequence
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.block_strings import format_blocks, tf_rejection
from mnas.architecture.timm_strings import parse_timm_string, timm_rejection, timm_string
from mnas.errors import UsageError, shown


def block_strings(architecture: Architecture) -> tuple[str, ...]:
    """Return a block string for every stage, with our own fields for blocks that TF lacks."""
    return format_blocks(architecture.blocks, architecture.stem)


def tf_block_strings(architecture: Architecture) -> tuple[str, ...]:
    """Return the block strings of a network that TF's own code can build.

    They don't hold what surrounds the blocks (stem, head, activation, BatchNorm's epsilon,
    resolution, classes); TF's code takes these as settings. Raises UsageError for a block or a
    surrounding setting that TF cannot represent.
    """
    for index, block in enumerate(architecture.blocks):
        if setting := tf_rejection(block):
            raise UsageError(f"blocks[{index}]: {setting} has no TF block string")
    for field, supported, reason in (
        ("stem_kernel", 3, "TF's stem is 3×3"),
        ("stem_stride", 2, "TF's stem has stride 2"),
        ("stem_pool", False, "TF's stem does not pool"),
        ("padding", "same", "TF pads SAME"),
    ):
        value = getattr(architecture, field)
        if value != supported:
            raise UsageError(f"architecture: {field} = {value!r} has no TF form: {reason}")
    if not architecture.head:
        raise UsageError("architecture: head = 0 has no TF form: TF always has a 1×1 head")
    return block_strings(architecture)


def from_block_strings(strings: Sequence[str], **settings: Any) -> Architecture:
    """Return the architecture of block strings; `settings` are the other `Architecture` fields.

    Without `stem`, the first block's input filters (``i``) are the stem. Raises UsageError for an
    invalid string and for input filters that differ from the output of the block before.
    """
    return Architecture.from_dict({**settings, "blocks": strings})


def arch_def(architecture: Architecture) -> list[list[str]]:
    """Return timm's `arch_def`: one list of strings for each stage.

    It doesn't hold stem, head, activation, padding, BatchNorm's epsilon, resolution and classes;
    timm takes these as `stem_size`, `stem_kernel_size`, `num_features`, `act_layer`, `pad_type`,
    `bn_eps`, the input and `num_classes`. Raises UsageError for what timm cannot represent or would
    silently round to another network.
    """
    if architecture.stem_pool:
        raise UsageError("architecture: stem_pool = True has no timm form: timm's stem has no pool")
    if architecture.stem_stride != 2:
        raise UsageError("architecture: stem_stride = 1 has no timm form: timm's stem has stride 2")
    strings = []
    for index, block in enumerate(architecture.blocks):
        try:
            strings.append(timm_string(block))
        except UsageError as error:
            raise UsageError(f"blocks[{index}]: {error}") from None
    for index, layers in enumerate(architecture.stages()):
        for rejection in filter(None, map(timm_rejection, layers)):
            raise UsageError(f"blocks[{index}]: {rejection}: it has no timm arch_def")
    remaining = iter(strings)
    return [[next(remaining) for _ in group] for group in architecture.timm_groups()]


def from_arch_def(stages: Sequence[Sequence[str]], **settings: Any) -> Architecture:
    """Return the architecture of a timm `arch_def`; `settings` are its other fields.

    Stages of several strings become as many blocks and are kept as `timm_stages`, by which timm
    names weights. Raises UsageError for what is no list of lists, and for a string that is invalid
    or stands for a block type not supported here.
    """
    if not isinstance(stages, list | tuple) or not stages:
        raise UsageError(f"arch_def: {shown(stages)}; accepted: a list of lists of strings")
    for index, stage in enumerate(stages):
        if not isinstance(stage, list | tuple) or not stage:
            raise UsageError(
                f"arch_def: stage {index} is {shown(stage)}; accepted: a list of strings"
            )
    blocks = tuple(parse_timm_string(string) for stage in stages for string in stage)
    sizes = tuple(map(len, stages))
    timm_stages = None if max(sizes) == 1 else sizes
    return Architecture(**{**settings, "blocks": blocks, "timm_stages": timm_stages})
