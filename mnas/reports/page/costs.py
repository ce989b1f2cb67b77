"""The cost that a run's reward trades accuracy against, in the unit of its figures."""

import dataclasses
from typing import Any

from mnas.analysis.rescoring import reward_of
from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.errors import UsageError
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.reward import CostKind, RewardConfig

NAMES: dict[CostKind, str] = {
    "mult_adds": "mult-adds",
    "params": "parameters",
    "latency_ms": "latency",
}
UNITS: dict[CostKind, tuple[str, float]] = {
    "mult_adds": ("M", 1e6),
    "params": ("M", 1e6),
    "latency_ms": ("ms", 1.0),
}


@dataclasses.dataclass(frozen=True)
class CostAxis:
    """Kind, name, unit and scale of a cost.

    scale   value of one unit
    reward  of the run; None where the journal does not hold it
    """

    kind: CostKind
    reward: RewardConfig | None

    @property
    def name(self) -> str:
        """Return the cost's name in words."""
        return NAMES[self.kind]

    @property
    def unit(self) -> str:
        """Return the unit of figures."""
        return UNITS[self.kind][0]

    @property
    def scale(self) -> float:
        """Return how much one unit of figures is."""
        return UNITS[self.kind][1]

    @property
    def title(self) -> str:
        """Return the title of an axis."""
        return f"{self.name}, {self.unit}"

    def of_result(self, result: ResultRecord) -> float | None:
        """Return a result's cost in units of figures; None where it was not measured."""
        costs = {
            "mult_adds": result.mult_adds,
            "params": result.params,
            "latency_ms": result.latency_ms,
        }
        cost = costs[self.kind]
        return None if cost is None else cost / self.scale

    def of(self, architecture: Architecture) -> float | None:
        """Return a network's cost in units of figures; None for a latency."""
        if self.kind == "latency_ms":
            return None
        return float(getattr(network_cost(architecture), self.kind)) / self.scale


def cost_axis(run: Run) -> CostAxis:
    """Return the cost of a run's reward; mult-adds where the journal does not hold the reward."""
    if "reward" not in run.head.settings:
        return CostAxis("mult_adds", None)
    reward = reward_of(run)
    return CostAxis(reward.cost, reward)


def reward_at(axis: CostAxis, accuracy: float | None, cost: float | None) -> float | None:
    """Return the reward of an accuracy at a cost in units of figures; None where undefined."""
    if axis.reward is None or accuracy is None or cost is None:
        return None
    try:
        return axis.reward(accuracy, cost * axis.scale)
    except UsageError:
        return None


def accuracy_by_cost(cost: str, accuracy: str) -> dict[str, Any]:
    """Return the encoding of points with the fields `cost` and `accuracy`, by titles of the axes.

    The axes are fitted to the points, with some room.
    """
    scale = {"zero": False, "padding": 12}
    return {
        "x": {
            "field": "cost",
            "type": "quantitative",
            "scale": scale,
            "axis": {"title": cost, "tickCount": 8},
        },
        "y": {
            "field": "accuracy",
            "type": "quantitative",
            "scale": scale,
            "axis": {"title": accuracy, "format": ".1%", "tickCount": 6},
        },
    }
