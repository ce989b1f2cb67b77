"""A convolutional architecture as plain data: what is searched, trained, counted and exported.

An `Architecture` is a stem, a sequence of stages and a head; a stage is a `Block` whose `repeats`
layers are alike but for the first one, which alone strides and changes the number of filters
(MnasNet, arXiv 1807.11626, Fig. 4). Nothing here builds a model, and nothing here imports JAX.

Three text forms are read and written, each an exact round trip:

- a plain dictionary (`to_dict`, `from_dict`), which is what goes into JSON;
- EfficientNet's TF block strings, with further fields of our own (`mnas.architecture.block_strings`);
- timm's `arch_def`, ``[["ir_r2_k3_s2_e6_c24_se0.25"], ...]``.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mnas.architecture.block import Block, Layer
from mnas.architecture.block_strings import (
    block_string,
    parse_block_string,
    parse_timm_string,
    tf_refusal,
    timm_refusal,
    timm_string,
)
from mnas.errors import UsageError, is_number, require_odd, require_one_of, require_whole

__all__ = [
    "Architecture",
    "Block",
    "Layer",
    "arch_def",
    "block_strings",
    "from_arch_def",
    "from_block_strings",
    "tf_block_strings",
]

ACTIVATIONS = ("swish", "relu", "relu6")
PADDINGS = ("same", "symmetric")
# Fields of `Architecture` that are written, and count, only where they are not the default.
VARIATIONS = ("stem_kernel", "stem_pool", "padding", "bn_epsilon")


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A whole network for RGB images.

    blocks      the stages, first to last
    resolution  side of the square input image, pixels
    stem        filters of the stride-2 convolution before the stages
    head        filters of the 1×1 convolution after them (then pooling and the classifier); 0 for
                none (MobileNetV1, ResNet)
    classes     outputs of the classifier
    activation  'swish' (EfficientNet), 'relu' (MnasNet, ResNet) or 'relu6' (MobileNet), everywhere
                in the network
    stem_kernel side of the stem's convolution; odd
    stem_pool   whether a 3×3 max pooling of stride 2 follows the stem (ResNet)
    padding     of all convolutions and poolings: 'same' is TensorFlow's, whose odd pixel comes
                after; 'symmetric' PyTorch's, of (kernel - 1) / 2 pixels on either side. Outputs are
                as large; the two differ where something strides over an even number of pixels
    bn_epsilon  what BatchNorm adds to the variance: 1e-3 in TensorFlow's networks, 1e-5 in timm's
    name        for people; not part of the network's identity

    `stem_kernel` to `bn_epsilon` are written to JSON, and count in the canonical hash, only where
    they are not the default: so spec files and journals from before they were there stay valid.
    """

    blocks: tuple[Block, ...]
    resolution: int = 224
    stem: int = 32
    head: int = 1280
    classes: int = 1000
    activation: str = "swish"
    stem_kernel: int = 3
    stem_pool: bool = False
    padding: str = "same"
    bn_epsilon: float = 1e-3
    name: str = "unnamed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or not all(isinstance(block, Block) for block in self.blocks):
            raise UsageError(f"architecture: blocks = {self.blocks!r}; accepted: one Block or more")
        for field in ("resolution", "stem", "classes"):
            require_whole("architecture", field, getattr(self, field))
        require_whole("architecture", "head", self.head, least=0)
        require_one_of("architecture", "activation", self.activation, ACTIVATIONS)
        require_odd("architecture", "stem_kernel", self.stem_kernel)
        if not isinstance(self.stem_pool, bool):
            raise UsageError(f"architecture: stem_pool = {self.stem_pool!r}; accepted: True, False")
        require_one_of("architecture", "padding", self.padding, PADDINGS)
        epsilon = self.bn_epsilon
        if not is_number(epsilon) or not 0 < epsilon < 1:
            raise UsageError(
                f"architecture: bn_epsilon = {epsilon!r}; accepted: a number above 0, below 1"
            )
        if not isinstance(self.name, str):
            raise UsageError(f"architecture: name = {self.name!r}; accepted: text")

    def replace(self, **changes: Any) -> "Architecture":
        return dataclasses.replace(self, **changes)

    def stages(self) -> Iterator[tuple[Layer, ...]]:
        """The layers of every stage, with input filters and skip connections resolved."""
        in_filters = self.stem
        for block in self.blocks:
            yield block.layers(in_filters)
            in_filters = block.filters

    def layers(self) -> tuple[Layer, ...]:
        """All layers of all stages, in order."""
        return tuple(layer for stage in self.stages() for layer in stage)

    def canonical_hash(self) -> str:
        """16 hex digits, equal exactly for architectures that build the same network.

        Taken over the resolved layers, so that choices without effect (a skip connection where
        none can be, two neighbouring stages that are one, squeeze-and-excitation ratios that round
        to the same number of filters) don't tell networks apart.
        """
        identity = {
            "layers": [
                (
                    layer.op,
                    layer.in_filters,
                    layer.filters,
                    layer.kernel,
                    layer.stride,
                    layer.expand_ratio,
                    layer.se_filters,
                    layer.skip,
                )
                for layer in self.layers()
            ],
            "resolution": self.resolution,
            "stem": self.stem,
            "head": self.head,
            "classes": self.classes,
            "activation": self.activation,
            **self._variations(),
        }
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `blocks` as block strings. `from_dict` is the exact inverse."""
        return {
            "name": self.name,
            "resolution": self.resolution,
            "stem": self.stem,
            "blocks": list(block_strings(self)),
            "head": self.head,
            "classes": self.classes,
            "activation": self.activation,
            **self._variations(),
        }

    def _variations(self) -> dict[str, Any]:
        """The fields that came later, where they differ from their defaults."""
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        return {
            name: getattr(self, name) for name in VARIATIONS if getattr(self, name) != fields[name]
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Architecture":
        """The architecture of such a dictionary; what it leaves out has its default."""
        if not isinstance(data, Mapping):
            raise UsageError(f"architecture: {data!r}; accepted: a dictionary as of to_dict")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise UsageError(
                f"architecture: unknown key {unknown[0]!r}; accepted: {', '.join(sorted(known))}"
            )
        blocks = data.get("blocks")
        if not isinstance(blocks, Sequence) or isinstance(blocks, str) or not blocks:
            raise UsageError(f"architecture: blocks = {blocks!r}; accepted: block strings")
        rest = {key: value for key, value in data.items() if key != "blocks"}
        return from_block_strings(blocks, **rest)


# --- text forms ---------------------------------------------------------------------------------


def block_strings(architecture: Architecture) -> tuple[str, ...]:
    """EfficientNet's block strings, with our own fields where it has no word."""
    in_filters = (architecture.stem, *(block.filters for block in architecture.blocks))
    return tuple(map(block_string, architecture.blocks, in_filters))


