"""Compare every operation of a training step with the limits of one core.

Command   python -m mnas.experiments.performance.roofline [--resolutions 32 64] [--out DIR]
Cost      2 to 5 minutes for each resolution on one core, most of it compiling
Expect    a table for each resolution, roofline-R.csv (every operation) and roofline-R.png;
          depthwise gradients are furthest from their roof
Results   docs/results/roofline.md, with the optimizations tried

Limits are measured on one pinned core with one thread (`limits`). Flops and bytes are closed forms
of EfficientNet-B0 with 10 classes (`work`). Each operation's own module runs alone, forward and
backward as two programs with the residuals passed between them, as in `mnas.training.programs`; the
step of the whole network, measured beside, shows what XLA gains by fusing across operations.
"""

import dataclasses
import multiprocessing
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from rich.table import Table

from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.engines.config import EngineConfig
from mnas.engines.environment import process_environment
from mnas.errors import UsageError, require_positive, require_whole
from mnas.experiments.performance.limits import Limits, measure_limits, median_seconds
from mnas.experiments.performance.work import Operation, operations
from mnas.files import write_csv
from mnas.nn.blocks import BatchNorm
from mnas.reports.terminal import plain_console
from mnas.runtime.pinning import pin
from mnas.training.child import Child
from mnas.training.optimizer import Optimizer

OPTIMIZER = Optimizer(weight_decay=1e-5)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Extent of the measurements."""

    resolutions: tuple[int, ...] = (32, 64)
    """Resolutions of the images, pixels."""
    batch: int = 64
    """Batch size."""
    seconds: float = 0.3
    """Least total time of a program's calls; at least five calls, of which the median counts."""
    out: str = "runs/roofline"
    """Directory of CSV files and plots."""

    def __post_init__(self) -> None:
        if not self.resolutions:
            raise UsageError("roofline: resolutions = (); accepted: at least one")
        for resolution in self.resolutions:
            require_whole("roofline", "resolutions", resolution, 8)
        require_whole("roofline", "batch", self.batch, 2)
        require_positive("roofline", "seconds", self.seconds)


# --- measurements -------------------------------------------------------------------------------


def measure(operation: Operation, min_seconds: float) -> tuple[float | None, float]:
    """Return the seconds of the forward and the backward program of one operation, run alone.

    The optimizer has no forward program. The addition of the skip connection takes as long in
    either direction.
    """
    x = _random(operation.shape)
    if operation.kind == "optimizer":
        return None, _update_seconds(x, min_seconds)
    if operation.module is None:
        add = jax.jit(jnp.add)
        seconds = median_seconds(lambda: add(x, x), min_seconds)
        return seconds, seconds
    module = operation.module
    arguments = (True,) if isinstance(module, BatchNorm) else ()
    params = jax.jit(lambda x: module.init(jax.random.key(0), x, *arguments)["params"])(x)

    def apply(params: Any, x: jax.Array) -> tuple[jax.Array, Any]:
        y, written = module.apply({"params": params}, x, *arguments, mutable=["batch_stats"])
        return y, written

    @jax.jit
    def forward(params: Any, x: jax.Array) -> Any:
        if operation.kind == "stem":
            return jax.vjp(lambda params: apply(params, x), params, has_aux=True)
        return jax.vjp(apply, params, x, has_aux=True)

    backward = jax.jit(lambda vjp, gradient: vjp(gradient))
    y, vjp, _ = forward(params, x)
    gradient = _random(y.shape)
    return (
        median_seconds(lambda: forward(params, x), min_seconds),
        median_seconds(lambda: backward(vjp, gradient), min_seconds),
    )


def _random(shape: tuple[int, ...]) -> jax.Array:
    return jax.device_put(np.random.default_rng(0).standard_normal(shape, np.float32))


def _update_seconds(weights: jax.Array, min_seconds: float) -> float:
    optimizer = OPTIMIZER.build()
    params: Any = {"kernel": weights}
    state: Any = jax.device_put(OPTIMIZER.init(params))
    gradients = {"kernel": jnp.ones_like(weights)}

    def update(gradients: Any, params: Any, state: Any, rate: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradients, state, params, learning_rate=rate)
        return optax.apply_updates(params, updates), state

    program = jax.jit(update, donate_argnums=(1, 2))

    def call() -> Any:
        nonlocal params, state
        params, state = program(gradients, params, state, np.float32(1e-3))
        return params, state

    return median_seconds(call, min_seconds)


def step_seconds(architecture: Architecture, batch: int, min_seconds: float) -> float:
    """Return the seconds of a whole training step, block by block."""
    child = Child(architecture, 0, OPTIMIZER, label_smoothing=0.1)
    rng = np.random.default_rng(0)
    size = architecture.resolution
    images = jax.device_put(rng.standard_normal((batch, size, size, 3), np.float32))
    labels = jax.device_put(rng.integers(0, architecture.classes, batch, np.int32))

    def call() -> Any:
        loss = child.step(images, labels, 1e-3, 0)
        return loss, child._params  # the loss is ready before the updated parameters are

    return median_seconds(call, min_seconds)


@dataclasses.dataclass(frozen=True)
class Row:
    """One program of the step.

    layer     of the network, such as "stage3_layer1"; in sums, the number of programs
    ms        measured
    roof_ms   the least time that the limits allow
    """

    kind: str
    direction: str
    layer: str
    mflop: float
    mbyte: float
    ms: float
    roof_ms: float


