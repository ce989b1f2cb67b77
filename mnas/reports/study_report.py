"""Table of a study as text, and a self-contained HTML page with the table and plots."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mnas.analysis.study_table import Row, Summary
from mnas.experiment.study import Outcome, Study
from mnas.reports.figures import (
    label,
    limits,
    new_figure,
    paragraph,
    svg,
    table,
    write_page,
)
from mnas.reports.text import plus_minus


def summary_table(study: Study, summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Return (heads, rows) of text.

    For each variant: mean ± standard deviation (worst) of the judged reward at every mark, and the
    mean accuracy and mult-adds of the networks exported at the last mark.
    """
    heads = [
        "best reward after",
        *(f"{mark:,} samples" for mark in study.marks),
        "accuracy",
        "mult-adds",
    ]
    rows = []
    for variant in study.variants:
        by_mark = {summary.samples: summary for summary in summaries if summary.variant == variant}
        cells = [_reward_cell(by_mark.get(mark)) for mark in study.marks]
        last = by_mark.get(study.marks[-1])
        exported = [f"{last.accuracy:.4f}", f"{last.mult_adds / 1e6:.1f}M"] if last else ["-", "-"]
        rows.append([variant, *cells, *exported])
    return heads, rows


def _reward_cell(summary: Summary | None) -> str:
    if summary is None:
        return "-"
    return f"{plus_minus(summary.reward, summary.reward_std)} ({summary.reward_worst:.4f})"


def write_study_report(
    study: Study,
    outcomes: Sequence[Outcome],
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    out: Path,
) -> None:
    """Write the page; UsageError where the file cannot be written."""
    seeds = max((summary.seeds for summary in summaries), default=0)
    accuracy = "at the judge's accuracy" if study.judge else "as the search measured it"
    text = (
        f"{seeds} seeds: mean ± standard deviation (worst) of the reward, {accuracy}, of the "
        "network that a search would export after so many samples."
    )
    heads, lines = summary_table(study, summaries)
    figures = svg(curves(study, outcomes)), svg(front(study, rows))
    write_page(out, study.name, [paragraph(text), table(heads, lines), *figures])


def curves(study: Study, outcomes: Sequence[Outcome]) -> Figure:
    """Return the best measured reward by samples: mean over seeds ± standard deviation."""
    figure, axes = new_figure("Best reward so far, as the search measured it", "samples", "reward")
    low, high = [], []
    for variant in study.variants:
        of_seeds = [_best_so_far(o) for o in outcomes if o.variant == variant and o.results]
        if not of_seeds:
            continue
        length = min(map(len, of_seeds))
        values = np.array([curve[:length] for curve in of_seeds])
        mean = values.mean(0)
        std = values.std(0, ddof=1) if len(values) > 1 else np.zeros(length)
        samples = np.arange(1, length + 1)
        (line,) = axes.plot(samples, mean, label=label(variant))
        axes.fill_between(samples, mean - std, mean + std, color=line.get_color(), alpha=0.15, lw=0)
        start = min(length - 1, length // 20)  # The first samples would dominate the axis.
        low.append(mean[start])
        high.append((mean + std).max())
    if low:
        axes.set_ylim(*limits(min(low), max(high)))
    axes.legend(frameon=False, fontsize="small")
    return figure


def _best_so_far(outcome: Outcome) -> np.ndarray:
    complete = [result.error is None and not result.stopped for result in outcome.results]
    rewards = [result.reward for result in outcome.results]
    best = np.maximum.accumulate(np.where(complete, rewards, -np.inf))
    return np.where(np.isfinite(best), best, np.nan)


def front(study: Study, rows: Sequence[Row]) -> Figure:
    """Return accuracy against mult-adds of the networks exported at the last mark."""
    figure, axes = new_figure("Exported networks", "mult-adds, M", "accuracy")
    for variant in study.variants:
        own = [row for row in rows if row.variant == variant and row.samples == study.marks[-1]]
        axes.scatter(
            [row.mult_adds / 1e6 for row in own],
            [row.accuracy for row in own],
            s=18,
            label=label(variant),
        )
    axes.legend(frameon=False, fontsize="small")
    return figure
