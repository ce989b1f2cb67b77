"""Table of a study as text, and a self-contained HTML page with the table and plots.

"±" is half of the 95% interval of the mean over seeds, by Student's t distribution, in the table as
in the bands of the plot.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mnas.analysis.study_table import Row, Summary, half_interval
from mnas.experiment.study import Outcome, Study
from mnas.reports.failures import failure_groups, shortened
from mnas.reports.figures import (
    END,
    default_style,
    drawable,
    label,
    legend_beside,
    limits,
    line_style,
    marker_style,
    new_figure,
    paragraph,
    svg,
    table,
    thinned,
    write_page,
)
from mnas.reports.text import plus_minus


def summary_table(study: Study, summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Return (heads, rows) of text.

    For each variant: mean ± half of its 95% interval (worst) of the judged reward at every mark,
    and the mean accuracy and mult-adds of the networks exported at the last mark. Where fewer seeds
    than elsewhere gave a network, a cell says how many.
    """
    heads = [
        "best reward after",
        *(f"{mark:,} samples" for mark in study.marks),
        "accuracy",
        "mult-adds",
    ]
    most = max((summary.seeds for summary in summaries), default=0)
    rows = []
    for variant in study.variants:
        by_mark = {summary.samples: summary for summary in summaries if summary.variant == variant}
        cells = [_reward_cell(by_mark.get(mark), most) for mark in study.marks]
        last = by_mark.get(study.marks[-1])
        exported = [f"{last.accuracy:.4f}", f"{last.mult_adds / 1e6:.1f}M"] if last else ["-", "-"]
        rows.append([variant, *cells, *exported])
    return heads, rows


def _reward_cell(summary: Summary | None, most: int) -> str:
    if summary is None:
        return "-"
    n = f", n = {summary.seeds}" if summary.seeds != most else ""
    if summary.reward_interval is None:
        return f"{summary.reward:.4f}{n}"
    return f"{plus_minus(summary.reward, summary.reward_interval)} ({summary.reward_worst:.4f}){n}"


def write_study_report(
    study: Study,
    outcomes: Sequence[Outcome],
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    out: Path,
) -> None:
    """Write the page; UsageError where the file cannot be written."""
    accuracy = "at the judge's accuracy" if study.judge else "as the search measured it"
    text = (
        f"{spread_note(summaries)} Reward {accuracy}, of the network that a search would export "
        "after so many samples."
    )
    heads, lines = summary_table(study, summaries)
    with default_style():
        figures = svg(curves(study, outcomes)), svg(front(study, rows))
    sections = [paragraph(text), table(heads, lines), *figures, _failures(study, outcomes)]
    write_page(out, study.name, sections)


def _failures(study: Study, outcomes: Sequence[Outcome]) -> str:
    """Return a table in HTML of failed children by variant; nothing where none failed."""
    rows = []
    for variant in study.variants:
        own = [result for o in outcomes if o.variant == variant for result in o.results]
        if groups := failure_groups(own):
            failed = sum(len(trials) for _, trials in groups)
            rows.append((variant, f"{failed:,} of {len(own):,}", shortened(groups[0][0])))
    return table(("failed children", "number", "commonest cause"), rows) if rows else ""


def spread_note(summaries: Sequence[Summary]) -> str:
    """Return what the numbers of the table are, in a sentence."""
    n = max((summary.seeds for summary in summaries), default=0)
    if n == 1:
        return "One seed (n = 1): no intervals."
    return f"Mean ± half of its 95% interval over n = {n} seeds (worst seed in parentheses)."


def curves(study: Study, outcomes: Sequence[Outcome]) -> Figure:
    """Return the best measured reward by samples: mean over seeds and its 95% interval."""
    title = "Best measured reward so far: mean over seeds, 95% interval"
    figure, axes = new_figure(title, "samples", "reward", lines=len(study.variants))
    shown: list[np.ndarray] = []
    for index, variant in enumerate(study.variants):
        of_seeds = [_best_so_far(o) for o in outcomes if o.variant == variant and o.results]
        if not of_seeds:
            continue
        samples, mean, half = _interval(of_seeds)
        style = line_style(index)
        axes.plot(samples, mean, label=f"{label(variant)}, n = {len(of_seeds)}", **style, **END)
        band: dict[str, Any] = {
            "color": style["color"],
            "alpha": min(0.15, 0.5 / len(study.variants)),
            "lw": 0,
        }
        axes.fill_between(samples, mean - half, mean + half, **band)
        late = samples > samples[-1] // 20  # The first samples would dominate the axis.
        shown.append(mean[late])
    values = np.concatenate([*shown, []])
    if np.isfinite(values).any():
        # By the means: the intervals of few seeds are far wider than the differences.
        axes.set_ylim(*limits(np.nanmin(values), np.nanmax(values), margin=0.25))
    legend_beside(figure)
    return figure


def _interval(of_seeds: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (samples, mean, half of the 95% interval of the mean) of curves, as far as all go."""
    length, n = min(map(len, of_seeds)), len(of_seeds)
    indices = thinned(length)
    values = np.array([curve[indices] for curve in of_seeds])
    mean = values.mean(0)
    half = half_interval(1.0, n) * values.std(0, ddof=1) if n > 1 else 0 * mean
    return indices + 1, mean, half


def _best_so_far(outcome: Outcome) -> np.ndarray:
    complete = [result.error is None and not result.stopped for result in outcome.results]
    rewards = drawable(result.reward for result in outcome.results)
    best = np.maximum.accumulate(np.where(complete, rewards, -np.inf))
    return np.where(np.isfinite(best), best, np.nan)


def front(study: Study, rows: Sequence[Row]) -> Figure:
    """Return accuracy against mult-adds of the networks exported at the last mark."""
    title = f"Networks exported after {study.marks[-1]:,} samples, one point a seed"
    figure, axes = new_figure(title, "mult-adds, M", "accuracy", lines=len(study.variants))
    for index, variant in enumerate(study.variants):
        own = [row for row in rows if row.variant == variant and row.samples == study.marks[-1]]
        if own:
            axes.scatter(
                [row.mult_adds / 1e6 for row in own],
                [row.accuracy for row in own],
                s=18,
                label=label(variant),
                **marker_style(index),
            )
    legend_beside(figure)
    return figure
