"""Predicted top-1: the accepted networks, the features, and both fits recomputed by hand."""

import itertools
import math
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.errors import UsageError
from mnas.evaluators.surrogate_devices import DEVICES
from mnas.evaluators.surrogate_fits import (
    CHOICES,
    FITS,
    choices_of,
    coefficients,
    features,
    predict,
    top1,
)
from mnas.reward import soft
from tests.evaluators.surrogate_networks import (
    B0,
    SIZES,
    SPACE,
    random_choices,
    sample,
    with_block,
)

# --- networks to choices ---


def test_choices_are_the_decisions_of_the_space():
    assert list(CHOICES) == [decision.choices for decision in SPACE.decisions]
    vectors = np.concatenate([random_choices(60), [SPACE.sizes * 0], [SPACE.sizes - 1]])
    assert choices_of([SPACE.decode(vector) for vector in vectors]).tolist() == vectors.tolist()


@pytest.mark.parametrize(
    "architecture, field, value, accepted",
    [
        (B0.replace(resolution=240), "resolution", "240", "224"),
        (B0.replace(stem=16), "stem", "16", "32"),
        (B0.replace(head=640), "head", "640", "1280"),
        (B0.replace(classes=10), "classes", "10", "1000"),
        (B0.replace(activation="relu"), "activation", "'relu'", "swish"),
        (B0.replace(stem_kernel=5), "stem_kernel", "5", "3"),
        (B0.replace(stem_pool=True), "stem_pool", "True", "False"),
        (B0.replace(blocks=B0.blocks[:6]), "len(blocks)", "6", "7"),
        (B0.replace(blocks=(*B0.blocks, B0.blocks[6])), "len(blocks)", "8", "7"),
        (with_block(2, kernel=7), "blocks[2].kernel", "7", "3, 5"),
        (with_block(1, expand_ratio=3), "blocks[1].expand_ratio", "3", "1, 4, 6"),
        (with_block(1, repeats=4), "blocks[1].repeats", "4", "1, 2, 3"),
        (with_block(5, repeats=5), "blocks[5].repeats", "5", "1, 2, 3, 4"),
        (with_block(3, se_ratio=0.5), "blocks[3].se_ratio", "0.5", "0.0, 0.25"),
        (with_block(4, filters=96), "blocks[4].filters", "96", "112"),
        (with_block(4, stride=2), "blocks[4].stride", "2", "1"),
        (with_block(0, op="conv"), "blocks[0].op", "'conv'", "mbconv"),
        (with_block(1, skip="none"), "blocks[1].skip", "'none'", "identity"),
        (with_block(5, skip="pool"), "blocks[5].skip", "'pool'", "identity"),
    ],
)
def test_errors_name_field_value_and_accepted_values(architecture, field, value, accepted):
    outside = architecture.replace(name="odd-one")
    with pytest.raises(UsageError) as caught:
        top1([B0, outside, B0])
    assert str(caught.value) == (
        f"surrogate: {field} = {value} of odd-one was never measured; accepted: {accepted}"
    )


@pytest.mark.parametrize("skip", ["none", "pool"])
@pytest.mark.parametrize("stage", [0, 6])
def test_skip_is_ignored_in_a_stage_of_one_layer(stage, skip):
    same = with_block(stage, skip=skip)
    assert same.canonical_hash() == B0.canonical_hash()
    assert choices_of([same]).tolist() == choices_of([B0]).tolist()
    assert predict(same) == predict(B0)


def test_an_unknown_fit_is_a_usage_error():
    with pytest.raises(UsageError, match=r"^surrogate: fit = 'forest'; accepted: mlp, ridge$"):
        top1([B0], "forest")


# --- predictions ---


