"""Scaling a network: compound scaling, one dimension alone, and the published B1 to B7.

Source: EfficientNet, arXiv 1905.11946, section 3, and the authors' TPU code. Spec in, spec out:
everything here takes an `Architecture` and gives another; stem and head are scaled too.

**The published B1 to B7 do not follow the formula.** The paper's grid search at φ = 1 gives
α = 1.2, β = 1.1, γ = 1.15, and one expects B1 to have depth 1.2, width 1.1 and 258 pixels. The
published B1 has 1.1, 1.0 and 240: it is φ = 0.5, B2 is φ = 1 and B3 is φ = 2, each rounded by
hand. From B4 on, no single φ gives the published multipliers: B4's depth 1.8, width 1.4 and 380
pixels are φ = 3.2, 3.5 and 3.8, B7's 3.1, 2.0 and 600 are φ = 6.2, 7.3 and 7.0 (`implied_phi`).
So both are here: `scale` is the formula, `scale_published` the published table;
`mnas scale SPEC --family` shows them side by side.
"""

import dataclasses
import math
from typing import Literal, NamedTuple, get_args

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.cost import network_cost
from mnas.errors import UsageError

DIVISOR = 8  # filters are multiples of it; EfficientNet's depth_divisor
STEPS = 200  # of φ to a doubling, where a target is to be met
LARGEST = 64  # a multiplier above it is a slip: pixels, perhaps, where a factor is meant


class Coefficients(NamedTuple):
    """What depth, width and resolution are multiplied by for each unit of φ."""

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    @property
    def product(self) -> float:
        """α·β²·γ²: by how much mult-adds grow with each unit of φ, but for rounding (Eq. 3)."""
        return self.alpha * self.beta**2 * self.gamma**2


class Published(NamedTuple):
    """A published model: multipliers of B0, pixels a side, dropout before the classifier."""

    width: float
    depth: float
    resolution: int
    dropout: float


PAPER = Coefficients()  # of the paper's grid search from B0

# The authors' code, efficientnet_builder.py. B0 is the first line.
COEFFICIENTS: dict[str, Published] = {
    "b0": Published(1.0, 1.0, 224, 0.2),
    "b1": Published(1.0, 1.1, 240, 0.2),
    "b2": Published(1.1, 1.2, 260, 0.3),
    "b3": Published(1.2, 1.4, 300, 0.3),
    "b4": Published(1.4, 1.8, 380, 0.4),
    "b5": Published(1.6, 2.2, 456, 0.4),
    "b6": Published(1.8, 2.6, 528, 0.5),
    "b7": Published(2.0, 3.1, 600, 0.5),
}

