"""A convolutional architecture as plain data: what is searched, trained, counted and exported.

An `Architecture` is a stem, a sequence of stages and a head; a stage is a `Block` whose `repeats`
layers are alike but for the first one, which alone strides and changes the number of filters
(MnasNet, arXiv 1807.11626, Fig. 4). Nothing here builds a model, and nothing here imports JAX.

Three text forms are read and written, each an exact round trip:

- a plain dictionary (`to_dict`, `from_dict`), which is what goes into JSON;
- EfficientNet's TF block strings, ``r2_k3_s22_e6_i16_o24_se0.25``;
- timm's `arch_def`, ``[["ir_r2_k3_s2_e6_c24_se0.25"], ...]``.

TF block strings have no word for a plain convolution or for a pooling skip connection. Our own spec
files write these as the further fields ``conv`` and ``poolskip``; the exporter to TF refuses them,
because TF's own decoder silently ignores fields it does not know.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

OPS = ("mbconv", "conv")
SKIPS = ("identity", "none", "pool")
ACTIVATIONS = ("swish", "relu")


def _require_whole(owner: str, field: str, value: Any, least: int = 1) -> None:
    # bool is an int to Python, and numpy integers are not; neither belongs in a spec.
    if type(value) is not int or value < least:
        raise ValueError(
            f"{owner}: {field} = {value!r}; accepted: a whole number of at least {least}"
        )


def _require_one_of(owner: str, field: str, value: Any, accepted: Sequence[Any]) -> None:
    if value not in accepted:
        raise ValueError(f"{owner}: {field} = {value!r}; accepted: {', '.join(map(str, accepted))}")


@dataclasses.dataclass(frozen=True)
class Block:
    """One stage: `repeats` equal layers; only the first strides and changes the filters.

    op            'mbconv' (expansion, depthwise convolution, squeeze-and-excitation, linear
                  projection; MobileNetV2, arXiv 1801.04381) or 'conv' (one k×k convolution with
                  BatchNorm and activation, then squeeze-and-excitation). The separable convolution
                  of MnasNet is 'mbconv' with expand ratio 1, which has no expansion.
    kernel        side of the depthwise (or plain) convolution; odd
    stride        of the first layer; 1 or 2
    expand_ratio  expanded filters / input filters; 1 for 'conv'
    filters       output filters
    repeats       number of layers
    se_ratio      squeeze-and-excitation's reduced filters / *input* filters of the layer; 0 is none
    skip          'identity': add the input where stride is 1 and the filters stay the same;
                  'pool': where the filters stay the same, add the 3×3 average-pooled input (with
                  the layer's stride); 'none'
    """

    kernel: int
    stride: int
    filters: int
    op: str = "mbconv"
    expand_ratio: int = 1
    repeats: int = 1
    se_ratio: float = 0.0
    skip: str = "identity"

    def __post_init__(self) -> None:
        _require_one_of("block", "op", self.op, OPS)
        if type(self.kernel) is not int or self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(
                f"block: kernel = {self.kernel!r}; accepted: an odd whole number (3, 5, 7, ...)"
            )
        for field in ("stride", "filters", "expand_ratio", "repeats"):
            _require_whole("block", field, getattr(self, field))
        _require_one_of("block", "stride", self.stride, (1, 2))
        if self.op == "conv" and self.expand_ratio != 1:
            raise ValueError(
                f"block: expand_ratio = {self.expand_ratio} with op 'conv'; accepted: 1"
            )
        number = isinstance(self.se_ratio, int | float) and not isinstance(self.se_ratio, bool)
        if not number or not 0 <= self.se_ratio <= 1:
            raise ValueError(f"block: se_ratio = {self.se_ratio!r}; accepted: 0 to 1")
        object.__setattr__(self, "se_ratio", float(self.se_ratio))
        _require_one_of("block", "skip", self.skip, SKIPS)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a stage, with everything resolved: what the cost model counts and Flax builds.

    `skip` is 'none' wherever the stage's skip connection does not apply to this layer.
    """

    op: str
    in_filters: int
    filters: int
    kernel: int
    stride: int
    expand_ratio: int
    se_ratio: float
    skip: str

    @property
    def expanded_filters(self) -> int:
        return self.in_filters * self.expand_ratio

    @property
    def se_filters(self) -> int:
        """Reduced filters of squeeze-and-excitation (from the layer's input); 0 where none."""
        return max(1, int(self.in_filters * self.se_ratio)) if self.se_ratio else 0


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A whole network for RGB images.

    blocks      the stages, first to last
    resolution  side of the square input image, pixels
    stem        filters of the 3×3 stride-2 convolution before the stages
    head        filters of the 1×1 convolution after them (then pooling and the classifier)
    classes     outputs of the classifier
    activation  'swish' (EfficientNet) or 'relu' (MnasNet), everywhere in the network
    name        for people; not part of the network's identity
    """

    blocks: tuple[Block, ...]
    resolution: int = 224
    stem: int = 32
    head: int = 1280
    classes: int = 1000
    activation: str = "swish"
    name: str = "unnamed"

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not self.blocks or not all(isinstance(block, Block) for block in self.blocks):
            raise ValueError(f"architecture: blocks = {self.blocks!r}; accepted: one Block or more")
        for field in ("resolution", "stem", "head", "classes"):
            _require_whole("architecture", field, getattr(self, field))
        _require_one_of("architecture", "activation", self.activation, ACTIVATIONS)
        if not isinstance(self.name, str):
            raise ValueError(f"architecture: name = {self.name!r}; accepted: text")

    def replace(self, **changes: Any) -> "Architecture":
        return dataclasses.replace(self, **changes)

    def stages(self) -> Iterator[tuple[Layer, ...]]:
        """The layers of every stage, with input filters and skip connections resolved."""
        in_filters = self.stem
        for block in self.blocks:
            layers = []
            for index in range(block.repeats):
                stride = block.stride if index == 0 else 1
                same_filters = in_filters == block.filters
                applies = same_filters and (block.skip == "pool" or stride == 1)
                layers.append(
                    Layer(
                        op=block.op,
                        in_filters=in_filters,
                        filters=block.filters,
                        kernel=block.kernel,
                        stride=stride,
                        expand_ratio=block.expand_ratio,
                        se_ratio=block.se_ratio,
                        skip=block.skip if applies else "none",
                    )
                )
                in_filters = block.filters
            yield tuple(layers)

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
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Architecture":
        """The architecture of such a dictionary; what it leaves out has its default."""
        if not isinstance(data, Mapping):
            raise ValueError(f"architecture: {data!r}; accepted: a dictionary as of to_dict")
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(
                f"architecture: unknown key {unknown[0]!r}; accepted: {', '.join(sorted(known))}"
            )
        blocks = data.get("blocks")
        if not isinstance(blocks, Sequence) or isinstance(blocks, str) or not blocks:
            raise ValueError(f"architecture: blocks = {blocks!r}; accepted: block strings")
        rest = {key: value for key, value in data.items() if key != "blocks"}
        return from_block_strings(blocks, **rest)


# --- TF block strings ---------------------------------------------------------------------------

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
_WORDS = ("noskip", "poolskip", "conv")
_EXAMPLE = "r1_k3_s11_e1_i32_o16_se0.25"


def _float_text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def block_strings(architecture: Architecture) -> tuple[str, ...]:
    """EfficientNet's block strings, with our fields ``conv`` and ``poolskip`` where needed."""
    strings, in_filters = [], architecture.stem
    for block in architecture.blocks:
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
        if block.op == "conv":
            fields.append("conv")
        if block.skip != "identity":
            fields.append({"none": "noskip", "pool": "poolskip"}[block.skip])
        strings.append("_".join(fields))
        in_filters = block.filters
    return tuple(strings)


def tf_block_strings(architecture: Architecture) -> tuple[str, ...]:
    """Block strings that TF's own decoder understands; ValueError where it has no word."""
    for index, block in enumerate(architecture.blocks):
        if block.op == "conv" or block.skip == "pool":
            what = "op = 'conv'" if block.op == "conv" else "skip = 'pool'"
            raise ValueError(f"blocks[{index}]: {what} has no TF block string")
    return block_strings(architecture)


def _fields(
    what: str, tokens: Sequence[str], pattern: re.Pattern[str], words: Sequence[str], example: str
) -> dict[str, str]:
    """The number that follows each field's letters, as text; '' for a word. No field twice."""
    values: dict[str, str] = {}
    for token in tokens:
        match = pattern.fullmatch(token)
        if not match and token not in words:
            raise ValueError(
                f"{what}: unknown field {token!r}; "
                f"accepted: like {example}, with {', '.join(words)}"
            )
        key, value = match.groups() if match else (token, "")
        if key in values:
            raise ValueError(f"{what}: field {key!r} stands twice; accepted: once")
        values[key] = value
    return values


def _whole_numbers(what: str, values: Mapping[str, str], keys: str, example: str) -> list[int]:
    for key in keys:
        if key not in values:
            raise ValueError(f"{what}: field {key!r} is missing; accepted: like {example}")
        if not values[key].isdigit():
            raise ValueError(f"{what}: {key}{values[key]}; accepted: {key} and a whole number")
    return [int(values[key]) for key in keys]


def _parse_block_string(string: str) -> tuple[int, Block]:
    """(input filters, block) of one block string."""
    what = f"block string {string!r}"
    if not isinstance(string, str):
        raise ValueError(f"{what}; accepted: text like {_EXAMPLE}")
    values = _fields(what, string.strip().split("_"), _FIELD, _WORDS, _EXAMPLE)
    for key, meaning in _ZERO_FIELDS.items():
        if values.get(key, "0") != "0":
            raise ValueError(f"{what}: {key}{values[key]} ({meaning}); accepted: {key}0")
    repeats, kernel, strides, expand_ratio, in_filters, filters = _whole_numbers(
        what, values, "rkseio", _EXAMPLE
    )
    if strides not in (11, 22):
        raise ValueError(f"{what}: s{values['s']}; accepted: s11, s22")
    if in_filters < 1:
        raise ValueError(f"{what}: i{values['i']}; accepted: i1 or more")
    if "noskip" in values and "poolskip" in values:
        raise ValueError(f"{what}: both noskip and poolskip; accepted: one of them")
    try:
        block = Block(
            op="conv" if "conv" in values else "mbconv",
            kernel=kernel,
            stride=strides % 10,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=float(values.get("se", 0)),
            skip="none" if "noskip" in values else "pool" if "poolskip" in values else "identity",
        )
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    return in_filters, block


def from_block_strings(strings: Sequence[str], **settings: Any) -> Architecture:
    """The architecture of TF block strings; `settings` are the fields of `Architecture` beside.

    Input filters (``i``) must be what the stem or the block before gives; where no stem is given,
    the first block's are the stem.
    """
    if isinstance(strings, str):
        raise ValueError(f"block strings {strings!r}; accepted: a list of strings")
    parsed = [_parse_block_string(string) for string in strings]
    if parsed:
        settings.setdefault("stem", parsed[0][0])
    architecture = Architecture(blocks=tuple(block for _, block in parsed), **settings)
    expected = architecture.stem
    for string, (in_filters, block) in zip(strings, parsed, strict=True):
        if in_filters != expected:
            raise ValueError(
                f"block string {string!r}: i{in_filters}, but {expected} filters come in; "
                f"accepted: i{expected}"
            )
        expected = block.filters
    return architecture


# --- timm arch_def ------------------------------------------------------------------------------

_TIMM_FIELD = re.compile(rf"(se|[rksec]){_NUMBER}", re.ASCII)
_TIMM_WORDS = ("skip", "noskip")
_TIMM_EXAMPLE = "ir_r2_k3_s2_e6_c24_se0.25"


def arch_def(architecture: Architecture) -> list[list[str]]:
    """The `arch_def` of timm: strings by stage; ValueError where timm has no word.

    Stem, head, activation, resolution and classes are not part of it: timm takes them as
    `stem_size`, `num_features`, `act_layer`, the input and `num_classes`.
    """
    stages = []
    for index, block in enumerate(architecture.blocks):
        if block.skip == "pool":
            raise ValueError(f"blocks[{index}]: skip = 'pool' has no timm arch_def")
        if block.op == "conv" and block.se_ratio:
            raise ValueError(f"blocks[{index}]: op = 'conv' with se_ratio has no timm arch_def")
        shape = f"r{block.repeats}_k{block.kernel}_s{block.stride}"
        if block.op == "conv":
            # timm's conv block skips only where it is told to; its other blocks the other way.
            skip = "_skip" if block.skip == "identity" else ""
            stages.append([f"cn_{shape}_c{block.filters}{skip}"])
            continue
        kind = "ds" if block.expand_ratio == 1 else "ir"
        se = f"_se{_float_text(block.se_ratio)}" if block.se_ratio else ""
        skip = "_noskip" if block.skip == "none" else ""
        stages.append([f"{kind}_{shape}_e{block.expand_ratio}_c{block.filters}{se}{skip}"])
    return stages


def from_arch_def(stages: Sequence[Sequence[str]], **settings: Any) -> Architecture:
    """The architecture of a timm `arch_def`; `settings` are the fields of `Architecture` beside."""
    strings = [string for stage in stages for string in stage]
    return Architecture(blocks=tuple(map(_parse_timm_string, strings)), **settings)


def _parse_timm_string(string: str) -> Block:
    what = f"timm block {string!r}"
    if not isinstance(string, str):
        raise ValueError(f"{what}; accepted: text like {_TIMM_EXAMPLE}")
    kind, *tokens = string.split("_")
    if kind not in ("ds", "ir", "cn"):
        raise ValueError(f"{what}: type {kind!r}; accepted: ds, ir, cn")
    values = _fields(what, tokens, _TIMM_FIELD, _TIMM_WORDS, _TIMM_EXAMPLE)
    repeats, kernel, stride, filters = _whole_numbers(what, values, "rksc", _TIMM_EXAMPLE)
    # timm: 'ir' always has an expansion, 'ds' and 'cn' never, and 'cn' has no SE.
    expand_ratio = 1
    if kind == "ir" or "e" in values:
        (expand_ratio,) = _whole_numbers(what, values, "e", _TIMM_EXAMPLE)
    if (kind == "ir") == (expand_ratio == 1):
        accepted = "e2 or more, or type ds" if kind == "ir" else "e1, or type ir"
        raise ValueError(f"{what}: e{expand_ratio}; accepted: {accepted}")
    if kind == "cn" and "se" in values:
        raise ValueError(f"{what}: se{values['se']}; accepted: no se with type cn")
    if "skip" in values and "noskip" in values:
        raise ValueError(f"{what}: both skip and noskip; accepted: one of them")
    skips = "skip" in values if kind == "cn" else "noskip" not in values
    try:
        return Block(
            op="conv" if kind == "cn" else "mbconv",
            kernel=kernel,
            stride=stride,
            expand_ratio=expand_ratio,
            filters=filters,
            repeats=repeats,
            se_ratio=float(values.get("se", 0)),
            skip="identity" if skips else "none",
        )
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