def measure_step(architecture: Architecture, arguments: Arguments, limits: Limits) -> list[Row]:
    """Measure every operation of a step; equal operations are measured once."""
    rows: list[Row] = []
    seconds: dict[Operation, tuple[float | None, float]] = {}
    for operation in operations(architecture, arguments.batch):
        key = dataclasses.replace(operation, layer="")
        if key not in seconds:
            seconds[key] = measure(operation, arguments.seconds)
        forward, backward = seconds[key]
        for direction, work, measured in (
            ("forward", operation.forward, forward),
            ("backward", operation.backward, backward),
        ):
            if work is not None and measured is not None:
                rows.append(
                    Row(
                        kind=operation.kind,
                        direction=direction,
                        layer=operation.layer,
                        mflop=work.flops / 1e6,
                        mbyte=work.bytes / 1e6,
                        ms=1000 * measured,
                        roof_ms=1000 * limits.seconds(work),
                    )
                )
    return rows


def measure_on_one_core(
    arguments: Arguments,
) -> tuple[Limits, dict[int, tuple[list[Row], float]]]:
    """Return the limits and, by resolution, the operations and the milliseconds of a whole step.

    Pins the process to one core: call it in a process of its own. Raises UsageError where pinning
    is not possible.
    """
    if not pin(1):
        raise UsageError("cores free to pin to = 0; accepted: at least 1, on Linux")
    limits = measure_limits(arguments.seconds)
    steps = {}
    for resolution in arguments.resolutions:
        network = PUBLISHED["efficientnet-b0"].replace(resolution=resolution, classes=10)
        step_ms = 1000 * step_seconds(network, arguments.batch, arguments.seconds)
        steps[resolution] = measure_step(network, arguments, limits), step_ms
    return limits, steps


# --- tables and plots ---------------------------------------------------------------------------


def by_kind(rows: list[Row]) -> list[Row]:
    """Sum all operations of a kind and direction."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.direction].append(row)
    return [
        Row(
            kind=kind,
            direction=direction,
            layer=str(len(group)),
            mflop=sum(row.mflop for row in group),
            mbyte=sum(row.mbyte for row in group),
            ms=sum(row.ms for row in group),
            roof_ms=sum(row.roof_ms for row in group),
        )
        for (kind, direction), group in groups.items()
    ]


def table(rows: list[Row], step_ms: float, title: str) -> Table:
    """Return the table of sums by kind, with their total beside the whole step."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head in ("operation", ""):
        shown.add_column(head)
    for head in ("n", "MFLOP", "MB", "ms", "roof, ms", "× roof"):
        shown.add_column(head, justify="right")
    for row in by_kind(rows):
        numbers = (f"{v:,.1f}" for v in (row.mflop, row.mbyte, row.ms, row.roof_ms))
        ratio = f"{row.ms / row.roof_ms:.1f}"
        shown.add_row(row.kind, row.direction, row.layer, *numbers, ratio)
    ms, roof = sum(row.ms for row in rows), sum(row.roof_ms for row in rows)
    shown.add_row("sum", "", "", "", "", f"{ms:,.1f}", f"{roof:,.1f}", f"{ms / roof:.1f}")
    shown.add_row("the whole step", "", "", "", "", f"{step_ms:,.1f}")
    return shown


def plot(rows: list[Row], limits: Limits, title: str, path: Path) -> None:
    """Plot GFLOP/s over flops a byte, with the roofs of main memory and of the core's own cache."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    intensity = np.geomspace(0.1, 1000, 200)
    for mib, style in ((max(limits.triad), "-"), (min(limits.triad), ":")):
        roof = np.minimum(intensity * limits.triad[mib], limits.gflops)
        label = f"{limits.triad[mib]:.0f} GB/s, {mib:g} MiB"
        axes.plot(intensity, roof, style, color="grey", label=label)
    kinds = list(dict.fromkeys(row.kind for row in rows))
    for row in by_kind(rows):
        axes.plot(
            row.mflop / row.mbyte,
            row.mflop / row.ms,
            "o" if row.direction == "forward" else "s",
            color=f"C{kinds.index(row.kind)}",
            label=f"{row.kind}, {row.direction}",
        )
    axes.set(xscale="log", yscale="log", xlabel="flops a byte", ylabel="GFLOP/s", title=title)
    axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120, bbox_inches="tight")
    pyplot.close(figure)


def main(flags: list[str]) -> int:
    """Measure, print and write; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.roofline", flags, Arguments())
    console = plain_console(stderr=True)
    context = multiprocessing.get_context("spawn")
    # The environment of a search's workers.
    with process_environment(EngineConfig()), ProcessPoolExecutor(1, context) as pool:
        limits, steps = pool.submit(measure_on_one_core, arguments).result()
    console.print(f"matrix products: {limits.gflops:.0f} GFLOP/s")
    for name, rates in (("copy", limits.copy), ("triad", limits.triad)):
        text = ", ".join(f"{rate:.1f} over {mib:g} MiB" for mib, rate in rates.items())
        console.print(f"{name}, GB/s: {text}", soft_wrap=True)
    directory = Path(arguments.out)
    directory.mkdir(parents=True, exist_ok=True)
    for resolution, (rows, step_ms) in steps.items():
        title = f"EfficientNet-B0 at {resolution} pixels, batch {arguments.batch}, one core"
        console.print()
        console.print(table(rows, step_ms, title))
        records = [dataclasses.asdict(row) for row in rows]
        write_csv(directory / f"roofline-{resolution}.csv", records)
        plot(rows, limits, title, directory / f"roofline-{resolution}.png")
    console.print(f"written: {directory}")
    return 0


if __name__ == "__main__":
    # The new process unpickles functions by the module's importable name.
    from mnas.experiments.performance.roofline import main

    sys.exit(run_command("mnas.experiments.performance.roofline", lambda: main(sys.argv[1:])))
