"""One stage of an architecture, and one layer of a stage, as plain data."""

import dataclasses

from mnas.errors import UsageError, is_number, require_odd, require_one_of, require_whole

OPS = ("mbconv", "conv", "separable", "basic", "bottleneck")
SKIPS = ("identity", "none", "pool", "projection")


@dataclasses.dataclass(frozen=True)
class Block:
    """One stage: `repeats` equal layers; only the first strides and changes the filters.

    op            'mbconv' (expansion, depthwise convolution, squeeze-and-excitation, linear
                  projection; MobileNetV2, arXiv 1801.04381); 'conv' (one k×k convolution with
                  BatchNorm and activation, then squeeze-and-excitation); 'separable' (depthwise
                  convolution, squeeze-and-excitation, 1×1 convolution, an activation behind either
                  convolution; MobileNetV1, arXiv 1704.04861); 'basic' (two k×k convolutions) and
                  'bottleneck' (1×1, k×k, 1×1), whose last activation comes after the skip
                  connection (ResNet, arXiv 1512.03385). The separable convolution of MnasNet is
                  'mbconv' with expand ratio 1, which has no expansion and is linear at its end
    kernel        side of the depthwise (or plain) convolution; odd
    stride        of the first layer; 1 or 2
    expand_ratio  'mbconv': expanded filters / input filters; 'bottleneck': output filters /
                  filters of the k×k convolution, 4 in ResNet; 1 for the others
    filters       output filters
    repeats       number of layers
    se_ratio      squeeze-and-excitation's reduced filters / *input* filters of the layer; 0 is
                  none, and all there is for 'basic' and 'bottleneck'
    skip          'identity': add the input where stride is 1 and the filters stay the same;
                  'pool': where the filters stay the same, add the 3×3 average-pooled input (with
                  the layer's stride); 'projection': add the input where it has the output's shape,
                  elsewhere a 1×1 convolution of it (with the layer's stride) and BatchNorm, as
                  ResNet does; 'none'
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
        for field in ("stride", "filters", "expand_ratio", "repeats"):
            require_whole("block", field, getattr(self, field))
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
        if not is_number(self.se_ratio) or not 0 <= self.se_ratio <= 1:
            raise UsageError(f"block: se_ratio = {self.se_ratio!r}; accepted: 0 to 1")
        if self.op in ("basic", "bottleneck") and self.se_ratio:
            raise UsageError(f"block: se_ratio = {self.se_ratio} with op {self.op!r}; accepted: 0")
        object.__setattr__(self, "se_ratio", float(self.se_ratio))
        require_one_of("block", "skip", self.skip, SKIPS)

    def layers(self, in_filters: int) -> tuple["Layer", ...]:
        """The stage's layers where `in_filters` come in, their skip connections resolved."""
        return tuple(
            self._layer(in_filters, self.stride) if index == 0 else self._layer(self.filters, 1)
            for index in range(self.repeats)
        )

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


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of a stage, with everything resolved: what the cost model counts and Flax builds.

    `skip` is 'none' wherever the stage's skip connection does not apply to this layer, and
    'projection' only where the input is not of the output's shape.
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
        """Filters of the depthwise convolution, where there is one."""
        return self.in_filters * self.expand_ratio

    @property
    def bottleneck_filters(self) -> int:
        """Filters of the k×k convolution of a bottleneck."""
        return self.filters // self.expand_ratio

    @property
    def se_filters(self) -> int:
        """Reduced filters of squeeze-and-excitation (from the layer's input); 0 where none."""
        return max(1, int(self.in_filters * self.se_ratio)) if self.se_ratio else 0
