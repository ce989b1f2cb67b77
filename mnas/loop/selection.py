"""Selection of the network that a search exports.

    measured  the network of the highest reward
    model     the network of the highest posterior mean under a Gaussian process

With noisy rewards, as training gives, the highest of many rewards overestimates its network. A
Gaussian process over decisions (`mnas.loop.kernel`), fitted to all rewards, denoises them without
further evaluations. Its noise variance is that of `NOISES` with the highest marginal likelihood
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 5.4.1). The
controllers' model is another one (`mnas.controllers.core.gaussian_process`). Imports no JAX.

Shapes: N networks, D decisions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import linalg

from mnas.loop import kernel
from mnas.loop.records import ResultRecord

Selection = Literal["measured", "model"]

# Candidate noise variances, in units of the rewards' variance; the likeliest is used.
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# The model is fitted to this many of the latest rewards: O(N³), seconds at this size.
LARGEST = 4000


def candidates(results: Iterable[ResultRecord]) -> list[ResultRecord]:
    """Return the results that may be exported, in their order.

    Failed results and duplicates are left out; so are stopped ones, unless no network was trained
    to its end.
    """
    unique = [r for r in results if r.error is None and r.duplicate_of is None]
    return [result for result in unique if not result.stopped] or unique


def ranking(
    selection: Selection,
    results: Iterable[ResultRecord],
    decisions: Mapping[int, Sequence[int]],
) -> list[ResultRecord]:
    """Return the results that may be exported, best first; of equals, the earliest.

    results    in order of their trials
    decisions  by trial number
    """
    exportable = candidates(results)
    scores = selection_scores(
        selection,
        [decisions[result.trial] for result in exportable],
        [result.reward for result in exportable],
    )
    return [exportable[index] for index in np.argsort(-scores, kind="stable")]


def selection_scores(
    selection: Selection, decisions: Sequence[Sequence[int]], rewards: Sequence[float]
) -> np.ndarray:
    """Return the scores by which N different networks are ranked, float64 [N]; higher is better.

    decisions  int [N, D], in order of the trials; unused by "measured"
    rewards    [N], finite
    """
    values = np.array(rewards, float)
    return posterior_means(np.array(decisions), values) if selection == "model" else values


def posterior_means(decisions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Return the model's posterior mean of each network's reward, float64 [N].

    Minus infinity for networks before the last `LARGEST`. The rewards themselves where they are all
    equal or fewer than three, too few to estimate the noise.
    """
    means = np.full(len(rewards), -np.inf)
    decisions, targets = decisions[-LARGEST:], rewards[-LARGEST:]
    means[-LARGEST:] = targets
    if len(targets) < 3 or np.ptp(targets) == 0:
        return means
    low, high = np.quantile(targets, [0.25, 0.75])
    if high > low:
        targets = np.maximum(targets, low - kernel.OUTLIER_LIMIT * (high - low))
    center, scale = targets.mean(), targets.std()
    covariance = _covariance(decisions)
    fits = [_fit(covariance, (targets - center) / scale, noise) for noise in NOISES]
    _, weights = max(fits, key=lambda fit: fit[0])
    means[-LARGEST:] = center + scale * covariance @ weights
    return means


def _covariance(decisions: np.ndarray) -> np.ndarray:
    """Return the prior covariances of the networks' values, [N, N]."""
    agreement = np.zeros((len(decisions), len(decisions)))
    for column in decisions.T:
        agreement += column[:, None] == column[None]
    agreement /= decisions.shape[1]
    return kernel.covariance(agreement)


def _fit(covariance: np.ndarray, targets: np.ndarray, noise: float) -> tuple[float, np.ndarray]:
    """Return (log marginal likelihood up to a constant, weights (K + noise I)⁻¹ y [N])."""
    factor, lower = linalg.cho_factor(covariance + noise * np.eye(len(targets)), lower=True)
    weights = linalg.cho_solve((factor, lower), targets)
    # log p(y) = -yᵀ (K + noise I)⁻¹ y / 2 - Σ log diag L + constant
    return float(-targets @ weights / 2 - np.log(np.diag(factor)).sum()), weights
