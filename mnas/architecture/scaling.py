"""Scaling of networks: compound scaling, one dimension alone, and the published B1 to B7.

Source: EfficientNet, arXiv 1905.11946, section 3, and the authors' TPU code. Functions take an
`Architecture` and return another one; stem and head are scaled too, unless `fixed` says otherwise.

**The published B1 to B7 do not follow the formula.** The paper's grid search at φ = 1 gives
α = 1.2, β = 1.1, γ = 1.15, so B1 would have depth 1.2, width 1.1 and 258 pixels. The published B1
has 1.1, 1.0 and 240: it corresponds to φ = 0.5, B2 to φ = 1 and B3 to φ = 2, each rounded by hand.
From B4 on, no single φ gives the published multipliers: B4's depth 1.8, width 1.4 and 380 pixels
correspond to φ = 3.2, 3.5 and 3.8, B7's 3.1, 2.0 and 600 to φ = 6.2, 7.3 and 7.0 (`implied_phi`).
So `scale` is the formula and `scale_published` the published table; `mnas scale SPEC --family`
shows them side by side.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.errors import (
    UsageError,
    rejected,
    require_at_least,
    require_one_of,
    require_whole,
    shown,
)

DIVISOR = 8  # filters are multiples of it; EfficientNet's depth_divisor
STEPS = 200  # steps of φ in [0, 1] when a target is approached
LARGEST = 64  # a larger multiplier is a mistake, for instance pixels in place of a factor


class Coefficients(NamedTuple):
    """Multipliers of depth (α), width (β) and resolution (γ) for each unit of φ."""

    alpha: float = 1.2
    beta: float = 1.1
    gamma: float = 1.15

    @property
    def product(self) -> float:
        """α·β²·γ²: growth of mult-adds for each unit of φ, apart from rounding (Eq. 3)."""
        return self.alpha * self.beta**2 * self.gamma**2


class Variant(NamedTuple):
    """A published model: multipliers of B0, pixels, dropout rate before the classifier."""

    width: float
    depth: float
    resolution: int
    dropout: float


PAPER = Coefficients()  # found by the paper's grid search from B0

# The authors' code, efficientnet_builder.py. B0 is the first line.
VARIANTS: dict[str, Variant] = {
    "b0": Variant(1.0, 1.0, 224, 0.2),
    "b1": Variant(1.0, 1.1, 240, 0.2),
    "b2": Variant(1.1, 1.2, 260, 0.3),
    "b3": Variant(1.2, 1.4, 300, 0.3),
    "b4": Variant(1.4, 1.8, 380, 0.4),
    "b5": Variant(1.6, 2.2, 456, 0.4),
    "b6": Variant(1.8, 2.6, 528, 0.5),
    "b7": Variant(2.0, 3.1, 600, 0.5),
}

Fixed = Literal["none", "head", "head-stem"]
FIXED: tuple[Fixed, ...] = get_args(Fixed)
Dimension = Literal["depth", "width", "resolution", "compound"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


# --- multipliers --------------------------------------------------------------------------------


def round_filters(filters: int, width: float, divisor: int = DIVISOR) -> int:
    """Return filters · width rounded to a multiple of `divisor`, at most 10% below.

    The floating-point operations and their order are those of the authors' code and timm.
    """
    exact = filters * width
    # n = max(8, ⌊f·w + 4⌋ // 8 · 8), and one step more where that is less than 0.9·f·w
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded


def round_repeats(repeats: int, depth: float) -> int:
    """Return ⌈depth · repeats⌉ in floating point, as the authors' code: 2.2 · 25 layers are 56."""
    return math.ceil(depth * repeats)


def _scaled_repeats(repeats: Sequence[int], depth: float) -> list[int]:
    """Return scaled repeats of the blocks of one of timm's stages, from the last block on.

    For a stage of one block, this is `round_repeats`.
    """
    total, left = sum(repeats), round_repeats(sum(repeats), depth)
    scaled: list[int] = []
    for count in reversed(repeats):
        scaled.append(max(1, round(count / total * left)))
        total, left = total - count, left - scaled[-1]
    return scaled[::-1]


