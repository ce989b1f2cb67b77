"""Fit the ImageNet surrogate, `mnas/evaluators/surrogate.npz`, to Accel-NASBench's measurements.

Command   python -m mnas.experiments.fit_surrogate accel_nasbench.csv.gz [OUT.npz]
Cost      under a minute on 2 cores
Data      one row a network: the choices block{0-6}_{e,k,l,se} (expand ratio, kernel, layers, SE),
          val_top1 in percent, throughput_{a100,3090,tpuv2,tpuv3,vck190,zcu102} in images/s and
          latency_{vck190,zcu102} in milliseconds. The measurements are Accel-NASBench's (Ahmad et
          al., DAC 2024; Apache-2.0), published as one JSON file a network in
          github.com/afzalxo/Accel-NASBench, anb_dataset/anb_dataset_jsons.tar.gz. The table itself
          is not part of this project.
Expect    five-fold cross-validation: mlp R² 0.986, Kendall tau 0.927; ridge 0.980, 0.911; devices
          R² of the logarithm 0.975 to 0.997
Results   docs/results/surrogate.md
"""

import csv
import dataclasses
import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from rich.table import Table
from scipy.stats import kendalltau

from mnas.cli.command import run_command
from mnas.errors import UsageError
from mnas.evaluators.surrogate_fits import (
    CHOICES,
    FIELDS,
    FIT_FUNCTIONS,
    Fit,
    features,
    one_hot,
    uncertainty_basis,
)
from mnas.reports.terminal import plain_console

Coefficients = dict[str, np.ndarray]

FOLDS = 5
# Ridge penalties of single choices and of pairs: 931 coefficients, 4,623 rows.
PENALTY_SINGLE, PENALTY_PAIR = 1.0, 10.0
# Asymptote of top-1 under the 16-epoch schedule, in points: differences shrink towards it. Values
# from 70 to 75 give the same R² within 0.001.
CEILING = 72.0
MEMBERS, UNITS, STEPS, BATCH = 8, 32, 2000, 256
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.1
DEVICE_COLUMNS = {
    "throughput_a100": "throughput_a100",
    "throughput_rtx3090": "throughput_3090",
    "throughput_tpuv2": "throughput_tpuv2",
    "throughput_tpuv3": "throughput_tpuv3",
    "throughput_vck190": "throughput_vck190",
    "throughput_zcu102": "throughput_zcu102",
    "latency_vck190": "latency_vck190",
    "latency_zcu102": "latency_zcu102",
}


def read(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Return (choices int [N, 28], top-1 in points [N], device measurements [N], NaN for gaps).

    Raises UsageError if the file can't be read, or a column or a choice is not as expected.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns_present = list(reader), reader.fieldnames or ()
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror or error}") from None
    short = dict(zip(FIELDS, "ekl", strict=False)) | {"se_ratio": "se"}
    fields = [divmod(d, len(FIELDS)) for d in range(len(CHOICES))]
    columns = [f"block{block}_{short[FIELDS[field]]}" for block, field in fields]
    required = (*columns, "val_top1", *DEVICE_COLUMNS.values())
    missing = [column for column in required if column not in columns_present]
    if missing or not rows:
        raise UsageError(f"{path} has no {'column ' + missing[0] if missing else 'rows'}")
    choices = np.zeros((len(rows), len(CHOICES)), np.int64)
    for d, (column, accepted) in enumerate(zip(columns, CHOICES, strict=True)):
        if column.endswith("_se"):
            accepted = (0, 1)  # the table says off or on
        index = {str(value): i for i, value in enumerate(accepted)}
        for n, row in enumerate(rows):
            if row[column] not in index:
                raise UsageError(
                    f"{path}, row {n + 1}: {column} = {row[column]!r}; accepted: {', '.join(index)}"
                )
            choices[n, d] = index[row[column]]
    top1 = np.array([float(row["val_top1"]) for row in rows])
    devices = {
        name: np.array([float(row[column] or "nan") for row in rows])
        for name, column in DEVICE_COLUMNS.items()
    }
    return choices, top1, devices


