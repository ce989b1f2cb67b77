import itertools
import math
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.evaluation import evaluate_safely
from mnas.evaluators.surrogate import SEED_SPREAD, SurrogateConfig
from mnas.evaluators.surrogate_devices import DEVICES, latency_ms, throughput
from mnas.evaluators.surrogate_fits import (
    CHOICES,
    FITS,
    _coefficients,
    choices_of,
    features,
    predict,
    top1,
)
from mnas.reward import soft

ROOT = Path(__file__).parents[2]
B0 = PUBLISHED["efficientnet-b0"]
SPACE = AccelNasbenchSpace().build()
SIZES = [len(choices) for choices in CHOICES]


def drawn(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SPACE.sizes, (count, len(SPACE.sizes)))


@pytest.fixture(scope="module")
def sample():
    """300 architectures of the space."""
    return [SPACE.decode(vector) for vector in drawn(300)]


def with_block(index: int, **changes):
    """B0 with other fields in one stage."""
    blocks = list(B0.blocks)
    values = {name: getattr(blocks[index], name) for name in blocks[index].__dataclass_fields__}
    blocks[index] = type(blocks[index])(**{**values, **changes})
    return B0.replace(blocks=tuple(blocks))


# --- which networks ---


def test_choices_are_the_decisions_of_the_space():
    assert list(CHOICES) == [decision.choices for decision in SPACE.decisions]
    vectors = np.concatenate([drawn(60), [SPACE.sizes * 0], [SPACE.sizes - 1]])
    architectures = [SPACE.decode(vector) for vector in vectors]
    assert choices_of(architectures).tolist() == vectors.tolist()
    for architecture in architectures:
        SurrogateConfig().check(architecture)