def test_b0():
    assert 100 * top1([B0], "mlp").mean[0] == pytest.approx(65.8723, abs=1e-4)
    assert 100 * top1([B0], "ridge").mean[0] == pytest.approx(65.8169, abs=1e-4)
    assert 100 * top1([B0], "mlp").std[0] == pytest.approx(0.2455, abs=1e-4)
    assert 100 * top1([B0], "ridge").std[0] == pytest.approx(0.4413, abs=1e-4)
    mult_adds = network_cost(B0).mult_adds
    assert round(mult_adds / 1e6, 1) == 385.8
    for fit in FITS:
        assert soft(top1([B0], fit).mean[0], mult_adds, 400e6) == pytest.approx(0.660, abs=5e-4)


def test_larger_networks_have_higher_predictions():
    smallest, largest = (SPACE.decode(v) for v in (SPACE.sizes * 0, SPACE.sizes - 1))
    for fit in FITS:
        low, b0, high = top1([smallest, B0, largest], fit).mean
        assert 0.3 < low < b0 - 0.2 and b0 < high < 0.72


@pytest.mark.parametrize("fit", FITS)
def test_a_batch_is_predicted_as_one_by_one(fit):
    batch = top1(sample(), fit)
    assert batch.mean.shape == batch.std.shape == (len(sample()),)
    for n in range(0, len(sample()), 20):
        single = top1([sample()[n]], fit)
        assert single.mean[0] == pytest.approx(batch.mean[n], abs=1e-12)
        assert single.std[0] == pytest.approx(batch.std[n], abs=1e-12)


def test_predict_returns_every_fit():
    predictions = predict(sample()[3])
    assert tuple(predictions) == FITS
    for fit, (mean, std) in predictions.items():
        assert (mean, std) == tuple(column[0] for column in top1([sample()[3]], fit))
        assert type(mean) is type(std) is float


def test_an_empty_batch_has_empty_predictions():
    for fit in FITS:
        assert top1([], fit).mean.shape == top1([], fit).std.shape == (0,)


# --- the formulas, by hand ---


def contrasts_by_hand(size: int) -> list[list[float]]:
    """Return [value][degree]: polynomials of degree 1 to size - 1 on 0 ... size - 1.

    By Gram and Schmidt: orthogonal to each other and to 1, mean square 1, positive at the end.
    """
    basis = [[1.0] * size]
    for degree in range(1, size):
        values = [float(x**degree) for x in range(size)]
        for other in basis:
            projection = sum(v * o for v, o in zip(values, other, strict=True)) / size
            values = [v - projection * o for v, o in zip(values, other, strict=True)]
        norm = math.sqrt(sum(v * v for v in values) / size)
        basis.append([math.copysign(1, values[-1]) * v / norm for v in values])
    return [[basis[degree][x] for degree in range(1, size)] for x in range(size)]


def features_by_hand(choices: np.ndarray) -> list[float]:
    singles = [(d, v) for d, c in enumerate(choices) for v in contrasts_by_hand(SIZES[d])[c]]
    pairs = [a * b for (d, a), (e, b) in itertools.combinations(singles, 2) if d != e]
    return [1.0, *(value for _, value in singles), *pairs]


def ridge_by_hand(choices: np.ndarray) -> float:
    return float(np.dot(features_by_hand(choices), coefficients()["ridge"]))


def mlp_by_hand(choices: np.ndarray) -> list[float]:
    """Return each member's prediction for one network, in points, unit by unit."""
    fitted = coefficients()
    starts = [sum(SIZES[:d]) for d in range(len(SIZES))]
    hot = [starts[d] + choice for d, choice in enumerate(choices)]
    ceiling, scale, shift = fitted["mlp_link"]
    predictions = []
    for m in range(len(fitted["mlp_kernel0"])):
        units = [
            bias + sum(fitted["mlp_kernel0"][m, i, u] for i in hot)
            for u, bias in enumerate(fitted["mlp_bias0"][m])
        ]
        units = [z / (1 + math.exp(-z)) for z in units]
        units = [
            bias + sum(unit * fitted["mlp_kernel1"][m, i, u] for i, unit in enumerate(units))
            for u, bias in enumerate(fitted["mlp_bias1"][m])
        ]
        units = [z / (1 + math.exp(-z)) for z in units]
        z = fitted["mlp_bias2"][m, 0]
        z += sum(unit * fitted["mlp_kernel2"][m, i, 0] for i, unit in enumerate(units))
        predictions.append(ceiling - math.exp(-(scale * z + shift)))
    return predictions