def solve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the ridge coefficients [F] of targets `y` [N] on `features` `x` [N, F]."""
    # w = (XᵀX + diag λ)⁻¹ Xᵀy, the constant unpenalised
    singles = sum(len(c) - 1 for c in CHOICES)
    penalty = np.full(x.shape[1], PENALTY_PAIR)
    penalty[0], penalty[1 : 1 + singles] = 0, PENALTY_SINGLE
    return np.linalg.solve(x.T @ x + np.diag(penalty), x.T @ y)


def fit_ridge(choices: np.ndarray, top1: np.ndarray) -> Coefficients:
    """Fit top-1 in points by ridge regression."""
    return {"ridge": solve(features(choices), top1).astype(np.float32)}


def fit_mlp(choices: np.ndarray, top1: np.ndarray) -> Coefficients:
    """Fit top-1 by an ensemble of MLPs that differ in initial weights and order of the data."""
    # z = -log(ceiling - y), standardised
    z = -np.log(CEILING - top1)
    shift, scale = z.mean(), z.std()
    x = one_hot(choices)
    centre = x.mean(0)
    inputs = jnp.asarray(x - centre, jnp.float32)
    targets = jnp.asarray((z - shift) / scale, jnp.float32)
    sizes = [inputs.shape[1], UNITS, UNITS, 1]
    adam = optax.adamw(optax.cosine_decay_schedule(LEARNING_RATE, STEPS), weight_decay=WEIGHT_DECAY)

    def init(key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        keys = jax.random.split(key, len(sizes) - 1)
        stds = [(2 / size) ** 0.5 for size in sizes[:-2]] + [sizes[-2] ** -0.5]
        return [
            (std * jax.random.normal(key, (fan_in, fan_out)), jnp.zeros(fan_out))
            for key, std, fan_in, fan_out in zip(keys, stds, sizes[:-1], sizes[1:], strict=True)
        ]

    def apply(layers: list[tuple[jax.Array, jax.Array]], x: jax.Array) -> jax.Array:
        for kernel, bias in layers[:-1]:
            x = jax.nn.silu(x @ kernel + bias)
        return (x @ layers[-1][0] + layers[-1][1])[:, 0]

    @jax.jit
    def train(key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        def step(carry: tuple, index: jax.Array) -> tuple[tuple, None]:
            layers, state = carry
            batch = jax.random.randint(jax.random.fold_in(key, index), (BATCH,), 0, len(targets))
            gradients = jax.grad(
                lambda layers: ((apply(layers, inputs[batch]) - targets[batch]) ** 2).mean()
            )(layers)
            updates, state = adam.update(gradients, state, layers)
            return (optax.apply_updates(layers, updates), state), None

        layers = init(key)
        return jax.lax.scan(step, (layers, adam.init(layers)), jnp.arange(STEPS))[0][0]

    members = [jax.tree.map(np.asarray, train(jax.random.key(m))) for m in range(MEMBERS)]
    fitted = {"mlp_link": np.array([CEILING, scale, shift])}
    for layer in range(len(sizes) - 1):
        kernel = np.stack([member[layer][0] for member in members])  # [members, in, out]
        bias = np.stack([member[layer][1] for member in members])
        if layer == 0:  # folds the centring of the inputs into the bias
            bias = bias - centre @ kernel
        fitted |= {f"mlp_kernel{layer}": kernel, f"mlp_bias{layer}": bias}
    # Half precision changes predictions by less than 0.01 points.
    return {k: v if k == "mlp_link" else v.astype(np.float16) for k, v in fitted.items()}


def disagreement(name: Fit, fitted: Coefficients, choices: np.ndarray) -> np.ndarray:
    """Return the members' disagreement [N], as `uncertainty_basis` takes it."""
    weights = {f"{name}_std": np.array([0.0, 0.0, 0.0, 1.0])}
    return FIT_FUNCTIONS[name](fitted | weights, choices)[1]