@pytest.mark.parametrize(
    "architecture, place, value, accepted",
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
def test_refusals_name_place_value_and_what_is_accepted(architecture, place, value, accepted):
    refused = architecture.replace(name="odd-one")
    expected = f"surrogate: {place} = {value} of odd-one was never measured; accepted: {accepted}"
    with pytest.raises(ValueError) as caught:
        SurrogateConfig().check(refused)
    assert str(caught.value) == expected
    with pytest.raises(ValueError) as caught:
        top1([B0, refused, B0])
    assert str(caught.value) == expected
    evaluation = evaluate_safely(SurrogateConfig().build(), refused, 0)
    assert evaluation.error == f"ValueError: {expected}"


@pytest.mark.parametrize("skip", ["none", "pool"])
@pytest.mark.parametrize("stage", [0, 6])
def test_a_stage_of_one_layer_has_nothing_to_skip(stage, skip):
    same = with_block(stage, skip=skip)
    assert same.canonical_hash() == B0.canonical_hash()
    assert choices_of([same]).tolist() == choices_of([B0]).tolist()
    assert predict(same) == predict(B0)


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


def test_better_layers_predict_higher():
    smallest, largest = (SPACE.decode(v) for v in (SPACE.sizes * 0, SPACE.sizes - 1))
    for fit in FITS:
        low, b0, high = top1([smallest, B0, largest], fit).mean
        assert 0.3 < low < b0 - 0.2 and b0 < high < 0.72


@pytest.mark.parametrize("fit", FITS)
def test_many_at_once_are_as_one_by_one(fit, sample):
    together = top1(sample, fit)
    assert together.mean.shape == together.std.shape == (len(sample),)
    for n in range(0, len(sample), 20):
        alone = top1([sample[n]], fit)
        assert alone.mean[0] == pytest.approx(together.mean[n], abs=1e-12)
        assert alone.std[0] == pytest.approx(together.std[n], abs=1e-12)


def test_predict_is_every_fit_of_one(sample):
    found = predict(sample[3])
    assert tuple(found) == FITS
    for fit, (mean, std) in found.items():
        assert (mean, std) == tuple(column[0] for column in top1([sample[3]], fit))
        assert type(mean) is type(std) is float


def test_no_architectures_no_predictions():
    for fit in FITS:
        assert top1([], fit).mean.shape == top1([], fit).std.shape == (0,)
    for device in DEVICES:
        assert throughput([], device).shape == latency_ms([], device).shape == (0,)


@pytest.mark.parametrize("fit", FITS)
def test_uncertainty_is_positive_and_larger_for_bad_networks(fit, sample):
    found = top1(sample, fit)
    assert (found.std > 0.001).all() and (found.std < 0.03).all()
    order = np.argsort(found.mean)
    worst, rest = order[:30], order[30:]
    assert found.std[worst].mean() > 1.3 * found.std[rest].mean()
    by_hand = fitted_std(fit, sample[0])
    assert 100 * found.std[0] == pytest.approx(by_hand, rel=1e-9)


def fitted_std(fit: str, architecture) -> float:
    """exp(w0 + w1 l + w2 l² + w3 log d): l the level, d the members' disagreement (ridge: 1)."""
    stored = _coefficients()
    choices = choices_of([architecture])[0]
    members = mlp_members(choices) if fit == "mlp" else [ridge_by_hand(choices)]
    mean = sum(members) / len(members)
    squares = [(member - mean) ** 2 for member in members]
    disagreement = math.sqrt(sum(squares) / (len(members) - 1)) if fit == "mlp" else 1.0
    level = (mean - 60) / 10
    terms = (1.0, level, level**2, math.log(disagreement))
    return math.exp(sum(w * t for w, t in zip(stored[f"{fit}_std"], terms, strict=True)))


def mlp_members(choices: np.ndarray) -> list[float]:
    """What every member predicts of one network, in points; one unit after another."""
    stored = _coefficients()
    starts = [sum(SIZES[:d]) for d in range(len(SIZES))]
    hot = [starts[d] + choice for d, choice in enumerate(choices)]
    ceiling, scale, shift = stored["mlp_link"]
    found = []
    for m in range(len(stored["mlp_kernel0"])):
        units = [
            bias + sum(stored["mlp_kernel0"][m, i, u] for i in hot)
            for u, bias in enumerate(stored["mlp_bias0"][m])
        ]
        units = [z / (1 + math.exp(-z)) for z in units]
        units = [
            bias + sum(unit * stored["mlp_kernel1"][m, i, u] for i, unit in enumerate(units))
            for u, bias in enumerate(stored["mlp_bias1"][m])
        ]
        units = [z / (1 + math.exp(-z)) for z in units]
        z = stored["mlp_bias2"][m, 0]
        z += sum(unit * stored["mlp_kernel2"][m, i, 0] for i, unit in enumerate(units))
        found.append(ceiling - math.exp(-(scale * z + shift)))
    return found


def test_mlp_is_the_mean_of_its_members(sample):
    for architecture in sample[:5]:
        members = mlp_members(choices_of([architecture])[0])
        assert len(members) == 8
        assert 100 * top1([architecture]).mean[0] == pytest.approx(sum(members) / 8, abs=1e-9)


# --- features ---


def contrast(size: int) -> list[list[float]]:
    """[choice][degree]: polynomials of degree 1 to size - 1 on 0 ... size - 1, by Gram and Schmidt.

    Orthogonal to each other and to 1, mean square 1, the last value above 0.
    """
    found = [[1.0] * size]
    for degree in range(1, size):
        values = [float(x**degree) for x in range(size)]
        for other in found:
            share = sum(v * o for v, o in zip(values, other, strict=True)) / size
            values = [v - share * o for v, o in zip(values, other, strict=True)]
        norm = math.sqrt(sum(v * v for v in values) / size)
        found.append([math.copysign(1, values[-1]) * v / norm for v in values])
    return [[found[degree][x] for degree in range(1, size)] for x in range(size)]


def features_by_hand(choices: np.ndarray) -> list[float]:
    singles = [(d, v) for d, c in enumerate(choices) for v in contrast(SIZES[d])[c]]
    pairs = [a * b for (d, a), (e, b) in itertools.combinations(singles, 2) if d != e]
    return [1.0, *(value for _, value in singles), *pairs]


def ridge_by_hand(choices: np.ndarray) -> float:
    return float(np.dot(features_by_hand(choices), _coefficients()["ridge"]))


def test_contrasts_by_hand():
    # Two choices: -1, 1. Three: linear and quadratic, mean square 1.
    assert np.allclose(contrast(2), [[-1], [1]])
    linear, quadratic = math.sqrt(3 / 2), math.sqrt(1 / 2)
    expected = [[-linear, quadratic], [0, -2 * quadratic], [linear, quadratic]]
    assert np.allclose(contrast(3), expected)


def test_features_are_contrasts_and_their_products():
    vectors = np.concatenate([drawn(6), [SPACE.sizes * 0], [SPACE.sizes - 1]])
    found = features(vectors)
    # 43 contrasts; 903 pairs of them, of which 16 are within a decision.
    assert found.shape == (8, 931) and 931 == 1 + 43 + 903 - 16
    assert np.allclose(found, [features_by_hand(vector) for vector in vectors], atol=1e-12)


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


def test_ridge_is_linear_in_the_features(sample):
    for architecture in sample[:5]:
        by_hand = ridge_by_hand(choices_of([architecture])[0])
        assert 100 * top1([architecture], "ridge").mean[0] == pytest.approx(by_hand, abs=1e-9)


# --- devices ---


@pytest.mark.parametrize("device", DEVICES)
def test_larger_networks_are_slower_on_average(device, sample):
    mult_adds = np.array([network_cost(architecture).mult_adds for architecture in sample])
    latency, images = latency_ms(sample, device), throughput(sample, device)
    assert (latency > 0).all() and (images > 0).all()
    order = np.argsort(mult_adds)
    small, large = order[:100], order[-100:]
    assert np.log(latency[large]).mean() > np.log(latency[small]).mean() + 0.2
    assert np.log(images[large]).mean() < np.log(images[small]).mean() - 0.2


@pytest.mark.parametrize("device", DEVICES)
def test_latency_beside_throughput(device, sample):
    ratio = latency_ms(sample, device) / (1000 / throughput(sample, device))
    if device in ("vck190", "zcu102"):  # measured for one image, while several are under way
        assert (ratio > 1.2).all() and ratio.std() > 0.01
    else:
        assert np.allclose(ratio, 1, rtol=1e-12)


def test_b0_on_every_device():
    found = {device: throughput([B0], device)[0] for device in DEVICES}
    assert {device: round(float(images)) for device, images in found.items()} == {
        "a100": 7635, "rtx3090": 5167, "tpuv2": 882, "tpuv3": 1233, "vck190": 2295, "zcu102": 230,
    }  # fmt: skip
    assert latency_ms([B0], "vck190")[0] == pytest.approx(3.819, abs=1e-3)
    assert latency_ms([B0], "zcu102")[0] == pytest.approx(9.114, abs=1e-3)


# --- the evaluator ---


def test_without_noise_the_seed_does_not_matter(sample):
    evaluate = SurrogateConfig().build()
    found = [evaluate(sample[0], seed) for seed in (0, 1, 2**32 - 1)]
    assert {evaluation.accuracy for evaluation in found} == {float(top1([sample[0]]).mean[0])}
    assert all(evaluation.latency_ms is None for evaluation in found)
    assert all(evaluation.error is None and evaluation.seconds > 0 for evaluation in found)
    by_ridge = SurrogateConfig(fit="ridge").build()(sample[0], 0).accuracy
    assert by_ridge == float(top1([sample[0]], "ridge").mean[0]) != found[0].accuracy


def test_noise_is_the_seeds_alone(sample):
    config = SurrogateConfig(noise_points=SEED_SPREAD)
    exact = top1(sample[:20]).mean
    added = [[config.build()(a, seed).accuracy for seed in range(5)] for a in sample[:20]]
    noise = np.array(added) - exact[:, None]
    assert np.allclose(noise, noise[0], atol=1e-12)
    assert len(set(noise[0])) == 5
    evaluate = config.build()
    assert [evaluate(sample[0], seed).accuracy for seed in range(5)] == added[0]


@pytest.mark.parametrize("points", [0.31, 2.0])
def test_noise_has_the_stated_spread(points):
    evaluate = SurrogateConfig(noise_points=points).build()
    exact = 100 * top1([B0]).mean[0]
    noise = np.array([100 * evaluate(B0, seed).accuracy for seed in range(2000)]) - exact
    # Four standard errors of the mean and of the standard deviation.
    assert abs(noise.mean()) < 4 * points / math.sqrt(2000)
    assert abs(noise.std() - points) < 4 * points / math.sqrt(4000)


@pytest.mark.parametrize("device", DEVICES)
def test_latency_is_given_with_a_device_only(device):
    noisy = SurrogateConfig(device=device, noise_points=1.0).build()
    assert noisy(B0, 5).latency_ms == float(latency_ms([B0], device)[0]) == noisy(B0, 6).latency_ms


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"fit": "forest"}, "surrogate: fit = 'forest'; accepted: mlp, ridge"),
        (
            {"device": "cpu"},
            "surrogate: device = 'cpu'; "
            "accepted: None, a100, rtx3090, tpuv2, tpuv3, vck190, zcu102",
        ),
        ({"noise_points": -0.1}, "surrogate: noise_points = -0.1; accepted: 0 or more"),
        ({"noise_points": math.nan}, "surrogate: noise_points = nan; accepted: 0 or more"),
        ({"noise_points": math.inf}, "surrogate: noise_points = inf; accepted: 0 or more"),
    ],
)
def test_mistakes_cost_one_line(settings, message):
    with pytest.raises(ValueError) as caught:
        SurrogateConfig(**settings)
    assert str(caught.value) == message


def test_unknown_fits_and_devices_are_refused():
    with pytest.raises(ValueError, match=r"^surrogate: fit = 'forest'; accepted: mlp, ridge$"):
        top1([B0], "forest")
    for function in (throughput, latency_ms):
        with pytest.raises(ValueError, match=r"^surrogate: device = 'cpu'; accepted: a100, .*02$"):
            function([B0], "cpu")


# --- the file ---


def test_the_coefficients_are_small_and_shipped():
    path = resources.files("mnas.evaluators") / "surrogate.npz"
    assert path.is_file()
    with resources.as_file(path) as file:
        assert file.stat().st_size < 200_000
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert path.name in project["tool"]["setuptools"]["package-data"]["mnas"]
    names = {f"throughput_{device}" for device in DEVICES} | {f"{fit}_std" for fit in FITS}
    assert names | {"ridge", "latency_vck190", "latency_zcu102"} <= set(_coefficients())


def test_predicting_loads_no_jax():
    program = (
        "import sys; from mnas.architecture.published import PUBLISHED as p; from mnas.evaluators.surrogate import predict;"
        "predict(p['efficientnet-b0']); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "mnas" in loaded and not loaded & {"jax", "flax", "optax", "ray", "scipy"}
