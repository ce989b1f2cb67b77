"""How far each operation of a training step is from what one core can do.

Command   python -m mnas.experiments.performance.roofline [--resolutions 32 64] [--out DIR]
Takes     2 to 5 minutes for each resolution on one core, most of it compiling
Expect    a table for each resolution, DIR/roofline-R.csv (every operation) and DIR/roofline-R.png

The limits are measured here, on one pinned core with one thread: GFLOP/s of XLA's matrix product,
the best of some sizes; GB/s of a copy and of a triad (a + 2 b) over arrays from a quarter of a MiB,
which stay in the core's own cache, to 256 MiB, which don't stay in any.

Flops and bytes are closed forms of EfficientNet-B0 (10 classes, batch 64): those that an operation
needs if it is run by itself and reads each map as often as its definition asks for. A multiply-add
is two flops, float32 has 4 bytes, taps that touch only padding don't count, an exponential counts
as one. BatchNorm must read its input twice, for the statistics come first; its gradient reads two
maps twice. BatchNorm and the activation behind it are one operation in the code, so also here.

The roof of an operation is max(flops / limit, bytes / bandwidth), with the bandwidth of a triad
over as much memory. Measured is the operation's own module, alone, forward and backward as two
programs where the residuals go from one to the other, as in `mnas.training.programs`. What XLA fuses
across operations of a block is missed so; the whole step, measured beside, shows how much that is.

Measured on one core of a Xeon with AVX-512: 167 GFLOP/s; 23 to 29 GB/s of a triad over 1 to 64 MiB,
6 over 256. Milliseconds of a step, in brackets how many times its roof:

    operation                    32 pixels                  64 pixels
                            forward      backward      forward      backward
    stem                   1.6 (9.6)     1.0 (6.4)     6.0 (9.0)     5.5 (8.4)
    BatchNorm, swish      13.8 (3.6)    17.2 (2.7)    55.7 (2.3)    68.6 (1.7)
    depthwise              6.4 (5.0)    17.4 (6.5)    30.7 (6.0)    88.5 (8.9)
    squeeze-excite         6.6 (3.9)     6.9 (2.7)    17.8 (3.1)    16.9 (2.2)
    1×1 convolution       10.2 (1.9)    16.8 (1.6)    34.0 (1.6)    65.1 (1.5)
    BatchNorm              1.3 (3.0)     1.2 (1.9)     3.9 (2.8)     4.2 (1.7)
    optimizer                            6.9 (1.6)                   6.6 (1.5)
    sum                         108.1 (2.7)                405.5 (2.4)
    the whole step              131.6                      559.1

Of what takes long, depthwise convolutions are furthest from what the machine could do, their
gradients above all: a sixth of the step at 64 pixels. (The stem is as far, and takes little.)
BatchNorm with its activation and the 1×1 convolutions take as long or longer, nearer to their roof.

What was tried on a B0 step at 32 pixels, one thread, and dropped:

- XLA's options: vectors of 512 bits, the other scheduler, the flags for XNNPACK and oneDNN. No
  effect.
- A profile has products at about 28 ms of the step, at 95 to 155 GFLOP/s, which is near what the
  core can do; the gradients of depthwise weights at 15 ms, 6 of which are the overhead of a loop of
  1,200 iterations; pads at about 10; the optimizer at about 7; the rest spread thinly over
  elementwise passes. So no single operation is left that would give much.

Tried and kept: the gradient of depthwise weights summed in pieces of 512 KiB, which alone is twice
as fast, and saves 4 of 120 ms in a step. Memory that is never given back (`mnas.runtime.memory`): the
temporary arrays of a program are one allocation, and above 32 MiB glibc maps it anew each time. On
an EPYC, networks with 192 channels at 16 pixels took 20,000 to 24,000 fresh pages a step, and with
them 140 to 145 ms, a quarter of these in the system; without, 100 to 113 ms. Huge pages on top of
it (glibc.malloc.hugetlb) gained 0 to 4%, less than the noise.

On an EPYC (273 GFLOP/s, a triad at 45 to 97 GB/s over 1 to 16 MiB, 59 over 64), 32 and 64 pixels:

    operation                    32 pixels                  64 pixels
                            forward      backward      forward      backward
    stem                   0.9 (9.0)     0.4 (4.3)     3.5 (8.6)    4.3 (10.6)
    BatchNorm, swish       6.6 (5.1)     8.6 (4.3)    27.4 (4.6)    36.8 (3.6)
    depthwise              2.3 (5.4)    8.7 (11.8)    15.4 (8.2)   53.7 (14.1)
    squeeze-excite         2.4 (4.0)     2.6 (2.7)     6.4 (3.1)     6.0 (2.1)
    1×1 convolution        5.2 (1.6)     9.5 (1.5)    17.9 (1.4)    37.2 (1.4)
    BatchNorm              0.7 (3.6)     0.7 (2.5)     1.8 (3.9)     1.8 (2.1)
    optimizer                            3.4 (2.5)                   3.4 (2.5)
    sum                          52.6 (2.9)                217.0 (3.1)
    the whole step               61.4                      240.6

Depthwise gradients are what is furthest from its roof there too.
"""

