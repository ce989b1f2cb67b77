"""Covariance function and prior of the Gaussian processes over decision vectors.

An inhomogeneous polynomial kernel of degree two on one-hot decisions (Rasmussen and Williams,
Gaussian Processes for Machine Learning, 2006, section 4.2.2), that is, Bayesian linear regression
on all choices and all pairs of choices:

    k(x, y) = 1 + a ((1 - p) s + p s²)

    s  fraction of the decisions in which the networks x and y agree
    a  AMPLITUDE: prior variance of a network's value, in units of the rewards' variance
    p  PAIR_FRACTION: fraction of that variance due to pairs of choices

The 1 is the prior variance of the mean. Doubling or halving a constant changes searches little.

Used by `mnas.loop.smoothing` with NumPy arrays, where a is fitted, and by
`mnas.controllers.core.gaussian_process` with JAX arrays. Imports nothing.
"""

from typing import Any

AMPLITUDE = 4.0
PAIR_FRACTION = 0.3

# Rewards are winsorised at this many interquartile ranges below the lower quartile: a failed child
# carries the information that it is bad, not how bad.
OUTLIER_LIMIT = 3.0


def covariance(agreement: Any, amplitude: float = AMPLITUDE) -> Any:
    """Return the prior covariances, elementwise.

    agreement  array of any shape, s: fraction of agreeing decisions of each pair of networks
    amplitude  a
    """
    # k = 1 + a ((1 - p) s + p s²)
    return 1 + amplitude * ((1 - PAIR_FRACTION) * agreement + PAIR_FRACTION * agreement**2)
