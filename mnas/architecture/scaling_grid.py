"""The grid search of compound scaling: its points, and what a finished run makes of them.

The paper fixes φ = 1, tries α, β, γ on a grid under α·β²·γ² ≈ 2, and keeps those whose network is
the most accurate (arXiv 1905.11946, section 3.3, step 1). Here are the points; the search over them
is a search like any other (`mnas.search_spaces.scaling`, `mnas.experiments.compound_scaling`).
"""

import dataclasses
import math
from typing import Literal

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import DIVISOR, Coefficients, scale
from mnas.architecture.spec import find
from mnas.errors import UsageError

FINEST = 0.01
KIND = "ScalingGridSpace"  # what a run's settings call its space


def trained_base(
    base: str, resolution: int | None, classes: int | None, head: int | None
) -> Architecture:
    """The network that `base` names (`mnas.architecture.spec.find`), with what was given in place of its own."""
    changes = {"resolution": resolution, "classes": classes, "head": head}
    return find(base).replace(**{k: v for k, v in changes.items() if v is not None})


@dataclasses.dataclass(frozen=True)
class ScalingGrid:
    """Which (α, β, γ) are tried, and on what network."""

    base: str = "efficientnet-b0"
    """Network to scale: a published name, a spec file, a run's directory (its best), or block
    strings joined by ;."""
    resolution: int | None = None
    """Pixels a side of the base when it is proxy-trained; its own where not given. γ scales it."""
    classes: int | None = None
    """Outputs of the classifier; the base's own where not given."""
    head: int | None = None
    """Filters of the base's head; its own where not given. (Block strings have 1,280, which is most
    of a small network.)"""
    divisor: int = DIVISOR
    """Scaled filters are multiples of it: EfficientNet's 8, or less for very small networks."""
    step: float = 0.05
    """Between neighbouring values of α, of β and of γ."""
    product: float = 2.0
    """What α·β²·γ² is to be."""
    tolerance: float = 0.05
    """By what share of it α·β²·γ² may differ."""
    constraint: Literal["formula", "mult-adds"] = "formula"
    """formula: on α·β²·γ², as in the paper, which leaves the mult-adds themselves to the rounding
    of layers and filters; mult-adds: on the true ratio of the scaled network's to the base's."""

    def __post_init__(self) -> None:
        for name, good, accepted in (
            ("step", FINEST <= self.step <= 1, f"{FINEST} to 1"),
            ("product", 1 < self.product <= 16, "above 1, to 16"),
            ("tolerance", 0 <= self.tolerance < 1, "0 or more, below 1"),
        ):
            if not good:
                raise UsageError(f"grid: {name} = {getattr(self, name)}; accepted: {accepted}")
        if self.constraint not in ("formula", "mult-adds"):
            raise UsageError(
                f"grid: constraint = {self.constraint!r}; accepted: formula, mult-adds"
            )

    def network(self) -> Architecture:
        """The base as it is trained; ValueError where it can't be read."""
        return trained_base(self.base, self.resolution, self.classes, self.head)

    def combinations(self) -> list[Coefficients]:
        """All on the grid that keep the constraint, those of low resolution, then width, first."""
        base = self.network()
        madds = network_cost(base).mult_adds

        def values(most: float) -> list[float]:
            count = math.floor((most - 1) / self.step + 1e-9)
            return [round(1 + n * self.step, 9) for n in range(count + 1)]

        def off(coefficients: Coefficients) -> float:
            if self.constraint == "formula":
                return abs(coefficients.product - self.product)
            network = scale(base, 1, *coefficients, self.divisor)
            return abs(network_cost(network).mult_adds / madds - self.product)

        # Filters are rounded down by 10% at most, so mult-adds to 0.81 of the formula's.
        slack = self.tolerance * self.product + 1e-9
        most = (self.product + slack) / (1 if self.constraint == "formula" else 0.81)
        found = [
            coefficients
            for gamma in values(math.sqrt(most))
            for beta in values(math.sqrt(most) / gamma)
            for alpha in values(most / (beta * gamma) ** 2)
            if off(coefficients := Coefficients(alpha, beta, gamma)) <= slack
        ]
        if not found:
            what = "α·β²·γ²" if self.constraint == "formula" else "mult-adds"
            raise UsageError(
                f"grid: no point with {what} within {self.tolerance:.1%} of {self.product:g} times "
                f"at step = {self.step:g}; accepted: a smaller step or a larger tolerance"
            )
        return found

    def points(self) -> dict[Coefficients, Architecture]:
        """The networks to try, all different.

        Layers and filters are rounded, so that many combinations build the same network: the one
        whose α·β²·γ² is nearest to `product` stands for all of them.
        """
        base = self.network()
        best: dict[str, tuple[Coefficients, Architecture]] = {}
        for coefficients in self.combinations():
            network = scale(base, 1, *coefficients, self.divisor)
            key, off = network.canonical_hash(), abs(coefficients.product - self.product)
            if key not in best or off < abs(best[key][0].product - self.product) - 1e-9:
                best[key] = coefficients, network
        return dict(sorted(best.values(), key=lambda point: point[0][::-1]))
