"""Scalings of one network as a space: one decision, which of them.

With `mnas.controllers.exhaustive` a search over such a space is a grid search, and has all that a search
has: engines, journal, resume, report.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from functools import partial

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import DIMENSIONS, DIVISOR, PAPER, Coefficients, scale_to
from mnas.architecture.scaling_grid import ScalingGrid, base_network
from mnas.errors import UsageError
from mnas.space import OneOf, Space


class ListedSpace(Space):
    """Networks that are listed by a name each, in this order; the names are the choices."""

    def __init__(self, name: str, networks: Mapping[Hashable, Architecture]) -> None:
        self.networks = dict(networks)
        super().__init__(name, partial(_listed, networks=self.networks, which=OneOf(*networks)))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """The vector int32 [1] of this network; its name is not looked at."""
        wanted = architecture.canonical_hash()
        for index, network in enumerate(self.networks.values()):
            if network.canonical_hash() == wanted:
                return np.array([index], np.int32)
        raise UsageError(
            f"space {self.name} can't represent {architecture.name}: which = none "
            f"(accepted: one of {len(self.networks)} listed networks)"
        )


def _listed(networks: Mapping[Hashable, Architecture], which: Hashable) -> Architecture:
    return networks[which]


@dataclasses.dataclass(frozen=True)
class ScalingGridSpace(ScalingGrid):
    """The grid of (α, β, γ) that compound scaling's coefficients are searched on."""

    def build(self) -> ListedSpace:
        return ListedSpace("scaling-grid", self.points())


@dataclasses.dataclass(frozen=True)
class ScalingDimensionsSpace:
    """A network, and its scalings by depth, width or resolution alone and by all three.

    At 2, 4, 8, ... times the network's mult-adds, as near as rounding allows.
    """

    base: str = "efficientnet-b0"
    """Network to scale: a published name, a spec file, a run's directory (its best), or block
    strings joined by ;."""
    resolution: int | None = None
    """Pixels a side of the base; its own where not given."""
    classes: int | None = None
    """Outputs of the classifier; the base's own where not given."""
    head: int | None = None
    """Filters of the base's head; its own where not given."""
    divisor: int = DIVISOR
    """Scaled filters are multiples of it: EfficientNet's 8, or less for very small networks."""
    doublings: int = 3
    """The largest scalings have 2 to the power of this times the mult-adds."""
    alpha: float = PAPER.alpha
    """Depth of compound scaling, for each unit of φ; the paper's for B0 where not given."""
    beta: float = PAPER.beta
    """Width, likewise."""
    gamma: float = PAPER.gamma
    """Resolution, likewise."""

    def __post_init__(self) -> None:
        if not 1 <= self.doublings <= 10:
            raise UsageError(f"scaling: doublings = {self.doublings}; accepted: 1 to 10")

    def build(self) -> ListedSpace:
        base = base_network(self.base, self.resolution, self.classes, self.head)
        coefficients = Coefficients(self.alpha, self.beta, self.gamma)
        madds = network_cost(base).mult_adds
        networks = {("base", 1): base}
        for factor in (2**n for n in range(1, self.doublings + 1)):
            for dimension in DIMENSIONS:
                networks[dimension, factor] = scale_to(
                    base, dimension, factor * madds, coefficients, self.divisor
                )
        return ListedSpace("scaling-dimensions", networks)
