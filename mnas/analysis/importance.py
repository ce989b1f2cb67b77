"""Importance of decisions for the reward, by a Gaussian process over the networks of a run.

The process has the covariance of `mnas.loop.kernel` over what `mnas.analysis.decisions` finds. The
main effect of a decision d is the mean value of networks with each of its values, over uniform
and independent choices of all others, minus the mean of all networks:

    m_d(v) = E[f(x) | x_d = v] - E[f(x)]

It is linear in f, so its posterior is Gaussian too. A decision's importance is the standard
deviation of m_d over its values, in units of the reward; for f of main effects only, its square is
d's part of the variance of f (a Sobol index of first order; Saltelli et al., Global Sensitivity
Analysis, 2008, section 1.2.9). Other than in the means of a search's own networks, the controller's
preference for some choices does not count as an effect of others. Imports no JAX.

Letters: N networks, D decisions, K values of a decision, S posterior samples.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
from scipy import linalg

from mnas.analysis.decisions import Decision, coded
from mnas.experiment.results import Run
from mnas.loop import kernel
from mnas.loop.selection import candidates

# Prior variances of a network's value and of the noise, in units of the rewards' variance; those of
# the highest marginal likelihood are used, as in `mnas.loop.smoothing`.
AMPLITUDES = (0.3, 1.0, 3.0, 10.0, 30.0)
NOISES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0)
# Evenly spaced networks that the model is fitted to, and amplitude and noise are chosen by: O(N³).
LARGEST, LARGEST_CHOICE = 1000, 300
LEAST = 10  # networks
SAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Importance:
    """Importance of a decision: median and 95% interval of its posterior, reward."""

    name: str
    median: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Importances:
    """Importances of all decisions, the largest median first.

    networks  number of networks that the model was fitted to
    noise     its noise variance, as a fraction of the rewards' variance: noise of the evaluations,
              and what main effects and pairs don't explain
    """

    items: tuple[Importance, ...]
    networks: int
    noise: float


def importances(run: Run, every: Sequence[Decision]) -> Importances | None:
    """Return the importances of a run's decisions (`mnas.analysis.decisions.decisions`).

    None where fewer than `LEAST` networks are complete, or where all have the same reward. The same
    in every call.
    """
    complete = candidates(run.results)
    rewards = np.array([result.reward for result in complete], float)
    if len(complete) < LEAST or np.ptp(rewards) == 0 or not every:
        return None
    low, high = np.quantile(rewards, (0.25, 0.75))
    if high > low:
        rewards = np.maximum(rewards, low - kernel.OUTLIER_LIMIT * (high - low))
    scale = rewards.std()
    values = (rewards - rewards.mean()) / scale
    few = _spaced(len(complete), LARGEST_CHOICE)
    some = _spaced(len(complete), LARGEST)
    codes = coded(every, [complete[index] for index in some])
    in_some = np.searchsorted(some, few[np.isin(few, some)])
    amplitude, noise = _likeliest(codes[in_some], values[some][in_some])
    counts = [len(decision.values) for decision in every]
    sampled = _importance_samples(codes, counts, values[some], amplitude, noise)
    quantiles = scale * np.quantile(sampled, (0.5, 0.025, 0.975), axis=1)
    items = [
        Importance(decision.name, *map(float, numbers))
        for decision, numbers in zip(every, quantiles.T, strict=True)
    ]
    items.sort(key=lambda item: -item.median)
    return Importances(tuple(items), len(some), noise)


def _spaced(length: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(int))


def _agreement(codes: np.ndarray) -> np.ndarray:
    """Return the fraction of decisions in which each pair of networks agrees, [N, N]."""
    agreement = np.zeros((len(codes), len(codes)))
    for column in codes.T:
        agreement += column[:, None] == column[None]
    return agreement / codes.shape[1]


def _likeliest(codes: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the amplitude and the noise variance of the highest marginal likelihood."""
    agreement, identity = _agreement(codes), np.eye(len(codes))
    found = []
    for amplitude, noise in itertools.product(AMPLITUDES, NOISES):
        covariance = kernel.covariance(agreement, amplitude) + noise * identity
        factor = linalg.cho_factor(covariance, lower=True)
        # log p(y) = -yᵀ (K + noise)⁻¹ y / 2 - Σ log diag L + constant
        fit = values @ linalg.cho_solve(factor, values) / 2 + np.log(np.diag(factor[0])).sum()
        found.append((float(fit), amplitude, noise))
    return min(found)[1:]


def weights(counts: Sequence[int], amplitude: float) -> np.ndarray:
    """Return w_d for each decision, with cov(m_d(v), f(y)) = w_d ([v = y_d] - 1 / K_d), [D].

    The mean of s over uniform choices of all decisions but d is ([v = y_d] + T_d) / D with
    T_d = Σ 1 / K_e over e ≠ d, and that of s² is ([v = y_d] (1 + 2 T_d) + constant) / D².
    """
    inverse = 1 / np.array(counts, float)
    others, d, p = inverse.sum() - inverse, len(counts), kernel.PAIR_FRACTION
    # k = 1 + a ((1 - p) s + p s²)
    result: np.ndarray = amplitude * ((1 - p) / d + p * (1 + 2 * others) / d**2)
    return result


def _importance_samples(
    codes: np.ndarray,
    counts: Sequence[int],
    values: np.ndarray,
    amplitude: float,
    noise: float,
) -> np.ndarray:
    """Return samples of every decision's importance in units of the values, float64 [D, S]."""
    covariance = kernel.covariance(_agreement(codes), amplitude) + noise * np.eye(len(codes))
    factor = linalg.cholesky(covariance, lower=True)
    whitened = linalg.solve_triangular(factor, values, lower=True)
    random = np.random.default_rng(0)
    found = []
    for column, count, weight in zip(codes.T, counts, weights(counts, amplitude), strict=True):
        cross = weight * ((np.arange(count)[:, None] == column) - 1 / count)  # [K, N]
        half = linalg.solve_triangular(factor, cross.T, lower=True)  # [N, K]
        prior = weight * (np.eye(count) - 1 / count)
        roots, vectors = np.linalg.eigh(prior - half.T @ half)
        root = vectors * np.sqrt(np.maximum(roots, 0.0))  # singular: effects have a sum of 0
        effects = half.T @ whitened + random.standard_normal((SAMPLES, count)) @ root.T  # [S, K]
        found.append(np.sqrt((effects**2).mean(1)))
    return np.array(found)
