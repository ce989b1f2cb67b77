"""Length, seed and failure policy of a search."""

import dataclasses
from typing import get_args

from mnas.errors import require_between, require_finite, require_one_of, require_whole
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.selection import Selection


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """Length, seed and failure policy of a search."""

    trials: int | None = 64
    """Number of sampled networks, duplicates included; None: the size of the space."""
    batch: int = 8
    """Number of networks sampled for each update of the controller."""
    seed: int = 0
    """Random seed."""
    failed_reward: float = 0.0
    """Reward of a child whose evaluation failed."""
    failed_fraction: float = 0.5
    """Stop the search if more than this fraction of the trials of the first batches failed."""
    failed_batches: int = 2
    """Number of first batches checked for failures; 0 disables the check."""
    stopping: StoppingConfig = StoppingConfig()
    """Early stopping of underperforming children; off by default."""
    selection: Selection = "measured"
    """Exported network. measured: highest reward; model: highest mean of a Gaussian process fitted
    to all rewards, for noisy rewards."""

    def __post_init__(self) -> None:
        if self.trials is not None:
            require_whole("search", "trials", self.trials)
        require_whole("search", "batch", self.batch)
        require_whole("search", "seed", self.seed, least=0)
        require_finite("search", "failed_reward", self.failed_reward)
        require_between("search", "failed_fraction", self.failed_fraction, 0, 1)
        require_whole("search", "failed_batches", self.failed_batches, least=0)
        require_one_of("search", "selection", self.selection, get_args(Selection))
