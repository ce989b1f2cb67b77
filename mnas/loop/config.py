"""Length, seed and failure policy of a search."""

import dataclasses
from typing import get_args

from mnas.errors import require_between, require_one_of, require_whole
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.selection import Selection

MAX_TRIALS, MAX_BATCH = 10**9, 100_000
MAX_REMEASURED, MAX_REMEASURE_SEEDS = 1000, 1000
# Of the random numbers of JAX and of evaluators.
MAX_SEED = 2**32 - 1


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
    """Reward of a child whose evaluation failed, at most 0; lowered where a valid network may have
    less (`mnas.loop.failed_reward`)."""
    failed_fraction: float = 0.5
    """Stop the search if more than this fraction of the trials of the first batches failed."""
    failed_batches: int = 2
    """Number of first batches checked for failures; 0 disables the check."""
    stopping: StoppingConfig = StoppingConfig()
    """Early stopping of underperforming children; off by default."""
    selection: Selection = "measured"
    """Exported network. measured: highest reward; model: highest reward by the accuracies of a
    Gaussian process fitted to all accuracies, for noisy accuracies."""
    remeasure: int = 0
    """Evaluate this many of the best networks again after the search, and export by these
    measurements; 0: none."""
    remeasure_seeds: int = 3
    """Further evaluations of each of them, with other seeds."""

    def __post_init__(self) -> None:
        if self.trials is not None:
            require_whole("search", "trials", self.trials, most=MAX_TRIALS)
        require_whole("search", "batch", self.batch, most=MAX_BATCH)
        require_whole("search", "seed", self.seed, least=0, most=MAX_SEED)
        require_between("search", "failed_reward", self.failed_reward, -1e6, 0)
        require_between("search", "failed_fraction", self.failed_fraction, 0, 1)
        require_whole("search", "failed_batches", self.failed_batches, least=0, most=MAX_TRIALS)
        require_one_of("search", "selection", self.selection, get_args(Selection))
        require_whole("search", "remeasure", self.remeasure, least=0, most=MAX_REMEASURED)
        require_whole("search", "remeasure_seeds", self.remeasure_seeds, most=MAX_REMEASURE_SEEDS)
