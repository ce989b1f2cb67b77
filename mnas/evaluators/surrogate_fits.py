"""Predictions of ImageNet top-1 accuracy: two fits to 4,623 trained networks.

The networks are EfficientNet-B0 with four fields of each of its seven blocks open; Accel-NASBench
(arXiv 2404.08005) trained them for 16 epochs. The coefficients in `surrogate.npz` are fitted by
`mnas.experiments.fit_surrogate`. The two fits share nothing but the data:

    mlp    mean of eight small networks that predict the logarithm of the distance to a ceiling;
           the more accurate fit on held-out networks
    ridge  linear model of all choices and pairs of choices on top-1 itself; it does not saturate,
           and overestimates the best networks most

Data flow: architectures -> `choices_of` -> `one_hot` or `features` -> `top1`.
Shapes: N architectures, D = 28 choices, F = 931 features.
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Literal, NamedTuple, get_args

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError, require_one_of

OWNER = "surrogate"  # in messages

Fit = Literal["mlp", "ridge"]
FITS: tuple[Fit, ...] = get_args(Fit)

BASE = PUBLISHED["efficientnet-b0"]
# The open fields of each block, and the values of each choice [D].
FIELDS = ("expand_ratio", "kernel", "repeats", "se_ratio")
CHOICES: tuple[tuple[float, ...], ...] = tuple(
    choices
    for block in range(len(BASE.blocks))
    for choices in ((1, 4, 6), (3, 5), (1, 2, 3, 4) if block == 5 else (1, 2, 3), (0.0, 0.25))
)
_FIXED = (
    *("resolution", "stem", "stem_kernel", "stem_stride", "stem_pool", "head", "classes"),
    "activation",
)
_FIXED_IN_BLOCK = ("op", "filters", "stride", "skip")
_INDEX = [{choice: index for index, choice in enumerate(choices)} for choices in CHOICES]

Coefficients = Mapping[str, np.ndarray]


class Prediction(NamedTuple):
    """Top-1 accuracy, 0 to 1, of N networks after the 16-epoch schedule.

    mean  float64 [N], expectation over seeds
    std   float64 [N], standard deviation of a single training around it: the seed's variance and
          the fit's own error together, calibrated on held-out networks. Not valid far from the
          measured networks, where the best networks of a search may lie
    """

    mean: np.ndarray
    std: np.ndarray


# --- networks to features -----------------------------------------------------------------------


def choices_of(architectures: Sequence[Architecture]) -> np.ndarray:
    """Return the index in `CHOICES` of each open field of each block, int [N, D].

    Raises UsageError naming the first field in which a network differs from all measured ones.
    """
    rows = [_row(architecture) for architecture in architectures]
    return np.array(rows, np.int64).reshape(len(rows), len(CHOICES))


def _row(architecture: Architecture) -> list[int]:
    _require(architecture, "len(blocks)", len(architecture.blocks), (len(BASE.blocks),))
    for name in _FIXED:
        _require(architecture, name, getattr(architecture, name), (getattr(BASE, name),))
    row = []
    for b, (block, base) in enumerate(zip(architecture.blocks, BASE.blocks, strict=True)):
        for name in _FIXED_IN_BLOCK:
            # A stage of one layer that changes the filters has no skip connection.
            if name != "skip" or block.repeats > 1:
                value, accepted = getattr(block, name), (getattr(base, name),)
                _require(architecture, f"blocks[{b}].{name}", value, accepted)
        for f, name in enumerate(FIELDS):
            d = len(FIELDS) * b + f
            value = getattr(block, name)
            _require(architecture, f"blocks[{b}].{name}", value, CHOICES[d])
            row.append(_INDEX[d][value])
    return row


def _require(
    architecture: Architecture, field: str, value: object, accepted: Sequence[object]
) -> None:
    if value not in accepted:
        raise UsageError(
            f"{OWNER}: {field} = {value!r} of {architecture.name} was never measured; "
            f"accepted: {', '.join(map(str, accepted))}"
        )


def one_hot(choices: np.ndarray) -> np.ndarray:
    """Return the indicators of all choices [N, D] side by side, float64 [N, 71]."""
    sizes = np.array([len(c) for c in CHOICES])
    first = np.cumsum(sizes) - sizes
    hot = np.zeros((len(choices), sizes.sum()))
    hot[np.arange(len(choices))[:, None], first + choices] = 1
    return hot


def features(choices: np.ndarray) -> np.ndarray:
    """Return 1, the contrasts of all choices [N, D], and their pairwise products, float64 [N, F].

    A choice of k values has k - 1 contrasts, the orthogonal polynomials on them. So a penalty on
    the coefficients doesn't depend on the order of the values, and a product measures the
    interaction alone. Products of two contrasts of the same choice are left out.
    """
    contrasts, left, right = _contrasts()
    single = contrasts[np.arange(len(CHOICES)), choices]  # [N, D, 3], padded with zeros
    single = single.reshape(len(choices), 3 * len(CHOICES))[:, _contrast_columns()]
    ones = np.ones((len(choices), 1))
    return np.concatenate([ones, single, single[:, left] * single[:, right]], 1)


@functools.cache
def _contrasts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return contrast values [D, values, 3], and both factors of each product, int [pairs]."""
    contrasts = np.zeros((len(CHOICES), 4, 3))
    owner = []
    for d, choices in enumerate(CHOICES):
        size = len(choices)
        powers = np.vander(np.arange(size), size, increasing=True).astype(float)
        basis = np.linalg.qr(powers)[0]
        basis *= np.sign(basis[-1]) * np.sqrt(size)  # positive at the last value
        contrasts[d, :size, : size - 1] = basis[:, 1:]
        owner += [d] * (size - 1)
    pairs = [(i, j) for i, j in itertools.combinations(range(len(owner)), 2) if owner[i] < owner[j]]
    left, right = np.array(pairs).T
    return contrasts, left, right