def multiply(
    architecture: Architecture,
    depth: float = 1.0,
    width: float = 1.0,
    resolution: float = 1.0,
    divisor: int = DIVISOR,
    fixed: Fixed = "none",
) -> Architecture:
    """Return the network with layers, filters and pixels multiplied, each by its rounding rule.

    fixed  what keeps its size: 'none' as in EfficientNet; 'head', the head, which only a width
           above 1 changes, as in MobileNetV2 (arXiv 1801.04381, section 5); 'head-stem', stem, head
           and the layers of the first and the last stage, as in EfficientNet-Lite (`fix_head_stem`
           of the authors' code; `fix_stem` and `fix_first_last` in timm)

    A multiplier of 1 changes nothing, even filters that are no multiple of `divisor`. Multipliers
    below 1 give a smaller network. Pixels are rounded to the nearest whole number. A `divisor`
    below 8 suits networks of few filters. Raises UsageError for a multiplier of 0 or less, or above
    64.
    """
    for name, factor in (("depth", depth), ("width", width), ("resolution", resolution)):
        if not 0 < factor <= LARGEST:
            raise UsageError(
                f"scaling: {name} = {factor:g}; accepted: a factor above 0, of at most {LARGEST}"
            )
    require_whole("scaling", "divisor", divisor)
    require_one_of("scaling", "fixed", fixed, FIXED)

    def filters(count: int) -> int:
        return count if width == 1 or not count else round_filters(count, width, divisor)

    groups = list(architecture.timm_groups())
    repeats: list[int] = []
    for index, group in enumerate(groups):
        counts = [block.repeats for block in group]
        is_end = index in (0, len(groups) - 1)
        repeats += counts if fixed == "head-stem" and is_end else _scaled_repeats(counts, depth)
    stem, head = filters(architecture.stem), filters(architecture.head)
    if fixed == "head":
        head = max(head, architecture.head)
    elif fixed == "head-stem":
        stem, head = architecture.stem, architecture.head
    return architecture.replace(
        blocks=tuple(
            dataclasses.replace(block, filters=filters(block.filters), repeats=count)
            for block, count in zip(architecture.blocks, repeats, strict=True)
        ),
        stem=stem,
        head=head,
        resolution=max(1, round(architecture.resolution * resolution)),
    )


# --- the formula and the published table --------------------------------------------------------


def multipliers(
    phi: float,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
) -> dict[str, float]:
    """Return {"depth", "width", "resolution"} of compound scaling by φ.

    Raises UsageError for φ below 0, and for a coefficient below 1.
    """
    require_at_least("scaling", "phi", phi, 0)
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        require_at_least("scaling", name, value, 1)
    try:
        # d = α^φ, w = β^φ, r = γ^φ  (Eq. 3)
        return {"depth": alpha**phi, "width": beta**phi, "resolution": gamma**phi}
    except OverflowError:
        raise rejected("scaling", "phi", phi, f"factors of at most {LARGEST}") from None


def scale(
    architecture: Architecture,
    phi: float,
    alpha: float = PAPER.alpha,
    beta: float = PAPER.beta,
    gamma: float = PAPER.gamma,
    divisor: int = DIVISOR,
    fixed: Fixed = "none",
) -> Architecture:
    """Return the network after compound scaling: depth α^φ, width β^φ, resolution γ^φ (Eq. 3).

    >>> scale(PUBLISHED["efficientnet-b0"], 1).resolution
    258
    """
    factors = multipliers(phi, alpha, beta, gamma)
    scaled = multiply(architecture, **factors, divisor=divisor, fixed=fixed)
    return scaled.replace(name=f"{architecture.name}-phi{phi:g}")


def find_variant(name: str) -> Variant:
    """Return the line of the published table for "b0" to "b7"; UsageError for another name."""
    if name.lower() not in VARIANTS:
        raise UsageError(f"published = {shown(name)}; accepted: {', '.join(VARIANTS)}")
    return VARIANTS[name.lower()]


def published_multipliers(variant: str) -> dict[str, float]:
    """Return {"depth", "width", "resolution"} of a published model, relative to B0."""
    model = find_variant(variant)
    resolution = model.resolution / VARIANTS["b0"].resolution
    return {"depth": model.depth, "width": model.width, "resolution": resolution}


