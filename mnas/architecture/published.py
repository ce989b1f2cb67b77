"""Published networks as plain data.

Sources: EfficientNet, arXiv 1905.11946, Table 1 and the block strings of the authors' TPU code;
MnasNet, arXiv 1807.11626, Fig. 7 and the authors' TPU code; MobileNetV1, arXiv 1704.04861, Table 1;
MobileNetV2, arXiv 1801.04381, Table 2; ResNet, arXiv 1512.03385, Table 1.

Networks that come from TensorFlow use SAME padding and a BatchNorm epsilon of 1e-3; both MobileNets
use ReLU6, as their authors' code does. timm's versions of them (`TIMM`), except those named `tf_`,
have the same parameters but symmetric padding and an epsilon of 1e-5. The ResNets are those of
torchvision and timm: symmetric padding, epsilon 1e-5, and the stride in the 3×3 convolution of a
bottleneck (version 1.5), where the paper has it in the 1×1 convolution before.
"""

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.scaling import VARIANTS, Fixed, multiply, scale_published
from mnas.architecture.text_forms import from_block_strings


def _efficientnet_b0() -> Architecture:
    return from_block_strings(
        (
            "r1_k3_s11_e1_i32_o16_se0.25",
            "r2_k3_s22_e6_i16_o24_se0.25",
            "r2_k5_s22_e6_i24_o40_se0.25",
            "r3_k3_s22_e6_i40_o80_se0.25",
            "r3_k5_s11_e6_i80_o112_se0.25",
            "r4_k5_s22_e6_i112_o192_se0.25",
            "r1_k3_s11_e6_i192_o320_se0.25",
        ),
        name="efficientnet-b0",
    )


def _mnasnet_a1() -> Architecture:
    return from_block_strings(
        (
            "r1_k3_s11_e1_i32_o16_noskip",
            "r2_k3_s22_e6_i16_o24",
            "r3_k5_s22_e3_i24_o40_se0.25",
            "r4_k3_s22_e6_i40_o80",
            "r2_k3_s11_e6_i80_o112_se0.25",
            "r3_k5_s22_e6_i112_o160_se0.25",
            "r1_k3_s11_e6_i160_o320",
        ),
        activation="relu",
        name="mnasnet-a1",
    )


def _mnasnet_b1() -> Architecture:
    return from_block_strings(
        (
            "r1_k3_s11_e1_i32_o16_noskip",
            "r3_k3_s22_e3_i16_o24",
            "r3_k5_s22_e3_i24_o40",
            "r3_k5_s22_e6_i40_o80",
            "r2_k3_s11_e6_i80_o96",
            "r4_k5_s22_e6_i96_o192",
            "r1_k3_s11_e6_i192_o320_noskip",
        ),
        activation="relu",
        name="mnasnet-b1",
    )


def _mobilenet_v1() -> Architecture:
    return from_block_strings(
        (
            "r1_k3_s11_e1_i32_o64_separable_noskip",
            "r2_k3_s22_e1_i64_o128_separable_noskip",
            "r2_k3_s22_e1_i128_o256_separable_noskip",
            "r6_k3_s22_e1_i256_o512_separable_noskip",
            "r2_k3_s22_e1_i512_o1024_separable_noskip",
        ),
        head=0,
        activation="relu6",
        name="mobilenet-v1",
    )


def _mobilenet_v2() -> Architecture:
    return from_block_strings(
        (
            "r1_k3_s11_e1_i32_o16",
            "r2_k3_s22_e6_i16_o24",
            "r3_k3_s22_e6_i24_o32",
            "r4_k3_s22_e6_i32_o64",
            "r3_k3_s11_e6_i64_o96",
            "r3_k3_s22_e6_i96_o160",
            "r1_k3_s11_e6_i160_o320",
        ),
        activation="relu6",
        name="mobilenet-v2",
    )


def _resnet(depth: int, op: str, repeats: tuple[int, int, int, int]) -> Architecture:
    expand_ratio = 4 if op == "bottleneck" else 1
    stages = zip((1, 2, 2, 2), (64, 128, 256, 512), repeats, strict=True)
    return Architecture(
        blocks=tuple(
            Block(
                op=op,
                kernel=3,
                stride=stride,
                filters=filters * expand_ratio,
                expand_ratio=expand_ratio,
                repeats=layers,
                skip="projection",
            )
            for stride, filters, layers in stages
        ),
        stem=64,
        stem_kernel=7,
        stem_pool=True,
        head=0,
        activation="relu",
        padding="symmetric",
        bn_epsilon=1e-5,
        name=f"resnet-{depth}",
    )


PUBLISHED: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        *(scale_published(_efficientnet_b0(), variant) for variant in VARIANTS),
        _mnasnet_a1(),
        _mnasnet_b1(),
        _mobilenet_v1(),
        _mobilenet_v2(),
        _resnet(18, "basic", (2, 2, 2, 2)),
        _resnet(34, "basic", (3, 4, 6, 3)),
        _resnet(50, "bottleneck", (3, 4, 6, 3)),
        _resnet(101, "bottleneck", (3, 4, 23, 3)),
        _resnet(152, "bottleneck", (3, 8, 36, 3)),
    )
}


# timm's `_gen_mobilenet_v2`: width, depth, what keeps its size.
_MOBILENETS: dict[str, tuple[float, float, Fixed]] = {
    "mobilenetv2_035": (0.35, 1.0, "head"),
    "mobilenetv2_050": (0.5, 1.0, "head"),
    "mobilenetv2_075": (0.75, 1.0, "head"),
    "mobilenetv2_100": (1.0, 1.0, "head"),
    "mobilenetv2_110d": (1.1, 1.2, "head-stem"),
    "mobilenetv2_120d": (1.2, 1.4, "head-stem"),
    "mobilenetv2_140": (1.4, 1.0, "head"),
}


def _timm() -> dict[str, Architecture]:
    pytorch = {"padding": "symmetric", "bn_epsilon": 1e-5}
    sources = {
        **{f"tf_efficientnet_{b}": (f"efficientnet-{b}", {}) for b in VARIANTS},
        "efficientnet_b0": ("efficientnet-b0", pytorch),
        "mnasnet_100": ("mnasnet-b1", pytorch),
        "semnasnet_100": ("mnasnet-a1", pytorch),
        **{f"resnet{depth}": (f"resnet-{depth}", {}) for depth in (18, 34, 50, 101, 152)},
    }
    networks = {
        name: PUBLISHED[source].replace(name=name, **changes)
        for name, (source, changes) in sources.items()
    }
    for name, (width, depth, fixed) in _MOBILENETS.items():
        scaled = multiply(PUBLISHED["mobilenet-v2"], depth, width, fixed=fixed)
        networks[name] = scaled.replace(name=name, **pytorch)
    return networks


TIMM: dict[str, Architecture] = _timm()
"""Networks by timm's names, exactly as timm's weights need them (`mnas.nn.weights`)."""