def std_by_hand(fit: str, architecture) -> float:
    """exp(w0 + w1 l + w2 l² + w3 log d): l the level, d the members' disagreement (ridge: 1)."""
    choices = choices_of([architecture])[0]
    members = mlp_by_hand(choices) if fit == "mlp" else [ridge_by_hand(choices)]
    mean = sum(members) / len(members)
    squares = [(member - mean) ** 2 for member in members]
    disagreement = math.sqrt(sum(squares) / (len(members) - 1)) if fit == "mlp" else 1.0
    level = (mean - 60) / 10
    terms = (1.0, level, level**2, math.log(disagreement))
    return math.exp(sum(w * t for w, t in zip(coefficients()[f"{fit}_std"], terms, strict=True)))


def test_contrasts_by_hand():
    # Two values: -1, 1. Three: linear and quadratic, mean square 1.
    assert np.allclose(contrasts_by_hand(2), [[-1], [1]])
    linear, quadratic = math.sqrt(3 / 2), math.sqrt(1 / 2)
    expected = [[-linear, quadratic], [0, -2 * quadratic], [linear, quadratic]]
    assert np.allclose(contrasts_by_hand(3), expected)


def test_features_are_contrasts_and_their_products():
    vectors = np.concatenate([random_choices(6), [SPACE.sizes * 0], [SPACE.sizes - 1]])
    computed = features(vectors)
    # 43 contrasts; 903 pairs of them, of which 16 are within a decision.
    assert computed.shape == (8, 931) and 931 == 1 + 43 + 903 - 16
    assert np.allclose(computed, [features_by_hand(vector) for vector in vectors], atol=1e-12)


def test_contrasts_of_a_decision_are_orthogonal():
    first = 1
    for d, size in enumerate(SIZES):
        vectors = np.zeros((size, len(SIZES)), int)
        vectors[:, d] = range(size)
        own = features(vectors)[:, first : first + size - 1]
        assert np.allclose(own.T @ own, size * np.eye(size - 1), atol=1e-12)
        assert np.allclose(own.sum(0), 0, atol=1e-12)
        first += size - 1
    assert first == 1 + 43


def test_ridge_is_linear_in_the_features():
    for architecture in sample()[:5]:
        by_hand = ridge_by_hand(choices_of([architecture])[0])
        assert 100 * top1([architecture], "ridge").mean[0] == pytest.approx(by_hand, abs=1e-9)


def test_mlp_is_the_mean_of_its_members():
    for architecture in sample()[:5]:
        members = mlp_by_hand(choices_of([architecture])[0])
        assert len(members) == 8
        assert 100 * top1([architecture]).mean[0] == pytest.approx(sum(members) / 8, abs=1e-9)


@pytest.mark.parametrize("fit", FITS)
def test_standard_deviation_is_positive_and_larger_for_poor_networks(fit):
    prediction = top1(sample(), fit)
    assert (prediction.std > 0.001).all() and (prediction.std < 0.03).all()
    order = np.argsort(prediction.mean)
    worst, rest = order[:30], order[30:]
    assert prediction.std[worst].mean() > 1.3 * prediction.std[rest].mean()
    by_hand = std_by_hand(fit, sample()[0])
    assert 100 * prediction.std[0] == pytest.approx(by_hand, rel=1e-9)


# --- the file ---


def test_the_coefficients_file_is_small_complete_and_packaged():
    path = resources.files("mnas.evaluators") / "surrogate.npz"
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert path.name in project["tool"]["setuptools"]["package-data"]["mnas.evaluators"]
    with resources.as_file(path) as file:
        assert file.stat().st_size < 200_000
    names = {f"throughput_{device}" for device in DEVICES} | {f"{fit}_std" for fit in FITS}
    assert names | {"ridge", "latency_vck190", "latency_zcu102"} <= set(coefficients())
