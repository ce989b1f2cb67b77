"""Published networks as plain data.

Sources: EfficientNet, arXiv 1905.11946, Table 1 and the block strings of the authors' TPU code;
MnasNet, arXiv 1807.11626, Fig. 7 and the authors' TPU code.
"""

from mnas.architecture import Architecture, from_block_strings
from mnas.scaling import COEFFICIENTS, scale_published


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


PUBLISHED: dict[str, Architecture] = {
    **{f"efficientnet-{b}": scale_published(_efficientnet_b0(), b) for b in COEFFICIENTS},
    "mnasnet-a1": _mnasnet_a1(),
    "mnasnet-b1": _mnasnet_b1(),
}