def scale_published(
    architecture: Architecture, variant: str, divisor: int = DIVISOR, fixed: Fixed = "none"
) -> Architecture:
    """Return the network scaled by the multipliers that turn B0 into `variant`, "b0" to "b7".

    A network of 224 pixels, as B0, gets the published resolution; others in proportion.
    """
    factors = published_multipliers(variant)
    scaled = multiply(architecture, **factors, divisor=divisor, fixed=fixed)
    return scaled.replace(name=f"{architecture.name.removesuffix('-b0')}-{variant.lower()}")


def implied_phi(variant: str) -> dict[str, float]:
    """Return the φ that gives each published multiplier; the formula would make all equal."""
    published, bases = published_multipliers(variant), multipliers(1)
    return {name: math.log(published[name]) / math.log(bases[name]) for name in published}


# --- scaling to a target cost ---------------------------------------------------------------------


def dimension_multipliers(
    dimension: Dimension, phi: float, coefficients: Coefficients = PAPER
) -> dict[str, float]:
    """Return multipliers that scale mult-adds by about 2^φ: along one dimension, or compound.

    Mult-adds grow linearly with depth and with the squares of width and of resolution.
    """
    require_one_of("scaling", "dimension", dimension, DIMENSIONS)
    if dimension == "compound":
        return multipliers(phi, *coefficients)
    unscaled = {"depth": 1.0, "width": 1.0, "resolution": 1.0}
    return {**unscaled, dimension: 2**phi if dimension == "depth" else 2 ** (phi / 2)}


def scale_to(
    architecture: Architecture,
    dimension: Dimension,
    target_madds: float,
    coefficients: Coefficients = PAPER,
    divisor: int = DIVISOR,
) -> Architecture:
    """Return the network scaled along `dimension` whose mult-adds are nearest to a target.

    Scalings are compared at equal cost this way: at equal φ, rounding (mostly of layers) makes one
    of them half as expensive again as another. The result is never smaller than the network itself.
    Raises UsageError for a target out of reach, and for coefficients that are all 1.
    """
    if all(factor == 1 for factor in dimension_multipliers(dimension, 1, coefficients).values()):
        raise UsageError(f"scaling: {coefficients} changes nothing; accepted: one of them above 1")

    def scaled(steps: int) -> Architecture:
        factors = dimension_multipliers(dimension, steps / STEPS, coefficients)
        return multiply(architecture, **factors, divisor=divisor, fixed="none")

    def madds(steps: int) -> int:
        return network_cost(scaled(steps)).mult_adds

    low, high = 0, 1
    try:
        while madds(high) < target_madds:
            low, high = high, 2 * high
    except UsageError:
        raise UsageError(
            f"scaling: {dimension} to {target_madds:,.0f} mult-adds; accepted: fewer, as factors "
            f"are at most {LARGEST}"
        ) from None
    while high - low > 1:  # mult-adds never fall with φ
        middle = (low + high) // 2
        low, high = (middle, high) if madds(middle) < target_madds else (low, middle)
    nearest = min((low, high), key=lambda steps: abs(madds(steps) - target_madds))
    return scaled(nearest)


def scale_width_to(
    architecture: Architecture, target_madds: float, divisor: int = DIVISOR
) -> Architecture:
    """Return the network with the width whose mult-adds are nearest to a target, up or down.

    Layers and resolution stay, so that networks are comparable on the same images. Widths are
    multiples of 0.01, of which filters are rounded. Raises UsageError for a target out of reach.
    """
    low, high = 1, 100 * LARGEST  # in steps of 0.01

    def scaled(steps: int) -> Architecture:
        return multiply(architecture, width=steps / 100, divisor=divisor)

    def madds(steps: int) -> int:
        return network_cost(scaled(steps)).mult_adds

    least, most = madds(low), madds(high)
    if not least <= target_madds <= most:
        raise UsageError(
            f"scaling: width of {architecture.name} to {target_madds:,.0f} mult-adds; accepted: "
            f"{least:,} to {most:,}"
        )
    while high - low > 1:  # mult-adds never fall with the width
        middle = (low + high) // 2
        low, high = (middle, high) if madds(middle) < target_madds else (low, middle)
    # Several widths may round to the same filters, the network's own among them.
    nearest = min((100, low, high), key=lambda steps: abs(madds(steps) - target_madds))
    if nearest == 100:
        return architecture
    return scaled(nearest).replace(name=f"{architecture.name}-w{nearest / 100:g}")