def fit_uncertainty(basis: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Fit the weights [4] of log std by maximum likelihood of normal errors (Newton's method)."""
    weights = np.zeros(basis.shape[1])
    used = basis.any(0) & (basis.std(0) + (np.arange(basis.shape[1]) == 0) > 0)
    b = basis[:, used]
    w = np.zeros(b.shape[1])
    w[0] = np.log(errors.std())
    for _ in range(50):
        # -log L = Σ b·w + ½ e² exp(-2 b·w)
        scaled = errors**2 * np.exp(-2 * b @ w)
        gradient, hessian = b.T @ (1 - scaled), 2 * (b * scaled[:, None]).T @ b
        w -= np.linalg.solve(hessian + 1e-6 * np.eye(len(w)), gradient)
    weights[used] = w
    return weights


def r2(measured: np.ndarray, predicted: np.ndarray) -> float:
    """Return the coefficient of determination."""
    return float(1 - np.mean((measured - predicted) ** 2) / np.var(measured))


Fitter = Callable[[np.ndarray, np.ndarray], Coefficients]
FITTERS: dict[Fit, Fitter] = {"mlp": fit_mlp, "ridge": fit_ridge}


@dataclasses.dataclass(frozen=True)
class Validation:
    """Quality of a fit of top-1 on held-out networks, all folds together.

    tau      Kendall's rank correlation
    error    standard deviation of the residuals, points
    covered  coverage of the predicted intervals of ±1 and of ±1.96 standard deviations, and of the
             latter among the tenth with the highest predictions
    weights  [4] of the predicted log standard deviation, for the fit to all rows
    """

    r2: float
    tau: float
    error: float
    covered: tuple[float, float, float]
    weights: np.ndarray


def folds(count: int) -> np.ndarray:
    """Return the fold of each row, int [count]."""
    return np.random.default_rng(0).permutation(count) % FOLDS


def cross_validate(name: Fit, choices: np.ndarray, top1: np.ndarray) -> Validation:
    """Cross-validate the fit `name` over `FOLDS` folds."""
    fold = folds(len(top1))
    mean, spread = np.zeros(len(top1)), np.zeros(len(top1))
    for k in range(FOLDS):
        fitted = FITTERS[name](choices[fold != k], top1[fold != k])
        spread[fold == k] = disagreement(name, fitted, choices[fold == k])
        zeros = {f"{name}_std": np.zeros(4)}
        mean[fold == k] = FIT_FUNCTIONS[name](fitted | zeros, choices[fold == k])[0]
    basis, errors = uncertainty_basis(mean, spread), top1 - mean
    # Coverage, too, is measured on folds outside the fit of the standard deviations.
    scaled_errors = np.zeros(len(top1))
    for k in range(FOLDS):
        weights = fit_uncertainty(basis[fold != k], errors[fold != k])
        std = np.exp(basis[fold == k] @ weights)
        scaled_errors[fold == k] = np.abs(errors[fold == k]) / std
    best = mean >= np.quantile(mean, 0.9)
    return Validation(
        r2=r2(top1, mean),
        tau=float(kendalltau(top1, mean)[0]),
        error=float(errors.std()),
        covered=(
            float((scaled_errors < 1).mean()),
            float((scaled_errors < 1.96).mean()),
            float((scaled_errors[best] < 1.96).mean()),
        ),
        weights=fit_uncertainty(basis, errors),
    )


def cross_validate_device(x: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Return (R² and tau of the logarithm, median relative error) of one device's ridge fit."""
    fold, known = folds(len(values)), np.isfinite(values)
    logs, predicted = np.log(values), np.zeros(len(values))
    for k in range(FOLDS):
        train = known & (fold != k)
        predicted[fold == k] = x[fold == k] @ solve(x[train], logs[train])
    logs, predicted = logs[known], predicted[known]
    tau = float(kendalltau(logs, predicted)[0])
    return r2(logs, predicted), tau, float(np.median(np.abs(np.expm1(predicted - logs))))


def fit_devices(x: np.ndarray, devices: dict[str, np.ndarray]) -> Coefficients:
    """Fit the logarithm of every device's measurements by ridge regression on `features`."""
    known = {name: np.isfinite(values) for name, values in devices.items()}
    return {
        name: solve(x[known[name]], np.log(values[known[name]])).astype(np.float32)
        for name, values in devices.items()
    }


def main(arguments: list[str]) -> int:
    """Cross-validate all fits, refit them to all rows and write them; return the exit status."""
    if not 1 <= len(arguments) <= 2:
        raise UsageError(
            f"{len(arguments)} arguments; "
            "accepted: the table, and the output file (mnas/evaluators/surrogate.npz)"
        )
    default = Path(__file__).parents[1] / "mnas" / "evaluators" / "surrogate.npz"
    path, out = Path(arguments[0]), Path(arguments[1]) if arguments[1:] else default
    choices, top1, devices = read(path)
    shown = Table("five-fold", "R²", "tau", "error", "68 %", "95 %", "95 %, top tenth", box=None)
    stored: Coefficients = {}
    for name, fitter in FITTERS.items():
        validation = cross_validate(name, choices, top1)
        shown.add_row(
            f"top-1, {name}",
            f"{validation.r2:.4f}",
            f"{validation.tau:.4f}",
            f"{validation.error:.3f} points",
            *(f"{coverage:.1%}" for coverage in validation.covered),
        )
        stored |= fitter(choices, top1) | {f"{name}_std": validation.weights}
    x = features(choices)
    for device, values in devices.items():
        explained, tau, error = cross_validate_device(x, values)
        shown.add_row(f"{device}, log", f"{explained:.4f}", f"{tau:.4f}", f"{error:.1%} median")
    stored |= fit_devices(x, devices)
    np.savez_compressed(out, allow_pickle=False, **stored)
    plain_console(width=100).print(shown)
    print(f"written: {out}, {out.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.fit_surrogate", lambda: main(sys.argv[1:])))