import dataclasses
import multiprocessing
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from mnas.experiments.performance.work import FLOAT, Operation, Work, operations
from rich.console import Console
from rich.table import Table

from mnas import files
from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.cli.arguments import parse, report_mistakes
from mnas.engines.config import EngineConfig
from mnas.engines.environment import process_environment
from mnas.errors import UsageError
from mnas.nn.blocks import BatchNorm
from mnas.runtime.pinning import pin
from mnas.training.child import Child
from mnas.training.optimizer import Optimizer

MIB = 2**20
OPTIMIZER = Optimizer(weight_decay=1e-5)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What is measured."""

    resolutions: tuple[int, ...] = (32, 64)
    """Sides of the images, pixels."""
    batch: int = 64
    """Images a step."""
    seconds: float = 0.3
    """Each program runs for so long, at least five times; its time is the median."""
    out: str = "runs/roofline"
    """Directory of tables and plots."""

    def __post_init__(self) -> None:
        if not self.resolutions or min(self.resolutions) < 8:
            raise UsageError(f"resolutions = {self.resolutions}; accepted: some, at least 8 each")
        if self.batch < 2 or not self.seconds > 0:
            raise UsageError(
                f"batch = {self.batch}, seconds = {self.seconds}; accepted: at least 2, above 0"
            )


# --- what the machine can do, and what it does --------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Limits:
    """Of one core.

    gflops      of matrix products
    copy, triad  GB/s, by MiB of all arrays together
    """

    gflops: float
    copy: dict[float, float]
    triad: dict[float, float]

    def seconds(self, work: Work) -> float:
        """The least that the work takes: max(flops / limit, bytes / bandwidth)."""
        fitting = [mib for mib in self.triad if mib * MIB >= work.bytes]
        bandwidth = self.triad[min(fitting, default=max(self.triad))]
        return max(work.flops / self.gflops, work.bytes / bandwidth) / 1e9


def seconds_of(call: Callable[[], Any], for_seconds: float) -> float:
    """Median of a call whose programs are compiled before."""
    jax.block_until_ready(call())
    jax.block_until_ready(call())
    times: list[float] = []
    while len(times) < 5 or sum(times) < for_seconds:
        begun = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def limits(seconds: float) -> Limits:
    """Measures them."""
    product = jax.jit(jnp.matmul)
    rates = []
    for side in (512, 1024, 2048):
        a = jnp.ones((side, side))
        rates.append(2 * side**3 / seconds_of(lambda a=a: product(a, a), seconds) / 1e9)
    copied, triads = {}, {}
    # Into a buffer that is given back: fresh pages would cost more than the copying.
    copy = jax.jit(lambda a, out: a + 1, donate_argnums=1)
    triad = jax.jit(lambda a, b, out: a + 2 * b, donate_argnums=2)
    for mib in (0.25, 1, 4, 16, 64, 256):
        for program, arrays, found in ((copy, 2, copied), (triad, 3, triads)):
            count = int(mib * MIB / FLOAT / arrays)
            inputs = [jnp.ones(count) for _ in range(arrays - 1)]
            out = [jnp.zeros(count)]

            def call(program=program, inputs=inputs, out=out) -> jax.Array:
                out[0] = program(*inputs, out[0])
                return out[0]

            found[mib] = arrays * count * FLOAT / seconds_of(call, seconds) / 1e9
    return Limits(max(rates), copied, triads)


def measured(operation: Operation, seconds: float) -> tuple[float | None, float]:
    """Seconds of the forward and the backward program of one operation, alone."""
    rng = np.random.default_rng(0)

    def random(shape: tuple[int, ...]) -> jax.Array:
        return jax.device_put(rng.standard_normal(shape, np.float32))

    if operation.kind == "optimizer":
        return None, _update_seconds(random(operation.shape), seconds)
    x = random(operation.shape)
    if operation.module is None:
        add = jax.jit(jnp.add)
        return (both := seconds_of(lambda: add(x, x), seconds)), both
    module, arguments = operation.module, (True,) if isinstance(operation.module, BatchNorm) else ()
    params = jax.jit(lambda x: module.init(jax.random.key(0), x, *arguments)["params"])(x)

    def apply(params, x):
        y, written = module.apply({"params": params}, x, *arguments, mutable=["batch_stats"])
        return y, written

    @jax.jit
    def forward(params, x):
        if operation.kind == "stem":
            return jax.vjp(lambda params: apply(params, x), params, has_aux=True)
        return jax.vjp(apply, params, x, has_aux=True)

    backward = jax.jit(lambda vjp, gradient: vjp(gradient))
    y, vjp, _ = forward(params, x)
    gradient = random(y.shape)
    return (
        seconds_of(lambda: forward(params, x), seconds),
        seconds_of(lambda: backward(vjp, gradient), seconds),
    )


def _update_seconds(weights: jax.Array, seconds: float) -> float:
    params = {"kernel": weights}
    held = [params, jax.device_put(OPTIMIZER.init(params))]

    def update(gradients, params, state, rate):
        updates, state = OPTIMIZER.build().update(gradients, state, params, learning_rate=rate)
        return optax.apply_updates(params, updates), state

    program = jax.jit(update, donate_argnums=(1, 2))
    gradients = {"kernel": jnp.ones_like(weights)}

    def call() -> Any:
        held[:] = program(gradients, *held, np.float32(1e-3))
        return held

    return seconds_of(call, seconds)


def step_seconds(architecture: Architecture, batch: int, seconds: float) -> float:
    """A whole training step, block by block."""
    child = Child(architecture, 0, OPTIMIZER, label_smoothing=0.1)
    side = architecture.resolution
    rng = np.random.default_rng(0)
    images = jax.device_put(rng.standard_normal((batch, side, side, 3), np.float32))
    labels = jax.device_put(rng.integers(0, architecture.classes, batch, np.int32))

    def call() -> Any:
        loss = child.step(images, labels, 1e-3, 0)
        return loss, child._params  # the loss is known before the gradients are

    return seconds_of(call, seconds)


@dataclasses.dataclass(frozen=True)
class Row:
    """One program; `roof_ms` is the least that it could take."""

    kind: str
    direction: str
    place: str
    mflop: float
    mbyte: float
    ms: float
    roof_ms: float


def rows_of(architecture: Architecture, chosen: Arguments, roof: Limits) -> list[Row]:
    """Every operation of a step; equal ones are measured once."""
    rows: list[Row] = []
    known: dict[Operation, tuple[float | None, float]] = {}
    for operation in operations(architecture, chosen.batch):
        same = dataclasses.replace(operation, place="")
        if same not in known:
            known[same] = measured(operation, chosen.seconds)
        works = operation.forward, operation.backward
        for direction, work, took in zip(("forward", "backward"), works, known[same], strict=True):
            if work is not None:
                rows.append(
                    Row(
                        *(operation.kind, direction, operation.place),
                        *(work.flops / 1e6, work.bytes / 1e6),
                        *(1000 * took, 1000 * roof.seconds(work)),
                    )
                )
    return rows


def on_one_core(chosen: Arguments) -> tuple[Limits, dict[int, tuple[list[Row], float]]]:
    """Limits; by resolution the rows and the milliseconds of a step. In a process of its own."""
    if not pin(1):
        raise UsageError("cores free to pin to = 0; accepted: at least 1, on Linux")
    roof, found = limits(chosen.seconds), {}
    for resolution in chosen.resolutions:
        network = PUBLISHED["efficientnet-b0"].replace(resolution=resolution, classes=10)
        step = 1000 * step_seconds(network, chosen.batch, chosen.seconds)
        found[resolution] = rows_of(network, chosen, roof), step
    return roof, found


# --- for people ---------------------------------------------------------------------------------


def by_kind(rows: list[Row]) -> list[Row]:
    """Sums over all operations of a kind and direction; in `place` how many."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.direction].append(row)
    names = ("mflop", "mbyte", "ms", "roof_ms")
    return [
        Row(*key, str(len(group)), *(sum(getattr(row, name) for row in group) for name in names))
        for key, group in groups.items()
    ]


