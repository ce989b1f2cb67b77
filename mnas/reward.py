"""From accuracy and cost to one number: three published forms, three functions.

Costs are positive and in any unit that the target shares: mult-adds, parameters, milliseconds.
"""

import dataclasses
import math
from typing import Literal, get_args

from mnas.errors import UsageError

Form = Literal["soft", "hard", "absolute"]
CostKind = Literal["mult_adds", "params", "latency_ms"]


def soft(accuracy: float, cost: float, target: float, w: float = -0.07) -> float:
    """MnasNet's soft constraint (arXiv 1807.11626, Eq. 2 with alpha = beta = w)."""
    # R(m) = ACC(m) · (COST(m) / T)^w
    return accuracy * (cost / target) ** w


def hard(
    accuracy: float, cost: float, target: float, alpha: float = 0.0, beta: float = -1.0
) -> float:
    """MnasNet's hard constraint (arXiv 1807.11626, Eq. 2-3)."""
    # R(m) = ACC(m) · (COST(m) / T)^w,  w = alpha if COST(m) <= T else beta
    return accuracy * (cost / target) ** (alpha if cost <= target else beta)


def absolute(accuracy: float, cost: float, target: float, beta: float = -0.10) -> float:
    """TuNAS's absolute reward (arXiv 2008.06120, section 4): the cost is drawn *to* the target."""
    # R(m) = ACC(m) + beta · |COST(m) / T - 1|,  beta < 0
    return accuracy + beta * abs(cost / target - 1)


@dataclasses.dataclass(frozen=True)
class RewardConfig:
    """Which reward, of which cost, against which target."""

    form: Form = "soft"
    """soft: acc·(cost/T)^w; hard: the same, with alpha up to T and beta above in place of w;
    absolute: acc + beta·|cost/T - 1|."""
    cost: CostKind = "mult_adds"
    """What is traded against accuracy; its target is the field of the same kind."""
    target_madds: float = 400e6
    """T in mult-adds (one multiply-add counts once)."""
    target_params: float = 5e6
    """T in parameters."""
    target_latency_ms: float = 10.0
    """T in milliseconds for one image, as the evaluator measures it."""
    w: float = -0.07
    """Exponent of the soft form."""
    alpha: float = 0.0
    """Exponent of the hard form up to the target."""
    beta: float | None = None
    """Exponent of the hard form above the target (-1 where not given), or weight of the absolute
    form (-0.10 where not given)."""

    def __post_init__(self) -> None:
        for name, accepted in (("form", get_args(Form)), ("cost", get_args(CostKind))):
            value = getattr(self, name)
            if value not in accepted:
                raise UsageError(f"reward: {name} = {value!r}; accepted: {', '.join(accepted)}")
        for name in ("target_madds", "target_params", "target_latency_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UsageError(f"reward: {name} = {value}; accepted: a number above 0")
        for name in ("w", "alpha", "beta"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value <= 0):
                raise UsageError(f"reward: {name} = {value}; accepted: a number of at most 0")

    @property
    def target(self) -> float:
        """The target of the cost in use, in its own unit."""
        targets = {
            "mult_adds": self.target_madds,
            "params": self.target_params,
            "latency_ms": self.target_latency_ms,
        }
        return targets[self.cost]

    def __call__(self, accuracy: float, cost: float) -> float:
        """The reward of one network; ValueError for a cost that is not a positive number."""
        if not (cost > 0 and math.isfinite(cost)):
            raise UsageError(f"reward: {self.cost} = {cost}; accepted: a positive number")
        if self.form == "soft":
            return soft(accuracy, cost, self.target, self.w)
        beta = {} if self.beta is None else {"beta": self.beta}
        if self.form == "hard":
            return hard(accuracy, cost, self.target, self.alpha, **beta)
        return absolute(accuracy, cost, self.target, **beta)