def tf_block_strings(architecture: Architecture) -> tuple[str, ...]:
    """Block strings that TF's own decoder understands; ValueError where it has no word.

    What stands around the blocks (stem, head, activation, BatchNorm's epsilon, resolution and
    classes) is not part of them: TF's code takes it as settings, where it can.
    """
    for index, block in enumerate(architecture.blocks):
        if what := tf_refusal(block):
            raise UsageError(f"blocks[{index}]: {what} has no TF block string")
    for field, only, reason in (
        ("stem_kernel", 3, "TF's stem is 3×3"),
        ("stem_pool", False, "TF's stem does not pool"),
        ("padding", "same", "TF pads SAME"),
    ):
        if getattr(architecture, field) != only:
            value = getattr(architecture, field)
            raise UsageError(f"architecture: {field} = {value!r} has no TF form: {reason}")
    if not architecture.head:
        raise UsageError("architecture: head = 0 has no TF form: TF always has a 1×1 head")
    return block_strings(architecture)


def from_block_strings(strings: Sequence[str], **settings: Any) -> Architecture:
    """The architecture of TF block strings; `settings` are the fields of `Architecture` beside.

    Input filters (``i``) must be what the stem or the block before gives; where no stem is given,
    the first block's are the stem.
    """
    if isinstance(strings, str):
        raise UsageError(f"block strings {strings!r}; accepted: a list of strings")
    parsed = [parse_block_string(string) for string in strings]
    if parsed:
        settings.setdefault("stem", parsed[0][0])
    architecture = Architecture(blocks=tuple(block for _, block in parsed), **settings)
    expected = architecture.stem
    for string, (in_filters, block) in zip(strings, parsed, strict=True):
        if in_filters != expected:
            raise UsageError(
                f"block string {string!r}: i{in_filters}, but {expected} filters come in; "
                f"accepted: i{expected}"
            )
        expected = block.filters
    return architecture


def arch_def(architecture: Architecture) -> list[list[str]]:
    """The `arch_def` of timm: strings by stage; ValueError where timm has no word.

    Stem, head, activation, padding, BatchNorm's epsilon, resolution and classes are not part of it:
    timm takes them as `stem_size`, `stem_kernel_size`, `num_features`, `act_layer`, `pad_type`,
    `bn_eps`, the input and `num_classes`.
    """
    if architecture.stem_pool:
        raise UsageError("architecture: stem_pool = True has no timm form: timm's stem has no pool")
    stages = []
    for index, block in enumerate(architecture.blocks):
        try:
            stages.append([timm_string(block)])
        except ValueError as error:
            raise UsageError(f"blocks[{index}]: {error}") from None
    for index, layers in enumerate(architecture.stages()):
        for refusal in filter(None, map(timm_refusal, layers)):
            raise UsageError(f"blocks[{index}]: {refusal}: it has no timm arch_def")
    return stages


def from_arch_def(stages: Sequence[Sequence[str]], **settings: Any) -> Architecture:
    """The architecture of a timm `arch_def`; `settings` are the fields of `Architecture` beside."""
    strings = [string for stage in stages for string in stage]
    return Architecture(blocks=tuple(map(parse_timm_string, strings)), **settings)
