"""Quality of proxies as text, as CSV and as a picture of cost against fidelity."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.analysis.proxy_quality import (
    CALIBRATED,
    ONE_TRAINING,
    PROXY,
    SMOOTHED,
    WITH_PROXY,
    Quality,
)
from mnas.analysis.rank_agreement import LEVEL, MEASURES, Estimate
from mnas.errors import UsageError
from mnas.reports.figures import default_style, label, legend_beside, marker_style, new_figure
from mnas.reports.figures import write_svg as write_figure

HEADS = {
    "tau": "τ",
    "spearman": "Spearman",
    "tau_equal_depth": "τ, equal depth",
    "tau_equal_cost": "τ, equal mult-adds",
    "tau_best_quarter": "τ, best quarter",
    "tau_reward": "τ of the reward",
    "top_decile": "best tenth",
}
assert tuple(HEADS) == MEASURES
# Measures of the picture.
SHOWN = ("tau", "tau_equal_depth")
NOT_FREE = (PROXY, SMOOTHED, CALIBRATED, WITH_PROXY, ONE_TRAINING)
DEFAULT_CPU_SECONDS = 1.0  # of proxies whose cost is unknown, in the picture


def lines(quality: Quality) -> list[list[str]]:
    """Return the cells of a table, a list for each predictor."""
    rows = [[name, *map(text, found.values())] for name, found in quality.agreement.items()]
    gain = [signed(value) for value in quality.gain.values()]
    return [*rows, ["gain by the proxy", *gain]]


def text(value: Estimate) -> str:
    """Return an estimate with its interval; "-" where it is undefined."""
    if value.value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:.2f}"
    return f"{value.value:.2f} [{value.low:.2f}, {value.high:.2f}]"


def signed(value: Estimate) -> str:
    """Return a difference with its interval and sign."""
    if value.value is None or value.low is None:
        return "-"
    return f"{value.value:+.2f} [{value.low:+.2f}, {value.high:+.2f}]"


def notes(quality: Quality) -> list[str]:
    """Return the lines below the table."""
    spent = "unknown"
    if quality.cpu_seconds is not None:
        spent = f"{quality.cpu_seconds:.1f} CPU-seconds"
    found = [
        f"{quality.networks} networks, {LEVEL}% intervals by bootstrap over networks; "
        f"reward: accuracy · (mult-adds / {quality.target_madds:,.0f})^{quality.w:g}",
        f"cost of an evaluation: {spent}; evaluations of each network: {quality.seeds}",
    ]
    if quality.seed_std is not None:
        between = "-" if quality.tau_seeds is None else f"{quality.tau_seeds:.2f}"
        found.append(
            f"over seeds: standard deviation {quality.seed_std:.4f} of the score, "
            f"τ between two seeds {between}"
        )
    partial = [
        f"{name} {'-' if tau is None else f'{tau:.2f}'}"
        for name, tau in quality.partial_tau.items()
    ]
    found.append(f"partial τ of the proxy, given {', '.join(partial)}")
    return found


def records(quality: Quality) -> list[dict[str, Any]]:
    """Return a row for each predictor and measure, for CSV."""
    tables = {**quality.agreement, "gain by the proxy": quality.gain}
    return [
        {
            "predictor": name,
            "measure": measure,
            "value": value.value,
            "low": value.low,
            "high": value.high,
            "cpu_seconds": quality.cpu_seconds if name == PROXY else None,
            "networks": quality.networks,
        }
        for name, found in tables.items()
        for measure, value in found.items()
    ]


def write_picture(path: Path, qualities: Mapping[str, Quality]) -> None:
    """Write the picture of cost and fidelity of proxies by name, as SVG.

    Horizontal lines are the best free predictor by each measure, on the networks of the first
    proxy. Raises UsageError where it can't be written.
    """
    with default_style():
        figure, axes = new_figure(
            "fidelity of proxies and their cost",
            "CPU-seconds an evaluation",
            "Kendall's τ with full training",
            lines=(len(qualities) + 1) * len(SHOWN),
        )
        for m, measure in enumerate(SHOWN):
            for n, (name, quality) in enumerate(qualities.items()):
                _add_point(axes, name, quality, measure, n, hollow=m > 0)
            best = _best_free(next(iter(qualities.values())), measure)
            if best is not None:
                name, tau = best
                style = "--" if m else "-"
                title = label(f"{HEADS[measure]}: {name}")
                axes.axhline(tau, color="#888888", linestyle=style, linewidth=1, label=title)
        axes.set_xscale("log")
        legend_beside(figure)
        try:
            write_figure(path, figure)
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None


def _add_point(
    axes: Any, name: str, quality: Quality, measure: str, index: int, hollow: bool
) -> None:
    value = quality.agreement[PROXY][measure]
    if value.value is None:
        return
    low = value.value if value.low is None else min(value.low, value.value)
    high = value.value if value.high is None else max(value.high, value.value)
    style = marker_style(index)
    axes.errorbar(
        quality.cpu_seconds or DEFAULT_CPU_SECONDS,
        value.value,
        yerr=[[value.value - low], [high - value.value]],
        linestyle="none",
        capsize=3,
        label=label(f"{HEADS[measure]}: {name}"),
        markerfacecolor="white" if hollow else style["color"],
        **style,
    )


def _best_free(quality: Quality, measure: str) -> tuple[str, float] | None:
    """Return the best free predictor by a measure; None where it is undefined for all."""
    found = [
        (of_name[measure].value, name)
        for name, of_name in quality.agreement.items()
        if name not in NOT_FREE
    ]
    known = [(value, name) for value, name in found if value is not None]
    if not known:
        return None
    value, name = max(known)
    return name, value


def summary(qualities: Mapping[str, Quality]) -> tuple[Sequence[str], list[list[str]]]:
    """Return heads and rows of a table: for each proxy its scores, and these smoothed."""
    heads = ("proxy", "CPU-seconds", *HEADS.values())
    rows = []
    for name, quality in qualities.items():
        spent = "-" if quality.cpu_seconds is None else f"{quality.cpu_seconds:.1f}"
        for kind in (PROXY, SMOOTHED):
            if kind in quality.agreement:
                title = name + kind.removeprefix(PROXY)
                rows.append([title, spent, *map(text, quality.agreement[kind].values())])
    return heads, rows
