"""Which of the networks that a search evaluated it exports.

    measured  the one of the highest reward
    model     the one of which a model of all rewards expects most

Where evaluations are noisy, as any training is, the highest of a thousand rewards is a lucky one.
What was measured of similar networks says how lucky: a Gaussian process over the decisions (linear
in choices and pairs of choices) takes the noise off all rewards at once, and nothing has to be
evaluated again. How noisy they are it makes out by itself: of a few levels, the one under which the
rewards are likeliest (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006,
section 5.4.1). No JAX; the controllers' own model (`mnas.controllers.core.gaussian_process`) is another matter.

Shapes: N networks, D decisions.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from scipy import linalg

from mnas.loop import kernel

Selection = Literal["measured", "model"]

# Candidate noise variances, in units of the rewards' variance; the likeliest is used.
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# The model is of so many rewards, the last ones; its time grows with the cube, to seconds at this.
LARGEST = 4000


def candidates(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a journal's results that may be exported, in the order given.

    Each network once, and none that failed. Those that were stopped early are among them only where
    none was trained to its end.
    """
    fine = [r for r in results if r["error"] is None and r["duplicate_of"] is None]
    return [result for result in fine if not result.get("stopped")] or fine


def worth(
    selection: Selection, decisions: Sequence[Sequence[int]], rewards: Sequence[float]
) -> np.ndarray:
    """What N different networks are preferred by, float64 [N]: the more the better.

    decisions  int [N, D], in the order of the trials; not looked at where the rewards decide
    rewards    [N], finite
    """
    values = np.array(rewards, float)
    return expected(np.array(decisions), values) if selection == "model" else values


def expected(decisions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """The model's mean of each network's reward, [N]; minus infinity for those it isn't fitted to.

    Of rewards that are all equal, or too few to tell noise from value, themselves.
    """
    means = np.full(len(rewards), -np.inf)
    decisions, targets = decisions[-LARGEST:], rewards[-LARGEST:]
    means[-LARGEST:] = targets
    if len(targets) < 3 or np.ptp(targets) == 0:
        return means
    low, high = np.quantile(targets, [0.25, 0.75])
    if high > low:
        targets = np.maximum(targets, low - kernel.OUTLIER_LIMIT * (high - low))
    middle, unit = targets.mean(), targets.std()
    covariance = _covariance(decisions)
    fits = [_fit(covariance, (targets - middle) / unit, noise) for noise in NOISES]
    _, weights = max(fits, key=lambda fit: fit[0])
    means[-LARGEST:] = middle + unit * covariance @ weights
    return means


def _covariance(decisions: np.ndarray) -> np.ndarray:
    """Prior covariance [N, N] of the values of networks."""
    agree = np.zeros((len(decisions), len(decisions)))
    for column in decisions.T:
        agree += column[:, None] == column[None]
    agree /= decisions.shape[1]
    return kernel.covariance(agree)


def _fit(covariance: np.ndarray, targets: np.ndarray, noise: float) -> tuple[float, np.ndarray]:
    """Logarithm of the likelihood of the targets [N], but for a constant; (K + noise)⁻¹ y."""
    factor, lower = linalg.cho_factor(covariance + noise * np.eye(len(targets)), lower=True)
    weights = linalg.cho_solve((factor, lower), targets)
    # log p(y) = -y·(K + noise)⁻¹ y / 2 - Σ log diag L + constant
    return float(-targets @ weights / 2 - np.log(np.diag(factor)).sum()), weights
