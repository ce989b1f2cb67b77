"""How well a table's sums predict whole networks: figures in JSON, and a plot."""

import dataclasses
from collections.abc import Sequence

from mnas.architecture.architecture import Architecture
from mnas.evaluators.latency_table import LatencyCheck, LatencyTable
from mnas.files import write_json


def write_check(table: LatencyTable, measured: Sequence[tuple[Architecture, float]]) -> LatencyCheck:
    """TABLE-check.json and TABLE-check.png beside the table, of networks and their measured ms."""
    sums = [table.latency_ms(architecture) for architecture, _ in measured]
    wholes = [milliseconds for _, milliseconds in measured]
    check = LatencyCheck.compute(sums, wholes)
    beside = table.path.with_name(f"{table.path.stem}-check.json")
    points = [
        {"blocks": architecture.to_dict()["blocks"], "sum_ms": predicted, "whole_ms": whole}
        for (architecture, whole), predicted in zip(measured, sums, strict=True)
    ]
    described = {**table.head, **dataclasses.asdict(check), "networks": points}
    write_json(beside, described)
    _plot(table, check, sums, wholes, beside.with_suffix(".png"))
    return check


def _plot(table, check, sums, wholes, path):
    from matplotlib.figure import Figure  # a second to import

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    ends = [min(*sums, *wholes), max(*sums, *wholes)]
    axes.plot(ends, ends, color="0.7", label="equal")
    axes.scatter(wholes, sums, s=14)
    axes.set(xlabel="measured, whole network (ms)", ylabel="sum over blocks (ms)")
    axes.set_title(
        f"{table.head['device']}, {table.head['threads']} thread(s)\n"
        f"Kendall τ {check.kendall:.3f}, R² {check.r2:.3f}, mean error {check.mean_error:.1%}",
        fontsize=9,
    )
    axes.legend()
    figure.savefig(path, dpi=120)
