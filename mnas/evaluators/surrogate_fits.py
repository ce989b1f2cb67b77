"""Fits of ImageNet top-1 accuracy to 4,623 trained networks."""

import functools
import itertools
from collections.abc import Sequence
from importlib import resources
from typing import Literal, NamedTuple, get_args

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError

Fit = Literal["mlp", "ridge"]


FITS: tuple[Fit, ...] = get_args(Fit)


# The networks: EfficientNet-B0 with these fields of every block open.
BASE = PUBLISHED["efficientnet-b0"]


FIELDS = ("expand_ratio", "kernel", "repeats", "se_ratio")


CHOICES: tuple[tuple[float, ...], ...] = tuple(
    choices
    for block in range(len(BASE.blocks))
    for choices in ((1, 4, 6), (3, 5), (1, 2, 3, 4) if block == 5 else (1, 2, 3), (0.0, 0.25))
)


_INDEX = [{choice: index for index, choice in enumerate(choices)} for choices in CHOICES]


class Prediction(NamedTuple):
    """Top-1 accuracy, 0 to 1, of N networks after the 16-epoch schedule.

    mean  float64 [N], over seeds
    std   float64 [N], how far one training of such a network lies from it: the seed's spread and
          the fit's own error together, fitted on networks that were held out. Not valid far from
          the measured networks, which the best of a search may be.
    """

    mean: np.ndarray
    std: np.ndarray


def choices_of(architectures: Sequence[Architecture]) -> np.ndarray:
    """The index in `CHOICES` of every block's four fields, int [N, 28].

    Raises ValueError naming what of an architecture the measured networks didn't have.
    """
    rows = [_row(architecture) for architecture in architectures]
    return np.array(rows, np.int64).reshape(len(rows), len(CHOICES))


def _row(architecture: Architecture) -> list[int]:
    if len(architecture.blocks) != len(BASE.blocks):
        raise _refusal(architecture, "len(blocks)", len(architecture.blocks), (len(BASE.blocks),))
    settings = ("resolution", "stem", "stem_kernel", "stem_pool", "head", "classes", "activation")
    for name in settings:
        value, accepted = getattr(architecture, name), getattr(BASE, name)
        if value != accepted:
            raise _refusal(architecture, name, value, (accepted,))
    row = []
    for b, (block, base) in enumerate(zip(architecture.blocks, BASE.blocks, strict=True)):
        for name in ("op", "filters", "stride", "skip"):
            # A stage of one layer that changes filters has nothing to skip.
            if name == "skip" and block.repeats == 1:
                continue
            if getattr(block, name) != getattr(base, name):
                place = f"blocks[{b}].{name}"
                raise _refusal(architecture, place, getattr(block, name), (getattr(base, name),))
        for f, name in enumerate(FIELDS):
            index = _INDEX[len(FIELDS) * b + f].get(getattr(block, name))
            if index is None:
                accepted = CHOICES[len(FIELDS) * b + f]
                place = f"blocks[{b}].{name}"
                raise _refusal(architecture, place, getattr(block, name), accepted)
            row.append(index)
    return row


def _refusal(
    architecture: Architecture, place: str, value: object, accepted: Sequence[object]
) -> ValueError:
    return ValueError(
        f"surrogate: {place} = {value!r} of {architecture.name} was never measured; "
        f"accepted: {', '.join(map(str, accepted))}"
    )


def _require(name: str, value: object, accepted: Sequence[object]) -> None:
    if value not in accepted:
        names = ", ".join(map(str, accepted))
        raise UsageError(f"surrogate: {name} = {value!r}; accepted: {names}")


def top1(architectures: Sequence[Architecture], fit: Fit = "mlp") -> Prediction:
    """Predicted top-1 by one of the fits; ValueError for networks unlike the measured ones."""
    _require("fit", fit, FITS)
    choices = choices_of(architectures)
    points, std = FIT_FUNCTIONS[fit](_coefficients(), choices)
    return Prediction(points / 100, std / 100)


