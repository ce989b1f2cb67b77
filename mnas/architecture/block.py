"""One stage of a network (`Block`) and one layer of a stage (`Layer`)."""

import dataclasses
import functools

from mnas.errors import (
    UsageError,
    require_between,
    require_odd,
    require_one_of,
    require_whole,
)

OPS = ("mbconv", "conv", "separable", "basic", "bottleneck", "identity")
SKIPS = ("identity", "none", "pool", "projection")

# Limits of what is described at all: larger counts are mistakes, and would fill the memory.
LARGEST = 10_000_000  # filters, pixels, classes
MOST_LAYERS = 10_000

# Stages whose layers, costs and JSON are kept, by stage and input. Networks of a search space are
# composed of a few hundred different ones.
KEPT_STAGES = 4096


@dataclasses.dataclass(frozen=True)
class Block:
    """One stage: `repeats` equal layers, of which only the first strides and changes the filters.

    The block of MnasNet's factorized hierarchical space (arXiv 1807.11626, Fig. 4).

    kernel        kernel size of the depthwise (or plain) convolution; odd
    stride        stride of the first layer; 1 or 2
    filters       output filters
    op            'mbconv': expansion, depthwise convolution, squeeze-and-excitation, linear
                  projection (MobileNetV2, arXiv 1801.04381). With expand_ratio 1 there is no
                  expansion: the separable convolution of MnasNet.
                  'conv': one k×k convolution with BatchNorm and activation, then
                  squeeze-and-excitation.
                  'separable': depthwise convolution, squeeze-and-excitation, 1×1 convolution, with
                  an activation after either convolution (MobileNetV1, arXiv 1704.04861).
                  'basic' (two k×k convolutions) and 'bottleneck' (1×1, k×k, 1×1): the last
                  activation follows the skip connection (ResNet, arXiv 1512.03385).
                  'identity': no layer where the input has the output's shape; otherwise one 1×1
                  convolution with BatchNorm, without activation (NAS-Bench-Macro, arXiv 2103.11922)
    expand_ratio  'mbconv': expanded filters / input filters; 'bottleneck': output filters /
                  filters of the k×k convolution (4 in ResNet); 1 for the other ops
    repeats       number of layers
    se_ratio      reduced filters of squeeze-and-excitation / *input* filters of the layer, 0 to 1;
                  0 leaves it out; always 0 for 'basic', 'bottleneck' and 'identity'
    skip          'identity': add the input where stride is 1 and the filters don't change.
                  'pool': add the 3×3 average-pooled input (with the layer's stride) where the
                  filters don't change.
                  'projection': add the input where it has the output's shape, otherwise a 1×1
                  convolution of it (with the layer's stride) and BatchNorm, as in ResNet.
                  'none'.
                  'identity' for the op 'identity', whose kernel is 1

    Raises UsageError for a field outside these values.
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
        require_one_of("block", "op", self.op, OPS)
        require_odd("block", "kernel", self.kernel)
        for field in ("kernel", "stride", "filters", "expand_ratio"):
            require_whole("block", field, getattr(self, field), most=LARGEST)
        require_whole("block", "repeats", self.repeats, most=MOST_LAYERS)
        require_one_of("block", "stride", self.stride, (1, 2))
        if self.op not in ("mbconv", "bottleneck") and self.expand_ratio != 1:
            raise UsageError(
                f"block: expand_ratio = {self.expand_ratio} with op {self.op!r}; accepted: 1"
            )
        if self.op == "bottleneck" and self.filters % self.expand_ratio:
            raise UsageError(
                f"block: expand_ratio = {self.expand_ratio} with op 'bottleneck'; "
                f"accepted: a divisor of its {self.filters} filters"
            )
        require_between("block", "se_ratio", self.se_ratio, 0, 1)
        if self.op in ("basic", "bottleneck", "identity") and self.se_ratio:
            raise UsageError(f"block: se_ratio = {self.se_ratio} with op {self.op!r}; accepted: 0")
        object.__setattr__(self, "se_ratio", float(self.se_ratio))
        require_one_of("block", "skip", self.skip, SKIPS)
        if self.op == "identity":
            for field, accepted in (("kernel", 1), ("skip", "identity")):
                if getattr(self, field) != accepted:
                    raise UsageError(
                        f"block: {field} = {getattr(self, field)!r} with op 'identity'; "
                        f"accepted: {accepted!r}"
                    )

    def layers(self, in_filters: int) -> tuple["Layer", ...]:
        """Return the stage's layers for `in_filters` input filters, skip connections resolved.

        There are none where the op is 'identity' and the shape does not change.
        """
        return _stage_layers(self, in_filters)

    def _layer(self, in_filters: int, stride: int) -> "Layer":
        same_filters = in_filters == self.filters
        same_shape = same_filters and stride == 1
        skip = {
            "identity": "identity" if same_shape else "none",
            "pool": "pool" if same_filters else "none",
            "projection": "identity" if same_shape else "projection",
            "none": "none",
        }[self.skip]
        return Layer(
            op=self.op,
            in_filters=in_filters,
            filters=self.filters,
            kernel=self.kernel,
            stride=stride,
            expand_ratio=self.expand_ratio,
            se_ratio=self.se_ratio,
            skip=skip,
        )


@functools.lru_cache(KEPT_STAGES)
def _stage_layers(block: Block, in_filters: int) -> tuple["Layer", ...]:
    """Return `Block.layers`."""
    first = block._layer(in_filters, block.stride)
    if block.op == "identity":
        return (first,) if first.skip == "none" else ()
    return (first, *(block._layer(block.filters, 1) for _ in range(block.repeats - 1)))


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a stage, fully resolved: the unit that is counted, built and compiled.

    `skip` is 'none' wherever the stage's skip connection does not apply to this layer, and
    'projection' only where input and output differ in shape.
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
        """Filters of the depthwise convolution of 'mbconv' and 'separable'."""
        return self.in_filters * self.expand_ratio

    @property
    def bottleneck_filters(self) -> int:
        """Filters of the k×k convolution of 'bottleneck'."""
        return self.filters // self.expand_ratio

    @property
    def se_filters(self) -> int:
        """Reduced filters of squeeze-and-excitation: max(1, ⌊input filters · ratio⌋); 0 if none."""
        return max(1, int(self.in_filters * self.se_ratio)) if self.se_ratio else 0
