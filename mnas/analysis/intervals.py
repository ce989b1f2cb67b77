"""95% intervals: of a proportion, and of the mean of curves over runs."""

import math

import numpy as np

from mnas.loop.selection import half_interval

Z95 = 1.959963984540054  # 97.5% quantile of the standard normal distribution


def wilson(proportion: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a proportion of n trials (Wilson, JASA 22, 1927)."""
    center = (proportion + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    spread = proportion * (1 - proportion) / n + Z95**2 / (4 * n**2)
    half = Z95 * math.sqrt(max(0.0, spread)) / (1 + Z95**2 / n)
    return max(0.0, center - half), min(1.0, center + half)


def mean_band(curves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (mean, half of its 95% interval) over K curves of length T, float64 [T], from [K, T].

    The bootstrap's standard error of the mean over K curves, times the 97.5% quantile of Student's
    t for K - 1 degrees of freedom. For a mean that error has a closed form (Efron and Tibshirani,
    An Introduction to the Bootstrap, 1993, chapter 6), so nothing is resampled; it is widened by
    √(K / (K - 1)), because resamples of few curves vary too little (Hesterberg, The American
    Statistician 69(4), 2015, "narrowness bias"). Quantiles of resamples, the other bootstrap
    interval, are too narrow for few curves: for K = 3 they are the lowest and the highest value,
    between which the mean is in three of four cases. The half of one curve is 0.
    """
    mean, count = curves.mean(0), len(curves)
    if count == 1:
        return mean, np.zeros_like(mean)
    # s √((K - 1) / K) / √K  ·  √(K / (K - 1))  =  s / √K
    return mean, half_interval(1.0, count) * curves.std(0, ddof=1)
