"""95% intervals: of a proportion, and of the mean of curves over runs."""

import math

import numpy as np

Z95 = 1.959963984540054  # 97.5% quantile of the standard normal distribution
RESAMPLES = 2000


def wilson(proportion: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a proportion of n trials (Wilson, JASA 22, 1927)."""
    center = (proportion + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    spread = proportion * (1 - proportion) / n + Z95**2 / (4 * n**2)
    half = Z95 * math.sqrt(max(0.0, spread)) / (1 + Z95**2 / n)
    return max(0.0, center - half), min(1.0, center + half)


def bootstrap_band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (mean, low, high) over K curves of length T, float64 [T] each, from [K, T].

    low and high are the 2.5% and 97.5% quantiles of means of resampled curves (Efron and
    Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3): whole curves are resampled,
    the same at every point. One curve is its own band. The resamples are the same in every call.
    """
    count = len(curves)
    mean = curves.mean(0)
    if count == 1:
        return mean, mean, mean
    drawn = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    weights = np.stack([(drawn == index).mean(1) for index in range(count)], 1)  # [R, K]
    low, high = np.quantile(weights @ curves, (0.025, 0.975), axis=0)
    return mean, low, high
