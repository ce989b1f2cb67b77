"""Smoothing of noisy measurements of networks: posterior means of a Gaussian process.

Each network's value is estimated from the measurements of all networks, by what networks have in
common: their decisions, and what is known of them without training (mult-adds, parameters, depth).

    k(x, y) = 1 + a ((1 - p) s + p s²) + c u·v / C

    s     fraction of the decisions in which the networks x and y agree (`mnas.loop.kernel`)
    a     prior variance due to decisions, one of `AMPLITUDES`
    u, v  standardised covariates of x and y
    c     prior variance due to covariates, one of `COVARIATE_AMPLITUDES`

The mean of n measurements of a network has the noise variance σ² / n, with σ² one of `NOISES`. All
are in units of the measurements' variance. Those of the highest marginal likelihood are used
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, section 5.4.1). The
controllers' model is another one (`mnas.controllers.core.gaussian_process`). Imports no JAX.

Shapes: N networks, D decisions, C covariates.
"""

import itertools

import numpy as np
from scipy import linalg

from mnas.loop import kernel

AMPLITUDES = (0.1, 0.3, 1.0)
COVARIATE_AMPLITUDES = (0.1, 1.0)
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
# The model is fitted to this many of the latest networks, and its amplitudes and noise to so many:
# O(N³), seconds at this size.
LARGEST, LARGEST_CHOICE = 4000, 500


def covariates(mult_adds: np.ndarray, params: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Return log mult-adds, log params and depth of networks, float64 [N, 3]."""
    logs = [np.log(np.maximum(counts, 1)) for counts in (mult_adds, params)]
    return np.column_stack([*logs, depth]).astype(float)


def posterior_means(
    decisions: np.ndarray,
    known: np.ndarray,
    values: np.ndarray,
    counts: np.ndarray | None = None,
) -> np.ndarray:
    """Return the posterior mean of each network's value, float64 [N].

    decisions  int [N, D]; D may be 0
    known      covariates, float [N, C]
    values     means of the measurements, float [N], finite
    counts     numbers of measurements, [N]; 1 by default

    Minus infinity for networks before the last `LARGEST`. The values themselves where they are all
    equal or fewer than three, too few to estimate the noise.
    """
    means = np.full(len(values), -np.inf)
    decisions, known, targets = decisions[-LARGEST:], known[-LARGEST:], values[-LARGEST:]
    weights = np.ones(len(targets)) if counts is None else counts[-LARGEST:]
    means[-LARGEST:] = targets
    if len(targets) < 3 or np.ptp(targets) == 0:
        return means
    low, high = np.quantile(targets, [0.25, 0.75])
    if high > low:
        targets = np.maximum(targets, low - kernel.OUTLIER_LIMIT * (high - low))
    center, scale = targets.mean(), targets.std()
    targets = (targets - center) / scale
    standard = _standardised(known)
    choice = slice(-LARGEST_CHOICE, None)
    amplitudes, noise = _likeliest(
        decisions[choice], standard[choice], targets[choice], weights[choice]
    )
    covariance = _covariance(decisions, standard, *amplitudes)
    _, solution = _fit(covariance, targets, noise / weights)
    means[-LARGEST:] = center + scale * covariance @ solution
    return means


def _likeliest(
    decisions: np.ndarray, standard: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[tuple[float, float], float]:
    """Return the amplitudes and the noise variance of the highest marginal likelihood."""
    best: tuple[float, tuple[float, float], float] | None = None
    for amplitudes in itertools.product(AMPLITUDES, COVARIATE_AMPLITUDES):
        covariance = _covariance(decisions, standard, *amplitudes)
        for noise in NOISES:
            likelihood, _ = _fit(covariance, targets, noise / weights)
            if best is None or likelihood > best[0]:
                best = likelihood, amplitudes, noise
    assert best is not None
    return best[1:]


def _standardised(known: np.ndarray) -> np.ndarray:
    """Return the covariates with mean 0 and standard deviation 1; 0 where all are equal."""
    centered = known - known.mean(0)
    return centered / np.where(np.ptp(known, axis=0) > 0, known.std(0), 1)


def _covariance(
    decisions: np.ndarray, standard: np.ndarray, amplitude: float, covariate_amplitude: float
) -> np.ndarray:
    """Return the prior covariances of the networks' values, [N, N]."""
    agreement = np.zeros((len(decisions), len(decisions)))
    for column in decisions.T:
        agreement += column[:, None] == column[None]
    agreement /= max(decisions.shape[1], 1)
    covariance: np.ndarray = kernel.covariance(agreement, amplitude)
    return covariance + covariate_amplitude / max(standard.shape[1], 1) * standard @ standard.T


def _fit(
    covariance: np.ndarray, targets: np.ndarray, noise: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return (log marginal likelihood up to a constant, (K + diag noise)⁻¹ y [N])."""
    factor, lower = linalg.cho_factor(covariance + np.diag(noise), lower=True)
    solution = linalg.cho_solve((factor, lower), targets)
    # log p(y) = -yᵀ (K + diag noise)⁻¹ y / 2 - Σ log diag L + constant
    return float(-targets @ solution / 2 - np.log(np.diag(factor)).sum()), solution
