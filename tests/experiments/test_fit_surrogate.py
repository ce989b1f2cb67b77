"""Fits of the ImageNet surrogate: the table, the fits, their uncertainty, cross-validation."""

import csv
import functools
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from mnas.evaluators.surrogate_fits import (
    CHOICES,
    FIT_FUNCTIONS,
    coefficients,
    features,
    uncertainty_basis,
)
from mnas.experiments import fit_surrogate
from mnas.experiments.fit_surrogate import (
    DEVICE_COLUMNS,
    cross_validate,
    cross_validate_device,
    fit_devices,
    fit_uncertainty,
    folds,
    main,
    r2,
    read,
    solve,
)

SIZES = np.array([len(choices) for choices in CHOICES])


def random_choices(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, SIZES, (count, len(SIZES)))


# --- the table ---


def row(**changes: str) -> dict[str, str]:
    """Return a row of the table: B0 but for `changes`, and columns that are not read."""
    blocks = [(1, 3, 1), (6, 3, 2), (6, 5, 2), (6, 3, 3), (6, 5, 3), (6, 5, 4), (6, 3, 1)]
    line = {"id": "0", "val_top1": "65.5", "params_m": "5.3"}
    for b, (expand_ratio, kernel, layers) in enumerate(blocks):
        fields = {"e": expand_ratio, "k": kernel, "l": layers, "se": 1}
        line |= {f"block{b}_{field}": str(value) for field, value in fields.items()}
    line |= {column: str(100 + n) for n, column in enumerate(DEVICE_COLUMNS.values())}
    return line | changes


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, sorted(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_reads_choices_accuracy_and_devices(name, tmp_path):
    rows = [
        row(),
        row(block0_e="4", block5_l="1", block6_se="0", val_top1="61.25", latency_vck190=""),
        row(throughput_3090="", throughput_a100="7.5e3"),
    ]
    choices, top1, devices = read(write_table(tmp_path / name, rows))
    b0 = [0, 0, 0, 1, 2, 0, 1, 1, 2, 1, 1, 1, 2, 0, 2, 1, 2, 1, 2, 1, 2, 1, 3, 1, 2, 0, 0, 1]
    other = list(b0)
    other[0], other[4 * 5 + 2], other[27] = 1, 0, 0
    assert choices.tolist() == [b0, other, b0]
    assert top1.tolist() == [65.5, 61.25, 65.5]
    assert list(devices) == list(DEVICE_COLUMNS)
    assert devices["throughput_a100"].tolist() == [100, 100, 7500]
    gaps = {name: np.flatnonzero(np.isnan(values)).tolist() for name, values in devices.items()}
    assert gaps == {name: [] for name in DEVICE_COLUMNS} | {
        "latency_vck190": [1],
        "throughput_rtx3090": [2],
    }


def test_names_what_cannot_be_read(tmp_path):
    path = write_table(tmp_path / "table.csv", [row(), row(block3_k="7")])
    with pytest.raises(ValueError, match=r"table.csv, row 2: block3_k = '7'; accepted: 3, 5$"):
        read(path)
    path = write_table(tmp_path / "table.csv", [row(block3_se="0.25")])
    with pytest.raises(ValueError, match=r"row 1: block3_se = '0.25'; accepted: 0, 1$"):
        read(path)
    short = row()
    del short["latency_zcu102"]
    with pytest.raises(ValueError, match=r"has no column latency_zcu102$"):
        read(write_table(tmp_path / "table.csv", [short]))
    path.write_text(",".join(row()))
    with pytest.raises(ValueError, match=r"has no rows$"):
        read(path)
    with pytest.raises(ValueError, match=r"absent.csv.gz can't be read: No such file"):
        main([str(tmp_path / "absent.csv.gz")])
    with pytest.raises(ValueError, match=r"^0 arguments; accepted: the table"):
        main([])


# --- ridge ---


@pytest.fixture(scope="module")
def noise_free():
    """Return features of 1,500 networks, known coefficients [931], and noise-free targets."""
    x = features(random_choices(1500))
    known = np.random.default_rng(1).normal(size=x.shape[1])
    known[0] = 60
    return x, known, x @ known


def test_recovers_known_coefficients_without_penalty(noise_free, monkeypatch):
    x, known, y = noise_free
    monkeypatch.setattr(fit_surrogate, "PENALTY_SINGLE", 0.0)
    monkeypatch.setattr(fit_surrogate, "PENALTY_PAIR", 0.0)
    assert np.allclose(solve(x, y), known, atol=1e-7)


def test_penalty_shrinks_pairs_more_than_singles(noise_free):
    x, known, y = noise_free
    fitted = solve(x, y)
    assert r2(y, x @ fitted) > 0.999
    # Shrunk, the pairs more than the single choices.
    single, pair = (np.abs(fitted - known)[part].mean() for part in (slice(1, 44), slice(44, None)))
    assert 0.001 < single < pair < 0.2


def test_ridge_equals_least_squares_with_penalty_rows(noise_free):
    # Ridge regression is plain least squares with a row sqrt(λ) for every coefficient.
    x, _, y = noise_free
    roots = np.sqrt([0.0] + [1.0] * 43 + [10.0] * (931 - 44))
    by_rows = np.linalg.lstsq(np.vstack([x, np.diag(roots)]), np.append(y, np.zeros(931)))[0]
    assert np.allclose(solve(x, y), by_rows, atol=1e-7)


def test_constant_is_not_penalised(noise_free):
    x, _, y = noise_free
    moved = solve(x, y + 1000) - solve(x, y)
    assert moved[0] == pytest.approx(1000, abs=1e-6)
    assert np.allclose(moved[1:], 0, atol=1e-6)


def test_device_fits_ignore_gaps():
    # The logarithm is linear in the features here.
    x = features(random_choices(1500))
    coefficients = np.zeros(931)
    coefficients[[0, 1, 5, 100]] = 5, 0.4, -0.3, 0.2
    values = np.exp(x @ coefficients)
    values[::7] = np.nan
    fitted = fit_devices(x, {"somewhere": values})
    assert list(fitted) == ["somewhere"] and fitted["somewhere"].dtype == np.float32
    assert np.allclose(fitted["somewhere"], coefficients, atol=0.02)
    explained, tau, error = cross_validate_device(x, values)
    assert explained > 0.995 and tau > 0.9 and error < 0.03


# --- uncertainty ---


def synthetic(count: int, weights: np.ndarray, agreeing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return a basis [N, 4] and errors with the standard deviation that the weights give."""
    rng = np.random.default_rng(0)
    mean = rng.uniform(45, 68, count)
    disagreement = np.ones(count) if agreeing else np.exp(rng.normal(-1, 0.5, count))
    basis = uncertainty_basis(mean, disagreement)
    return basis, rng.normal(size=count) * np.exp(basis @ weights)


def test_uncertainty_recovers_known_weights():
    weights = np.array([-0.5, -0.4, 0.2, 0.6])
    basis, errors = synthetic(40_000, weights, agreeing=False)
    fitted = fit_uncertainty(basis, errors)
    # The inverse of the Hessian, 2 BᵀB, is the variance of the estimate.
    std = np.sqrt(np.diag(np.linalg.inv(2 * basis.T @ basis)))
    assert (std < 0.02).all()
    assert (np.abs(fitted - weights) < 4 * std).all()


def test_uncertainty_ignores_constant_disagreement():
    weights = np.array([-0.8, -0.3, 0.4, 0.0])
    basis, errors = synthetic(40_000, weights, agreeing=True)
    fitted = fit_uncertainty(basis, errors)
    assert fitted[3] == 0  # log 1 carries no information
    assert np.allclose(fitted, weights, atol=0.03)


def test_uncertainty_of_equal_errors_is_their_standard_deviation():
    basis, _ = synthetic(1000, np.zeros(4), agreeing=True)
    constant = basis * [1, 0, 0, 0]
    fitted = fit_uncertainty(constant, np.tile([3.0, -3.0], 500))
    assert np.allclose(fitted, [np.log(3), 0, 0, 0], atol=1e-6)


# --- cross-validation ---


def test_r2_matches_hand_computed_values():
    measured = np.array([1.0, 2.0, 3.0, 6.0])  # mean 3, squares around it 4 + 1 + 0 + 9 = 14
    assert r2(measured, measured) == 1
    assert r2(measured, np.full(4, 3.0)) == 0
    assert r2(measured, np.array([2.0, 1.0, 3.0, 8.0])) == pytest.approx(1 - 6 / 14)
    assert r2(measured, -measured) < 0


def test_folds_are_of_equal_size_and_reproducible():
    fold = folds(103)
    assert sorted(np.bincount(fold)) == [20, 20, 21, 21, 21]
    assert (fold == folds(103)).all() and (fold[:-1] > fold[1:]).any()


def test_cross_validation_holds_out_the_rows_it_predicts(monkeypatch):
    # A fitter that memorises its rows would be perfect if any of them were held-out rows too.
    choices = random_choices(500)
    top1 = np.random.default_rng(3).normal(60, 1, 500)  # independent of the choices

    def memorise(choices, top1):
        table = {tuple(c): t for c, t in zip(choices.tolist(), top1, strict=True)}
        return {"table": table, "ridge": np.zeros(931)}

    def recall(fitted, choices):
        mean = np.array([fitted["table"].get(tuple(c), 60.0) for c in choices.tolist()])
        return mean, np.ones_like(mean)

    monkeypatch.setitem(fit_surrogate.FITTERS, "ridge", memorise)
    monkeypatch.setitem(fit_surrogate.FIT_FUNCTIONS, "ridge", recall)
    validation = cross_validate("ridge", choices, top1)
    assert validation.r2 < 0.01
    assert validation.error == pytest.approx(top1.std())
    assert validation.weights[0] == pytest.approx(np.log(top1.std()), abs=0.01)
    assert validation.covered[0] == pytest.approx(0.683, abs=0.06)
    assert validation.covered[1] == pytest.approx(0.95, abs=0.03)


def test_cross_validates_ridge_on_linear_data():
    choices = random_choices(1200)
    rng = np.random.default_rng(4)
    coefficients = np.concatenate([[60], rng.normal(size=43), np.zeros(887)])
    top1 = features(choices) @ coefficients + rng.normal(0, 0.3, 1200)
    validation = cross_validate("ridge", choices, top1)
    assert validation.r2 > 0.97 and validation.tau > 0.9
    assert 0.3 < validation.error < 1.0
    assert validation.covered[1] == pytest.approx(0.95, abs=0.03)


def test_command_writes_the_fits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fit_surrogate, "FITTERS", {"ridge": fit_surrogate.fit_ridge})
    monkeypatch.setattr(fit_surrogate, "DEVICE_COLUMNS", {"throughput_a100": "throughput_a100"})
    rng, fields, rows = np.random.default_rng(5), ("e", "k", "l", "se"), []
    for vector in random_choices(200):
        line = row(val_top1=f"{rng.normal(60, 3):.3f}", throughput_a100=f"{rng.uniform(1, 9):.3f}")
        for d, choice in enumerate(vector):
            value = choice if d % 4 == 3 else CHOICES[d][choice]
            line[f"block{d // 4}_{fields[d % 4]}"] = str(value)
        rows.append(line)
    path, out = write_table(tmp_path / "table.csv.gz", rows), tmp_path / "fitted.npz"
    assert main([str(path), str(out)]) == 0
    choices, top1, devices = read(path)
    assert (choices == random_choices(200)).all()
    with np.load(out) as stored:
        assert set(stored) == {"ridge", "ridge_std", "throughput_a100"}
        assert np.allclose(stored["ridge"], solve(features(choices), top1), rtol=1e-5, atol=1e-5)
        assert (stored["ridge_std"] == cross_validate("ridge", choices, top1).weights).all()
        by_device = fit_devices(features(choices), devices)["throughput_a100"]
        assert (stored["throughput_a100"] == by_device).all()
    shown = capsys.readouterr().out
    assert "top-1, ridge" in shown and "throughput_a100, log" in shown and "fitted.npz" in shown


# --- the real table ---


@functools.cache
def table() -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    if "MNAS_ACCEL_NASBENCH" not in os.environ:
        pytest.skip("MNAS_ACCEL_NASBENCH does not name the table (see experiments/fit_surrogate)")
    loaded = read(Path(os.environ["MNAS_ACCEL_NASBENCH"]))
    assert len(loaded[0]) == 4623
    return loaded


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, least_r2, least_tau", [("mlp", 0.984, 0.925), ("ridge", 0.978, 0.91)]
)
def test_fits_predict_held_out_networks(name, least_r2, least_tau):
    choices, top1, _ = table()
    validation = cross_validate(name, choices, top1)
    print(name, validation)
    assert validation.r2 >= least_r2 and validation.tau >= least_tau
    assert validation.covered[0] == pytest.approx(0.683, abs=0.06)
    assert validation.covered[1] == pytest.approx(0.95, abs=0.03)
    assert validation.covered[2] == pytest.approx(0.95, abs=0.05)
    # The shipped fits have these standard deviations.
    shipped = coefficients()
    stated = FIT_FUNCTIONS[name](shipped, choices)[1]
    again = FIT_FUNCTIONS[name](shipped | {f"{name}_std": validation.weights}, choices)[1]
    assert np.allclose(again, stated, rtol=0.1)


# Equal to the last digit on one machine; training rounds differently on another.
@pytest.mark.slow
@pytest.mark.parametrize("name, tolerance", [("mlp", 0.1), ("ridge", 0.02)])
def test_refitting_reproduces_the_shipped_fits(name, tolerance):
    choices, top1, _ = table()
    shipped = coefficients()
    fitted = {
        k: v.astype(np.float64) for k, v in fit_surrogate.FITTERS[name](choices, top1).items()
    }
    assert set(fitted) == {k for k in shipped if k.startswith(name)} - {f"{name}_std"}
    again = FIT_FUNCTIONS[name](shipped | fitted, choices)[0]
    differences = np.abs(again - FIT_FUNCTIONS[name](shipped, choices)[0])
    print(name, "differs by at most", differences.max(), "points")
    assert differences.max() < tolerance


@pytest.mark.slow
def test_devices_are_predicted_and_refitted():
    choices, _, devices = table()
    x, shipped = features(choices), coefficients()
    for name, fitted in fit_devices(x, devices).items():
        explained, tau, error = cross_validate_device(x, devices[name])
        print(name, f"{explained:.4f} {tau:.4f} {error:.4f}")
        assert explained > 0.97 and error < 0.05, name
        assert np.allclose(x @ fitted, x @ shipped[name], atol=1e-3), name
