"""Top-1 and top-5 accuracy with their intervals; no JAX."""

import dataclasses
import math
from typing import Any

Z95 = 1.959963984540054  # 0.975 quantile of the normal distribution


def wilson_interval(right: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's interval of a proportion, right of n (Wilson, JASA 1927); 95% by default."""
    # (p + z²/2n ± z · sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n)
    p, square = right / n, z * z / n
    center = p + square / 2
    half = z * math.sqrt((p * (1 - p) + square / 4) / n)
    low, high = ((center + sign * half) / (1 + square) for sign in (-1, 1))
    return max(0.0, low), min(1.0, high)


@dataclasses.dataclass(frozen=True)
class Score:
    """Numbers of images that a network classifies correctly.

    n     number of images
    top1  whose class has the largest logit
    top5  whose class is among the five largest; None for five classes or fewer
    """

    n: int
    top1: int
    top5: int | None

    @property
    def accuracy(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.top1 / self.n

    def to_dict(self) -> dict[str, Any]:
        """Return accuracies, 0 to 1, with their 95% intervals and n, for JSON."""
        data: dict[str, Any] = {"n": self.n}
        for name, right in (("top1", self.top1), ("top5", self.top5)):
            data[name] = None if right is None else right / self.n
            data[f"{name}_interval"] = None if right is None else [*wilson_interval(right, self.n)]
        return data

    def __str__(self) -> str:
        parts = []
        for name, right in (("top-1", self.top1), ("top-5", self.top5)):
            if right is not None:
                low, high = wilson_interval(right, self.n)
                parts.append(f"{name} {right / self.n:.2%} ({low:.2%} to {high:.2%})")
        return f"{', '.join(parts)}, n = {self.n:,}"
