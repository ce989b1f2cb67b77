"""`Architecture`: a whole convolutional network as plain data, searched, trained and exported.

A network is a stem, a sequence of stages and a head. A stage is a `Block`.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, get_args

from mnas.architecture.block import KEPT_STAGES, LARGEST, MOST_LAYERS, Block, Layer
from mnas.architecture.block_strings import format_blocks, parse_block_string, require_chain
from mnas.errors import (
    UsageError,
    rejected,
    require_odd,
    require_one_of,
    require_open_fraction,
    require_whole,
    shown,
    unknown,
)

ACTIVATIONS = ("swish", "relu", "relu6")
Padding = Literal["same", "symmetric"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A whole network for RGB images.

    blocks       the stages, first to last
    resolution   height and width of the square input image, pixels
    stem         filters of the convolution before the stages
    head         filters of the 1×1 convolution after them (then pooling and the classifier); 0 for
                 none (MobileNetV1, ResNet)
    classes      outputs of the classifier
    activation   of the whole network: 'swish' (EfficientNet), 'relu' (MnasNet, ResNet) or 'relu6'
                 (MobileNet)
    stem_kernel  kernel size of the stem's convolution; odd
    stem_stride  stride of the stem's convolution; 1 or 2
    stem_pool    whether a 3×3 max pooling of stride 2 follows the stem (ResNet)
    padding      of all convolutions and poolings: 'same' as in TensorFlow, where the odd pixel is
                 added at the bottom and right; 'symmetric' as in PyTorch, (kernel - 1) / 2 pixels
                 on every edge. Output sizes agree; values differ where a stride meets an even
                 number of pixels
    bn_epsilon   constant that BatchNorm adds to the variance: 1e-3 in TensorFlow's networks, 1e-5
                 in timm's
    timm_stages  number of blocks in each stage of timm's `arch_def`, whose weights are named by
                 stage; None: one. Like `name`, not part of the network's identity
    name         label for people

    Raises UsageError for a field outside these values.
    """

    blocks: tuple[Block, ...]
    resolution: int = 224
    stem: int = 32
    head: int = 1280
    classes: int = 1000
    activation: str = "swish"
    stem_kernel: int = 3
    stem_stride: int = 2
    stem_pool: bool = False
    padding: Padding = "same"
    bn_epsilon: float = 1e-3
    timm_stages: tuple[int, ...] | None = None
    name: str = "unnamed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or not all(isinstance(block, Block) for block in self.blocks):
            raise rejected("architecture", "blocks", self.blocks, "one Block or more")
        for field in ("resolution", "stem", "classes", "stem_kernel"):
            require_whole("architecture", field, getattr(self, field), most=LARGEST)
        require_whole("architecture", "head", self.head, least=0, most=LARGEST)
        layers = sum(block.repeats for block in self.blocks)
        require_whole("architecture", "number of layers", layers, most=MOST_LAYERS)
        require_one_of("architecture", "activation", self.activation, ACTIVATIONS)
        require_odd("architecture", "stem_kernel", self.stem_kernel)
        require_one_of("architecture", "stem_stride", self.stem_stride, (1, 2))
        if not isinstance(self.stem_pool, bool):
            raise rejected("architecture", "stem_pool", self.stem_pool, "True, False")
        require_one_of("architecture", "padding", self.padding, PADDINGS)
        require_open_fraction("architecture", "bn_epsilon", self.bn_epsilon)
        if self.timm_stages is not None:
            self._check_timm_stages(self.timm_stages)
        if not isinstance(self.name, str):
            raise rejected("architecture", "name", self.name, "text")

    def _check_timm_stages(self, sizes: Sequence[int]) -> None:
        """Require sizes of stages that add up to the number of blocks; keep them as a tuple."""
        blocks = len(self.blocks)
        whole = isinstance(sizes, list | tuple) and all(type(size) is int for size in sizes)
        if not whole or min(sizes, default=0) < 1 or sum(sizes) != blocks:
            accepted = f"numbers of at least 1 that add up to its {blocks} blocks, or None"
            raise rejected("architecture", "timm_stages", sizes, accepted)
        object.__setattr__(self, "timm_stages", tuple(sizes))

    def replace(self, **changes: Any) -> "Architecture":
        """Return a copy with the fields in `changes` replaced.

        Another number of blocks without `timm_stages` sets them to None.
        """
        if "blocks" in changes:
            changes["blocks"] = tuple(changes["blocks"])
            if len(changes["blocks"]) != len(self.blocks):
                changes.setdefault("timm_stages", None)
        return dataclasses.replace(self, **changes)

    def for_images_of(self, other: "Architecture") -> "Architecture":
        """Return a copy with the resolution, stride of the stem and classes of another network."""
        fields = ("resolution", "stem_stride", "classes")
        return self.replace(**{field: getattr(other, field) for field in fields})

    def stages(self) -> Iterator[tuple[Layer, ...]]:
        """Yield the layers of every stage, with input filters and skip connections resolved."""
        in_filters = self.stem
        for block in self.blocks:
            yield block.layers(in_filters)
            in_filters = block.filters

    def timm_groups(self) -> Iterator[tuple[Block, ...]]:
        """Yield the blocks of every stage of timm's `arch_def`."""
        blocks = iter(self.blocks)
        for size in self.timm_stages or (1,) * len(self.blocks):
            yield tuple(itertools.islice(blocks, size))

    def layers(self) -> tuple[Layer, ...]:
        """Return the layers of all stages, in order."""
        return tuple(layer for stage in self.stages() for layer in stage)

    def canonical_hash(self) -> str:
        """Return 16 hex digits, equal exactly for architectures that build the same network.

        Computed from the resolved layers, so that settings without effect don't count: a skip
        connection that cannot apply, the split of equal layers into stages, squeeze-and-excitation
        ratios that round to the same number of filters.
        """
        incoming = (self.stem, *(block.filters for block in self.blocks))
        layers = ",".join(filter(None, map(_stage_json, self.blocks, incoming)))
        settings = {"layers": None, **self._settings()}
        text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
        text = text.replace('"layers":null', f'"layers":[{layers}]', 1)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON, `blocks` as block strings; the inverse of `from_dict`.

        `timm_stages` is left out where it is None, as in all networks of the search spaces, and
        `stem_stride` where it is 2.
        """
        return {
            "name": self.name,
            "blocks": list(format_blocks(self.blocks, self.stem)),
            **self._settings(),
            **({"timm_stages": list(self.timm_stages)} if self.timm_stages else {}),
        }

    def _settings(self) -> dict[str, Any]:
        """Return the fields that belong to the network's identity, apart from its blocks."""
        settings = {name: getattr(self, name) for name in _IDENTITY}
        if self.stem_stride == 2:
            del settings["stem_stride"]
        return settings

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Architecture":
        """Return the architecture of a dictionary as `to_dict` gives it.

        Missing keys take their defaults; a missing `stem` is the first block's input filters.
        Raises UsageError for unknown keys, invalid values and blocks whose filters don't match.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"architecture: {shown(data)}; accepted: a dictionary as of to_dict")
        known = [field.name for field in dataclasses.fields(cls)]
        for key in data:
            if key not in known:
                raise unknown("architecture field", key, known)
        strings = data.get("blocks")
        if not isinstance(strings, Sequence) or isinstance(strings, str) or not strings:
            raise rejected("architecture", "blocks", strings, "a list of block strings")
        in_filters, blocks = zip(*map(parse_block_string, strings), strict=True)
        architecture = cls(**{"stem": in_filters[0], **data, "blocks": blocks})
        incoming = (architecture.stem, *(block.filters for block in blocks))
        require_chain(strings, in_filters, incoming)
        return architecture


# Fields that belong to a network's identity, apart from its blocks.
_IDENTITY = tuple(
    field.name
    for field in dataclasses.fields(Architecture)
    if field.name not in ("name", "blocks", "timm_stages")
)


@functools.lru_cache(KEPT_STAGES)
def _stage_json(block: Block, in_filters: int) -> str:
    """Return a stage's part of the list of layers that `canonical_hash` digests."""
    layers = [
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
        for layer in block.layers(in_filters)
    ]
    return json.dumps(layers, separators=(",", ":"))[1:-1]
