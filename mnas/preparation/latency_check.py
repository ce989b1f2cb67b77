"""Agreement of a latency table with whole networks, as JSON and a plot."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from mnas.architecture.architecture import Architecture
from mnas.evaluators.latency_table import LatencyCheck, LatencyTable
from mnas.files import replacement, write_json


def write_check(
    table: LatencyTable, architectures: Sequence[Architecture], measured_ms: Sequence[float]
) -> LatencyCheck:
    """Write STEM-check.json and STEM-check.png beside the table, and return the agreement.

    measured_ms  latency of each architecture, compiled whole, in milliseconds
    """
    predicted_ms = [table.latency_ms(architecture) for architecture in architectures]
    check = LatencyCheck.compute(predicted_ms, measured_ms)
    networks = [
        {"blocks": architecture.to_dict()["blocks"], "sum_ms": predicted, "whole_ms": measured}
        for architecture, predicted, measured in zip(
            architectures, predicted_ms, measured_ms, strict=True
        )
    ]
    path = table.path.with_name(f"{table.path.stem}-check.json")
    write_json(path, {**table.head, **dataclasses.asdict(check), "networks": networks})
    _plot(table, check, predicted_ms, measured_ms, path.with_suffix(".png"))
    return check


def _plot(
    table: LatencyTable,
    check: LatencyCheck,
    predicted_ms: Sequence[float],
    measured_ms: Sequence[float],
    path: Path,
) -> None:
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    ends = [min(*predicted_ms, *measured_ms), max(*predicted_ms, *measured_ms)]
    axes.plot(ends, ends, color="0.7", label="equal")
    axes.scatter(measured_ms, predicted_ms, s=14)
    axes.set(xlabel="measured, whole network (ms)", ylabel="sum over blocks (ms)")
    axes.set_title(
        f"{table.head['device']}, {table.head['threads']} thread(s)\n"
        f"Kendall τ {check.kendall:.3f}, R² {check.r2:.3f}, mean error {check.mean_error:.1%}",
        fontsize=9,
        parse_math=False,
    )
    axes.legend()
    with replacement(path) as file:
        figure.savefig(file, format="png", dpi=120)