def table(rows: list[Row], step_ms: float, title: str) -> Table:
    """By kind; at the end the sum beside the whole step."""
    heads = ("operation", "", "n", "MFLOP", "MB", "ms", "roof, ms", "× roof")
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head in heads:
        shown.add_column(head, justify="left" if head in heads[:2] else "right")
    for row in by_kind(rows):
        numbers = (f"{v:,.1f}" for v in (row.mflop, row.mbyte, row.ms, row.roof_ms))
        ratio = f"{row.ms / row.roof_ms:.1f}"
        shown.add_row(row.kind, row.direction, row.place, *numbers, ratio)
    ms, roof = sum(row.ms for row in rows), sum(row.roof_ms for row in rows)
    shown.add_row("sum", "", "", "", "", f"{ms:,.1f}", f"{roof:,.1f}", f"{ms / roof:.1f}")
    shown.add_row("the whole step", "", "", "", "", f"{step_ms:,.1f}")
    return shown


def write_csv(rows: list[Row], path: Path) -> None:
    """Every operation, in order."""
    files.write_csv(path, [dataclasses.asdict(row) for row in rows])


def plot(rows: list[Row], roof: Limits, title: str, path: Path) -> None:
    """GFLOP/s over flops a byte, with the roofs of memory and of the core's own cache."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    intensity = np.geomspace(0.1, 1000, 200)
    for mib, style in ((max(roof.triad), "-"), (min(roof.triad), ":")):
        line = np.minimum(intensity * roof.triad[mib], roof.gflops)
        label = f"{roof.triad[mib]:.0f} GB/s, {mib:g} MiB"
        axes.plot(intensity, line, style, color="grey", label=label)
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


def main(arguments: list[str]) -> int:
    """Measures, prints, writes."""
    chosen = parse(Arguments, "roofline", arguments, Arguments())
    console = Console(stderr=True, highlight=False)
    context = multiprocessing.get_context("spawn")
    # The very environment of a search's workers.
    with process_environment(EngineConfig()), ProcessPoolExecutor(1, context) as pool:
        roof, found = pool.submit(on_one_core, chosen).result()
    console.print(f"matrix products: {roof.gflops:.0f} GFLOP/s")
    for name, rates in (("copy", roof.copy), ("triad", roof.triad)):
        text = ", ".join(f"{rate:.1f} over {mib:g} MiB" for mib, rate in rates.items())
        console.print(f"{name}, GB/s: {text}", soft_wrap=True)
    directory = Path(chosen.out)
    directory.mkdir(parents=True, exist_ok=True)
    for resolution, (rows, step_ms) in found.items():
        title = f"EfficientNet-B0 at {resolution} pixels, batch {chosen.batch}, one core"
        console.print()
        console.print(table(rows, step_ms, title))
        write_csv(rows, directory / f"roofline-{resolution}.csv")
        plot(rows, roof, title, directory / f"roofline-{resolution}.png")
    console.print(f"written: {directory}")
    return 0


if __name__ == "__main__":
    # By its importable name, which is how the other process knows it.
    from mnas.experiments.performance.roofline import main

    sys.exit(report_mistakes("roofline", lambda: main(sys.argv[1:])))
