"""Agreement of a score's ranking with known accuracies, with bootstrap intervals over networks.

Kendall's τ_b over chosen pairs of networks: for equal depth, pairs of networks with the same number
of layers; for equal cost, pairs in the same of ten bands with equal numbers of networks; for the
best quarter, pairs of networks whose accuracy is in it. Networks that a bootstrap resample holds
twice make no pair.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

RESAMPLES = 1000
BANDS = 10
LEVEL = 95  # percent
MIN_NETWORKS = 5


@dataclasses.dataclass(frozen=True)
class Networks:
    """Known accuracies and costs of N networks, and the reward that they are searched for.

    accuracy    of full training, float64 [N], 0 to 1
    mult_adds   float64 [N]
    params      float64 [N]
    depth       number of layers, float64 [N]
    target, w   of the reward accuracy · (mult-adds / target)^w
    """

    accuracy: np.ndarray
    mult_adds: np.ndarray
    params: np.ndarray
    depth: np.ndarray
    target: float
    w: float

    def reward(self, accuracy: np.ndarray) -> np.ndarray:
        """Return the rewards [N] for accuracies [N]."""
        return accuracy * (self.mult_adds / self.target) ** self.w

    def subset(self, index: np.ndarray) -> "Networks":
        """Return the networks with these indices."""
        arrays = ("accuracy", "mult_adds", "params", "depth")
        return dataclasses.replace(self, **{name: getattr(self, name)[index] for name in arrays})


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A statistic with its bootstrap interval of `LEVEL` percent; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


MEASURES = (
    *("tau", "spearman", "tau_equal_depth", "tau_equal_cost", "tau_best_quarter"),
    *("tau_reward", "top_decile"),
)


def pair_masks(networks: Networks) -> dict[str, np.ndarray | None]:
    """Return the pairs that each τ of accuracies is over, bool [N, N]; None: all."""
    ranks = stats.rankdata(networks.mult_adds, "ordinal") - 1
    bands = ranks * BANDS // len(ranks)
    best = networks.accuracy >= np.quantile(networks.accuracy, 0.75)
    return {
        "tau": None,
        "tau_equal_depth": np.equal.outer(networks.depth, networks.depth),
        "tau_equal_cost": np.equal.outer(bands, bands),
        "tau_best_quarter": np.logical_and.outer(best, best),
    }


def agreement(
    score: np.ndarray, networks: Networks, weights: np.ndarray, *, of_accuracy: bool = True
) -> dict[str, np.ndarray]:
    """Return every measure [R] of scores [N] for multiplicities of the networks, [R, N].

    of_accuracy  whether scores are in place of accuracies, so that a search would multiply them by
                 the reward's factor; otherwise they rank rewards as they are

    A measure is NaN where it is undefined: no such pair, or all of them ties.
    """
    label = networks.accuracy
    found = {
        name: weighted_taus(score, label, weights, mask)
        for name, mask in pair_masks(networks).items()
    }
    found["tau_reward"] = np.full(len(weights), np.nan)
    if not of_accuracy:
        found["tau_reward"] = weighted_taus(score, networks.reward(label), weights)
    elif score.min() > 0:
        found["tau_reward"] = weighted_taus(networks.reward(score), networks.reward(label), weights)
    indices = [np.repeat(np.arange(len(score)), row.astype(int)) for row in weights]
    found["spearman"] = np.array([_spearman(score[i], label[i]) for i in indices])
    found["top_decile"] = np.array([_overlap(score[i], label[i]) for i in indices])
    return found


def weighted_taus(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, mask: np.ndarray | None = None
) -> np.ndarray:
    """Return Kendall's τ_b of x and y [N] for each row of multiplicities [R, N], float64 [R].

    τ_b = (concordant - discordant) / sqrt(pairs untied in x · pairs untied in y)
    (Kendall, Biometrika 1945). NaN without such pairs.

    mask  pairs that count, bool [N, N], symmetric
    """
    signs_x, signs_y = (np.sign(np.subtract.outer(v, v)).astype(np.float32) for v in (x, y))
    if mask is not None:
        signs_x, signs_y = signs_x * mask, signs_y * mask
    weights = weights.astype(np.float32)

    def total(pairs: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.einsum("rn,rn->r", weights @ pairs, weights, dtype=np.float64)
        return sums

    untied = total(np.abs(signs_x)) * total(np.abs(signs_y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return total(signs_x * signs_y) / np.sqrt(untied)


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def _overlap(score: np.ndarray, label: np.ndarray) -> float:
    """Return the fraction of the best tenth by label that is among the best tenth by score."""
    count = max(1, round(len(score) / 10))
    best = [set(np.argsort(-values, kind="stable")[:count].tolist()) for values in (score, label)]
    return len(best[0] & best[1]) / count


def resamples(networks: int, seed: int = 0, count: int = RESAMPLES) -> np.ndarray:
    """Return multiplicities [1 + R, N]: all networks once, then R = `count` resamples."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(networks, np.full(networks, 1 / networks), count)
    return np.vstack([np.ones((1, networks), int), drawn])


def estimate(values: np.ndarray) -> Estimate:
    """Return the estimate of a statistic [1 + R]: of all networks, then of the resamples."""
    if not np.isfinite(values[0]):
        return Estimate(None)
    tail = (100 - LEVEL) / 2
    finite = values[1:][np.isfinite(values[1:])]
    if not len(finite):
        return Estimate(float(values[0]))
    low, high = np.percentile(finite, [tail, 100 - tail])
    return Estimate(float(values[0]), float(low), float(high))


def estimates(found: Mapping[str, np.ndarray]) -> dict[str, Estimate]:
    """Return the estimate of every measure, in the order of `MEASURES`."""
    return {name: estimate(found[name]) for name in MEASURES}


def partial_tau(score: np.ndarray, label: np.ndarray, others: Sequence[np.ndarray]) -> list[float]:
    """Return Kendall's partial τ of score and label [N] given each of the other scores.

    τ_xy.z = (τ_xy - τ_xz τ_yz) / sqrt((1 - τ_xz²) (1 - τ_yz²))    (Kendall, Biometrika 1942)
    """
    found = []
    for other in others:
        xy, xz, yz = (
            float(stats.kendalltau(a, b).statistic)
            for a, b in ((score, label), (score, other), (label, other))
        )
        rest = (1 - xz**2) * (1 - yz**2)
        found.append((xy - xz * yz) / rest**0.5 if rest > 0 else np.nan)
    return found
