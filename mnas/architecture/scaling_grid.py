"""Points of the grid search for the coefficients of compound scaling.

The paper fixes φ = 1, tries α, β, γ on a grid with α·β²·γ² ≈ 2, and keeps the combination whose
network is the most accurate (arXiv 1905.11946, section 3.3, step 1). A search over these points is
a search like any other (`mnas.search_spaces.scaling`, `mnas.experiments.compound_scaling`).
"""

import dataclasses
import math
from typing import Literal

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import DIVISOR, Coefficients, scale
from mnas.architecture.sources import find
from mnas.errors import (
    UsageError,
    rejected,
    require_between,
    require_fraction,
    require_one_of,
    require_whole,
)

FINEST_STEP = 0.01
CONSTRAINTS = ("formula", "mult-adds")


def base_network(
    base: str, resolution: int | None, classes: int | None, head: int | None
) -> Architecture:
    """Return the network that `base` names, with every setting that is not None replaced.

    Raises UsageError for a name that cannot be resolved (`mnas.architecture.sources.find`).
    """
    changes = {"resolution": resolution, "classes": classes, "head": head}
    return find(base).replace(**{k: v for k, v in changes.items() if v is not None})


@dataclasses.dataclass(frozen=True)
class ScalingGrid:
    """Grid of (α, β, γ) and the network that they scale."""

    base: str = "efficientnet-b0"
    """Network to scale: a published name, a spec file, a run's directory (its best), or block
    strings joined by ;."""
    resolution: int | None = None
    """Resolution of the base in proxy training, pixels, before γ scales it; default: the base's."""
    classes: int | None = None
    """Outputs of the classifier; default: the base's."""
    head: int | None = None
    """Filters of the head; default: the base's. (For block strings that is 1,280, which dominates a
    small network.)"""
    divisor: int = DIVISOR
    """Divisor of scaled filters: 8 in EfficientNet; less for very small networks."""
    step: float = 0.05
    """Distance between neighbouring values of α, of β and of γ."""
    product: float = 2.0
    """Target of the constraint: growth of mult-adds at φ = 1."""
    tolerance: float = 0.05
    """Largest relative deviation from `product`."""
    constraint: Literal["formula", "mult-adds"] = "formula"
    """formula: α·β²·γ², as in the paper, regardless of how layers and filters are rounded;
    mult-adds: the ratio of the scaled network's mult-adds to the base's."""

    def __post_init__(self) -> None:
        require_whole("grid", "divisor", self.divisor)
        require_between("grid", "step", self.step, FINEST_STEP, 1)
        if not 1 < self.product <= 16:
            raise rejected("grid", "product", self.product, "above 1, to 16")
        require_fraction("grid", "tolerance", self.tolerance)
        require_one_of("grid", "constraint", self.constraint, CONSTRAINTS)

    def network(self) -> Architecture:
        """Return the base with its settings for proxy training; UsageError if it can't be read."""
        return base_network(self.base, self.resolution, self.classes, self.head)

    def combinations(self) -> list[Coefficients]:
        """Return all combinations that meet the constraint, in order of γ, then β, then α.

        Raises UsageError if there are none.
        """
        base = self.network()
        madds = network_cost(base).mult_adds

        def values(most: float) -> list[float]:
            count = math.floor((most - 1) / self.step + 1e-9)
            return [round(1 + n * self.step, 9) for n in range(count + 1)]

        def deviation(coefficients: Coefficients) -> float:
            if self.constraint == "formula":
                return abs(coefficients.product - self.product)
            network = scale(base, 1, *coefficients, self.divisor)
            return abs(network_cost(network).mult_adds / madds - self.product)

        # Filters are rounded down by at most 10%, so mult-adds are at least 0.81 of the formula's.
        slack = self.tolerance * self.product + 1e-9
        most = (self.product + slack) / (1 if self.constraint == "formula" else 0.81)
        combinations = [
            coefficients
            for gamma in values(math.sqrt(most))
            for beta in values(math.sqrt(most) / gamma)
            for alpha in values(most / (beta * gamma) ** 2)
            if deviation(coefficients := Coefficients(alpha, beta, gamma)) <= slack
        ]
        if not combinations:
            constrained = "α·β²·γ²" if self.constraint == "formula" else "mult-adds"
            raise UsageError(
                f"grid: no point with {constrained} within {self.tolerance:.1%} of "
                f"{self.product:g} times at step = {self.step:g}; "
                "accepted: a smaller step or a larger tolerance"
            )
        return combinations

    def points(self) -> dict[Coefficients, Architecture]:
        """Return the networks to try, all different, in order of γ, then β, then α.

        Layers and filters are rounded, so many combinations build the same network; it is listed
        under the combination whose α·β²·γ² is nearest to `product`.
        """
        base = self.network()
        nearest: dict[str, tuple[Coefficients, Architecture]] = {}
        for coefficients in self.combinations():
            network = scale(base, 1, *coefficients, self.divisor)
            key = network.canonical_hash()
            deviation = abs(coefficients.product - self.product)
            if key not in nearest or deviation < abs(nearest[key][0].product - self.product) - 1e-9:
                nearest[key] = coefficients, network
        return dict(sorted(nearest.values(), key=lambda point: point[0][::-1]))
