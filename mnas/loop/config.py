"""Length and failure policy of a search."""

import dataclasses
import math
from typing import get_args

from mnas.errors import UsageError
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.selection import Selection


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """How long a search is, and what it makes of failures."""

    trials: int | None = 64
    """Networks sampled in all, repeats included; None: as many as the space has."""
    batch: int = 8
    """Networks sampled for each update of the controller."""
    seed: int = 0
    """Of everything random in the search."""
    failed_reward: float = 0.0
    """Reward of a child that could not be evaluated."""
    failed_fraction: float = 0.5
    """The search stops when more than this share of its first batches has failed."""
    failed_batches: int = 2
    """How many batches those are; 0 never stops it."""
    stopping: StoppingConfig = StoppingConfig()
    """When a child that is behind others is stopped early; off where not given."""
    selection: Selection = "measured"
    """What is exported: the network of the highest reward, or, where rewards are noisy, the one of
    which a model of all rewards expects most."""

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("batch", 1), ("seed", 0), ("failed_batches", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"search: {name} = {value}; accepted: at least {least}")
        if not 0 <= self.failed_fraction <= 1:
            raise UsageError(f"search: failed_fraction = {self.failed_fraction}; accepted: 0 to 1")
        if self.selection not in get_args(Selection):
            accepted = ", ".join(get_args(Selection))
            raise UsageError(f"search: selection = {self.selection!r}; accepted: {accepted}")
        if not math.isfinite(self.failed_reward):
            raise UsageError(f"search: failed_reward = {self.failed_reward}; accepted: a number")