def predict(architecture: Architecture) -> dict[str, tuple[float, float]]:
    """{fit: (mean, standard deviation)} of the top-1 of one network, 0 to 1, by all fits."""
    predictions = {fit: top1([architecture], fit) for fit in FITS}
    return {fit: (float(p.mean[0]), float(p.std[0])) for fit, p in predictions.items()}


def ridge_top1(fitted: dict[str, np.ndarray], choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear in `features`: mean [N] and std [N] in points."""
    # y = x · w
    mean = features(choices) @ fitted["ridge"]
    return mean, _std(fitted["ridge_std"], mean, np.ones_like(mean))


def mlp_top1(fitted: dict[str, np.ndarray], choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The members' mean [N] and std [N] in points; they disagree where they know little."""
    # y_m = ceiling - exp(-(scale · net_m(one-hot) + shift)); y = mean y_m
    net = one_hot(choices)[None]  # [1, N, inputs], then [members, N, units]
    for layer in (0, 1):
        net = _silu(net @ fitted[f"mlp_kernel{layer}"] + fitted[f"mlp_bias{layer}"][:, None])
    net = (net @ fitted["mlp_kernel2"] + fitted["mlp_bias2"][:, None])[..., 0]
    ceiling, scale, shift = fitted["mlp_link"]
    members = ceiling - np.exp(-(scale * net + shift))
    mean = members.mean(0)
    return mean, _std(fitted["mlp_std"], mean, members.std(0, ddof=1))


FIT_FUNCTIONS = {"mlp": mlp_top1, "ridge": ridge_top1}


def uncertainty_basis(mean: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    """[N, 4]: what the logarithm of the standard deviation is linear in."""
    level = (mean - 60) / 10
    return np.stack([np.ones_like(level), level, level**2, np.log(disagreement)], -1)


def _std(weights: np.ndarray, mean: np.ndarray, disagreement: np.ndarray) -> np.ndarray:
    return np.exp(uncertainty_basis(mean, disagreement) @ weights)


def _silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def one_hot(choices: np.ndarray) -> np.ndarray:
    """float64 [N, 71]: every choice's indicator, side by side."""
    sizes = np.array([len(c) for c in CHOICES])
    first = np.cumsum(sizes) - sizes
    hot = np.zeros((len(choices), sizes.sum()))
    hot[np.arange(len(choices))[:, None], first + choices] = 1
    return hot


def features(choices: np.ndarray) -> np.ndarray:
    """float64 [N, F = 931]: 1, a contrast for every choice but one of a kind, and their products.

    The contrasts of one field are orthogonal polynomials, so that a penalty on the coefficients
    doesn't depend on which choice comes first, and pairs measure what the single ones leave over.
    """
    columns, left, right = _contrasts()
    single = columns[np.arange(len(CHOICES)), choices]  # [N, D, 3], zeros where there are fewer
    single = single.reshape(len(choices), 3 * len(CHOICES))[:, _real_columns()]
    ones = np.ones((len(choices), 1))
    return np.concatenate([ones, single, single[:, left] * single[:, right]], 1)


@functools.cache
def _contrasts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Contrast values [D, choices, 3], and the two factors of every pair, int [pairs] each."""
    columns = np.zeros((len(CHOICES), 4, 3))
    owner = []
    for d, choices in enumerate(CHOICES):
        size = len(choices)
        powers = np.vander(np.arange(size), size, increasing=True).astype(float)
        basis = np.linalg.qr(powers)[0]
        basis *= np.sign(basis[-1]) * np.sqrt(size)  # the last choice counts as positive
        columns[d, :size, : size - 1] = basis[:, 1:]
        owner += [d] * (size - 1)
    pairs = [(i, j) for i, j in itertools.combinations(range(len(owner)), 2) if owner[i] < owner[j]]
    left, right = np.array(pairs).T
    return columns, left, right


@functools.cache
def _real_columns() -> np.ndarray:
    return np.concatenate([3 * d + np.arange(len(c) - 1) for d, c in enumerate(CHOICES)])


@functools.cache
def _coefficients() -> dict[str, np.ndarray]:
    path = resources.files("mnas.evaluators") / "surrogate.npz"
    with path.open("rb") as file, np.load(file) as stored:
        return {name: stored[name].astype(np.float64) for name in stored.files}
