"""Scalings of one network as a space with a single decision: its index in a list.

With the controller `exhaustive`, a search over such a space is a grid search with engines, journal,
resumption and report.
"""

import dataclasses
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.scaling import DIMENSIONS, DIVISOR, PAPER, Coefficients, scale_to
from mnas.architecture.scaling_grid import ScalingGrid, base_network
from mnas.errors import UsageError, require_whole
from mnas.space import OneOf, Space


class ListedSpace(Space):
    """Space of listed networks; its only decision is the network's name, in the listed order."""

    def __init__(self, name: str, networks: Mapping[Any, Architecture]) -> None:
        self.networks = dict(networks)
        super().__init__(name, partial(_listed, networks=self.networks, which=OneOf(*networks)))

    def encode(self, architecture: Architecture) -> np.ndarray:
        """Return the vector int32 [1] of a network; the architecture's own name is ignored.

        Raises UsageError if the network is not listed.
        """
        for index, network in enumerate(self.networks.values()):
            if network.canonical_hash() == architecture.canonical_hash():
                return np.array([index], np.int32)
        raise UsageError(
            f"space {self.name} can't represent {architecture.name}: which = none "
            f"(accepted: one of {len(self.networks)} listed networks)"
        )


def _listed(networks: Mapping[Hashable, Architecture], which: Hashable) -> Architecture:
    return networks[which]


@dataclasses.dataclass(frozen=True)
class ScalingGridSpace(ScalingGrid):
    """Networks of the grid search for compound scaling's α, β, γ."""

    def build(self) -> ListedSpace:
        """Return the space. Raises UsageError if the base can't be read or no point is left."""
        return ListedSpace("scaling-grid", self.points())


@dataclasses.dataclass(frozen=True)
class ScalingDimensionsSpace:
    """A network, and its scalings by depth, width or resolution alone and by all three.

    The scaled networks have 2, 4, 8, ... times the mult-adds, up to rounding.
    """

    base: str = "efficientnet-b0"
    """Network to scale: a published name, a spec file, a run's directory (its best), or block
    strings joined by ;."""
    resolution: int | None = None
    """Resolution of the base, pixels; default: the base's own."""
    classes: int | None = None
    """Number of classes; default: the base's own."""
    head: int | None = None
    """Filters of the base's head; default: the base's own."""
    divisor: int = DIVISOR
    """Divisor of scaled filters: 8 in EfficientNet; less for very small networks."""
    doublings: int = 3
    """Largest scaling, as the binary logarithm of its factor in mult-adds."""
    alpha: float = PAPER.alpha
    """Depth factor of compound scaling per unit of φ; default: the paper's for B0."""
    beta: float = PAPER.beta
    """Width factor, likewise."""
    gamma: float = PAPER.gamma
    """Resolution factor, likewise."""

    def __post_init__(self) -> None:
        require_whole("scaling", "doublings", self.doublings, most=10)

    def build(self) -> ListedSpace:
        """Return the space. Raises UsageError if the base can't be read."""
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