@functools.cache
def _contrast_columns() -> np.ndarray:
    """Return the columns of the flattened contrasts [D * 3] that are no padding."""
    return np.concatenate([3 * d + np.arange(len(c) - 1) for d, c in enumerate(CHOICES)])


# --- features to accuracy -----------------------------------------------------------------------


def top1(architectures: Sequence[Architecture], fit: Fit = "mlp") -> Prediction:
    """Return the prediction of top-1 by one fit.

    Raises UsageError for an unknown fit, or for networks outside the measured space.
    """
    require_one_of(OWNER, "fit", fit, FITS)
    choices = choices_of(architectures)
    points, std = FIT_FUNCTIONS[fit](coefficients(), choices)
    return Prediction(points / 100, std / 100)


def predict(architecture: Architecture) -> dict[str, tuple[float, float]]:
    """Return {fit: (mean, standard deviation)} of one network's top-1, 0 to 1, by all fits."""
    predictions = {fit: top1([architecture], fit) for fit in FITS}
    return {fit: (float(p.mean[0]), float(p.std[0])) for fit, p in predictions.items()}


@functools.cache
def coefficients() -> dict[str, np.ndarray]:
    """Return the fitted coefficients by name, float64; callers must not modify them."""
    path = resources.files("mnas.evaluators") / "surrogate.npz"
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}


def ridge_top1(fitted: Coefficients, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [N] and standard deviation [N] in points, linear in `features`."""
    # y = x · w
    mean = features(choices) @ fitted["ridge"]
    return mean, _std(fitted["ridge_std"], mean, np.ones_like(mean))


def mlp_top1(fitted: Coefficients, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [N] and standard deviation [N] in points of an ensemble of M networks."""
    # y_m = ceiling - exp(-(scale · net_m(one-hot) + shift)),  y = mean of y_m
    net = one_hot(choices)[None]  # [1, N, inputs], then [M, N, units]
    for layer in (0, 1):
        net = _silu(net @ fitted[f"mlp_kernel{layer}"] + fitted[f"mlp_bias{layer}"][:, None])
    net = (net @ fitted["mlp_kernel2"] + fitted["mlp_bias2"][:, None])[..., 0]
    ceiling, scale, shift = fitted["mlp_link"]
    members = ceiling - np.exp(-(scale * net + shift))
    mean = members.mean(0)
    return mean, _std(fitted["mlp_std"], mean, members.std(0, ddof=1))


FitFunction = Callable[[Coefficients, np.ndarray], tuple[np.ndarray, np.ndarray]]
FIT_FUNCTIONS: dict[Fit, FitFunction] = {"mlp": mlp_top1, "ridge": ridge_top1}


def uncertainty_basis(mean: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    """Return the regressors of the logarithm of the standard deviation, [N, 4].

    mean          predicted top-1 in points [N]
    disagreement  standard deviation over the ensemble's members in points [N]; 1 for a single fit
    """
    level = (mean - 60) / 10
    return np.stack([np.ones_like(level), level, level**2, np.log(disagreement)], -1)


def _std(weights: np.ndarray, mean: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    return np.exp(uncertainty_basis(mean, disagreement) @ weights)


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))