Dimension = Literal["depth", "width", "resolution", "compound"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


# --- multipliers --------------------------------------------------------------------------------


def round_filters(filters: int, width: float, divisor: int = DIVISOR) -> int:
    """Filters · width to the nearest multiple of `divisor`, but never more than 10% below.

    In floating point and order of operations as in the authors' code and in timm.
    """
    wanted = filters * width
    # n = max(8, ⌊f·w + 4⌋ // 8 · 8), and one step more where that is less than 0.9·f·w
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded


def round_repeats(repeats: int, depth: float) -> int:
    """⌈depth · repeats⌉, in floating point as in the authors' code: 2.2 · 25 layers are 56."""
    return math.ceil(depth * repeats)


def multiply(
    architecture: Architecture,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    divisor: int = DIVISOR,
) -> Architecture:
    """The network with its layers, filters and pixels multiplied, each rounded by its own rule.

    A multiplier of 1 changes nothing, also where filters are no multiple of 8. Multipliers below 1
    make a smaller network. Pixels go to the nearest whole number. `divisor` is for networks so
    small that steps of 8 filters are coarse.
    """
    given = {"depth": depth, "width": width, "resolution": resolution}
    for name, value in given.items():
        if not 0 < value <= LARGEST:
            raise UsageError(
                f"scaling: {name} = {value:g}; accepted: a factor above 0, of at most {LARGEST}"
            )

    if divisor < 1:
        raise UsageError(f"scaling: divisor = {divisor}; accepted: at least 1")

    def filters(count: int) -> int:
        return count if width == 1 or not count else round_filters(count, width, divisor)

    def scaled(block: Block) -> Block:
        repeats = round_repeats(block.repeats, depth)
        return dataclasses.replace(block, filters=filters(block.filters), repeats=repeats)

    return architecture.replace(
        blocks=tuple(map(scaled, architecture.blocks)),
        stem=filters(architecture.stem),
        head=filters(architecture.head),
        resolution=max(1, round(architecture.resolution * resolution)),
    )


# --- the formula and the published table --------------------------------------------------------


def multipliers(
    phi: float,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
) -> dict[str, float]:
    """{depth, width, resolution} of compound scaling by φ."""
    if not (math.isfinite(phi) and phi >= 0):
        raise UsageError(f"scaling: phi = {phi}; accepted: a number of at least 0")
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        if not (math.isfinite(value) and value >= 1):
            raise UsageError(f"scaling: {name} = {value}; accepted: a number of at least 1")
    try:
        # d = α^φ, w = β^φ, r = γ^φ  (Eq. 3)
        return {"depth": alpha**phi, "width": beta**phi, "resolution": gamma**phi}
    except OverflowError:
        raise UsageError(f"scaling: phi = {phi}; accepted: factors of at most {LARGEST}") from None


def scale(
    architecture: Architecture,
    phi: float,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
    divisor: int = DIVISOR,
) -> Architecture:
    """Compound scaling (arXiv 1905.11946, Eq. 3): depth α^φ, width β^φ, resolution γ^φ.

    >>> scale(PUBLISHED["efficientnet-b0"], 1).resolution
    258
    """
    scaled = multiply(architecture, **multipliers(phi, alpha, beta, gamma), divisor=divisor)
    return scaled.replace(name=f"{architecture.name}-phi{phi:g}")


def published(variant: str) -> Published:
    """The line of the published table; ValueError for a name that isn't in it."""
    if variant.lower() not in COEFFICIENTS:
        raise UsageError(f"published = {variant!r}; accepted: {', '.join(COEFFICIENTS)}")
    return COEFFICIENTS[variant.lower()]


def published_multipliers(variant: str) -> dict[str, float]:
    """{depth, width, resolution} of a published model, relative to B0."""
    line = published(variant)
    resolution = line.resolution / COEFFICIENTS["b0"].resolution
    return {"depth": line.depth, "width": line.width, "resolution": resolution}


def scale_published(
    architecture: Architecture, variant: str, divisor: int = DIVISOR
) -> Architecture:
    """What made B0 the published `variant`, "b0" to "b7", done to any network.

    A network at B0's 224 pixels comes to the published resolution; another in proportion.
    """
    scaled = multiply(architecture, **published_multipliers(variant), divisor=divisor)
    return scaled.replace(name=f"{architecture.name.removesuffix('-b0')}-{variant.lower()}")


def implied_phi(variant: str) -> dict[str, float]:
    """The φ that would give each published multiplier; all equal, had the formula been followed."""
    found, bases = published_multipliers(variant), multipliers(1)
    return {name: math.log(found[name]) / math.log(bases[name]) for name in found}


# --- to a given cost: one dimension alone, or all three ------------------------------------------


def along(dimension: Dimension, phi: float, coefficients: Coefficients = PAPER) -> dict[str, float]:
    """Multipliers that take mult-adds to about 2^φ times: one dimension alone, or compound.

    Mult-adds grow with depth, with the square of width and with the square of resolution.
    """
    if dimension == "compound":
        return multipliers(phi, *coefficients)
    if dimension not in DIMENSIONS:
        raise UsageError(f"scaling: dimension = {dimension!r}; accepted: {', '.join(DIMENSIONS)}")
    alone = {"depth": 1.0, "width": 1.0, "resolution": 1.0}
    return {**alone, dimension: 2**phi if dimension == "depth" else 2 ** (phi / 2)}


def scale_to(
    architecture: Architecture,
    dimension: Dimension,
    target_madds: float,
    coefficients: Coefficients = PAPER,
    divisor: int = DIVISOR,
) -> Architecture:
    """The network scaled along `dimension` whose mult-adds come nearest to a target.

    What makes scalings comparable: by the formula alone, rounding (above all of layers) would give
    one of them half as many mult-adds again as another. Never smaller than the network itself.
    """
    if not any(value > 1 for value in along(dimension, 1, coefficients).values()):
        raise UsageError(f"scaling: {coefficients} changes nothing; accepted: one of them above 1")

    def scaled(steps: int) -> Architecture:
        return multiply(
            architecture, **along(dimension, steps / STEPS, coefficients), divisor=divisor
        )

    def madds(steps: int) -> int:
        return network_cost(scaled(steps)).mult_adds

    low, high = 0, 1
    try:
        while madds(high) < target_madds:
            low, high = high, 2 * high
    except ValueError:
        raise UsageError(
            f"scaling: {dimension} to {target_madds:,.0f} mult-adds; accepted: less, as no factor "
            f"goes beyond {LARGEST}"
        ) from None
    while high - low > 1:  # mult-adds never fall with φ
        middle = (low + high) // 2
        low, high = (middle, high) if madds(middle) < target_madds else (low, middle)
    nearest = min((low, high), key=lambda steps: abs(madds(steps) - target_madds))
    return scaled(nearest)
