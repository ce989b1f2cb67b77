"""Rewards of accuracy against cost: three published forms.

Costs are positive and in the unit of the target: mult-adds, parameters or milliseconds.
"""

import dataclasses
import math
from typing import Literal, get_args

from mnas.errors import UsageError, require_between, require_one_of

Form = Literal["soft", "hard", "absolute"]
CostKind = Literal["mult_adds", "params", "latency_ms"]

HARD_BETA, ABSOLUTE_BETA = -1.0, -0.10
# Range of w, alpha and beta.
EXPONENTS = (-100, 0)


def soft(accuracy: float, cost: float, target: float, w: float = -0.07) -> float:
    """Return MnasNet's soft-constrained reward (arXiv 1807.11626, Eq. 2 with alpha = beta = w)."""
    # R(m) = ACC(m) · (COST(m) / T)^w
    return accuracy * (cost / target) ** w


def hard(
    accuracy: float, cost: float, target: float, alpha: float = 0.0, beta: float = HARD_BETA
) -> float:
    """Return MnasNet's hard-constrained reward (arXiv 1807.11626, Eq. 2-3)."""
    # R(m) = ACC(m) · (COST(m) / T)^w,  w = alpha if COST(m) <= T else beta
    return accuracy * (cost / target) ** (alpha if cost <= target else beta)


def absolute(accuracy: float, cost: float, target: float, beta: float = ABSOLUTE_BETA) -> float:
    """Return TuNAS's absolute reward (arXiv 2008.06120, section 4).

    Costs below the target are penalised like those above it.
    """
    # R(m) = ACC(m) + beta · |COST(m) / T - 1|,  beta < 0
    return accuracy + beta * abs(cost / target - 1)


@dataclasses.dataclass(frozen=True)
class RewardConfig:
    """Form of the reward, kind of cost and target."""

    form: Form = "soft"
    """soft: acc·(cost/T)^w; hard: the same with exponent alpha up to T and beta above;
    absolute: acc + beta·|cost/T - 1|."""
    cost: CostKind = "mult_adds"
    """Cost that accuracy is traded against; its target is the field of the same kind."""
    target_madds: float = 400e6
    """T in mult-adds (a multiply-add counts once)."""
    target_params: float = 5e6
    """T in parameters."""
    target_latency_ms: float = 10.0
    """T in milliseconds for one image."""
    w: float = -0.07
    """Exponent of the soft form."""
    alpha: float = 0.0
    """Exponent of the hard form up to the target."""
    beta: float | None = None
    """Exponent of the hard form above the target (default -1), or weight of the absolute form
    (default -0.10)."""

    def __post_init__(self) -> None:
        require_one_of("reward", "form", self.form, get_args(Form))
        require_one_of("reward", "cost", self.cost, get_args(CostKind))
        for name in ("target_madds", "target_params"):
            require_between("reward", name, getattr(self, name), 1, 1e18)
        require_between("reward", "target_latency_ms", self.target_latency_ms, 1e-6, 1e9)
        for name in ("w", "alpha", "beta"):
            if getattr(self, name) is not None:
                require_between("reward", name, getattr(self, name), *EXPONENTS)

    @property
    def target(self) -> float:
        """The target of the selected cost, in its own unit."""
        targets = {
            "mult_adds": self.target_madds,
            "params": self.target_params,
            "latency_ms": self.target_latency_ms,
        }
        return targets[self.cost]

    def __call__(self, accuracy: float, cost: float) -> float:
        """Return the reward of one network.

        Raises UsageError unless the cost is positive, and where the reward is not finite: targets
        and exponents far from the cost.
        """
        if not (cost > 0 and math.isfinite(cost)):
            raise UsageError(f"reward: {self.cost} = {cost}; accepted: a positive number")
        try:
            reward = self._value(accuracy, cost)
        except OverflowError:
            reward = math.inf
        if not math.isfinite(reward):
            raise UsageError(
                f"reward: {self.cost} = {cost:g} with target {self.target:g} gives no finite "
                f"{self.form} reward; accepted: a target and exponents nearer to the costs"
            )
        return reward

    def _value(self, accuracy: float, cost: float) -> float:
        """Return the value of the form."""
        if self.form == "soft":
            return soft(accuracy, cost, self.target, self.w)
        if self.form == "hard":
            beta = HARD_BETA if self.beta is None else self.beta
            return hard(accuracy, cost, self.target, self.alpha, beta)
        beta = ABSOLUTE_BETA if self.beta is None else self.beta
        return absolute(accuracy, cost, self.target, beta)
