"""What a study found, for people: the table, and plots of it, on one self-contained page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mnas.analysis.study_table import Row, Summary
from mnas.experiment.study import Outcome, Study
from mnas.reports.figures import new_figure, svg, table, write_page


def summary_table(study: Study, summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """(heads, rows): for each variant, mean ± standard deviation (worst) of the judged reward at
    every mark, and the mean accuracy and mult-adds of what is found in the end.
    """
    heads = [
        "best reward after",
        *(f"{mark:,} samples" for mark in study.marks),
        "accuracy",
        "mult-adds",
    ]
    lines = []
    for variant in study.variants:
        own = {summary.samples: summary for summary in summaries if summary.variant == variant}
        cells = [
            f"{at.reward:.4f} ± {at.reward_std:.4f} ({at.reward_worst:.4f})" if at else "-"
            for at in map(own.get, study.marks)
        ]
        last = own.get(study.marks[-1])
        found = [f"{last.accuracy:.4f}", f"{last.mult_adds / 1e6:.1f}M"] if last else ["-", "-"]
        lines.append([variant, *cells, *found])
    return heads, lines


def write_study_report(
    study: Study,
    outcomes: Sequence[Outcome],
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    out: Path,
) -> None:
    """Writes the page."""
    heads, lines = summary_table(study, summaries)
    seeds = max((summary.seeds for summary in summaries), default=0)
    judged = "judged without noise" if study.judge else "as the search saw it"
    text = (
        f"<p>{seeds} seeds: mean ± standard deviation (worst) of the reward, {judged}, of the "
        "network that a search would export after so many samples.</p>"
    )
    sections = [text, table(heads, lines), svg(curves(study, outcomes)), svg(front(study, rows))]
    write_page(out, study.name, sections)


def curves(study: Study, outcomes: Sequence[Outcome]) -> Figure:
    """Best reward so far, as the searches saw it: mean over seeds, shaded by one deviation."""
    figure, axes = new_figure("Best reward so far, as seen by the search", "samples", "reward")
    low, high = [], []
    for variant in study.variants:
        own = [_best_so_far(o) for o in outcomes if o.variant == variant and o.results]
        if not own:
            continue
        length = min(map(len, own))
        values = np.array([curve[:length] for curve in own])
        mean, deviation = values.mean(0), values.std(0)
        samples = np.arange(1, length + 1)
        (line,) = axes.plot(samples, mean, label=variant)
        axes.fill_between(
            samples, mean - deviation, mean + deviation, color=line.get_color(), alpha=0.15, lw=0
        )
        start = min(length - 1, length // 20)  # the first few samples would fill the whole axis
        low.append(mean[start])
        high.append((mean + deviation).max())
    if low:
        margin = 0.05 * (max(high) - min(low)) or 0.01
        axes.set_ylim(min(low) - margin, max(high) + margin)
    axes.legend(frameon=False, fontsize="small")
    return figure


def _best_so_far(outcome: Outcome) -> np.ndarray:
    fine = [r["error"] is None and not r.get("stopped") for r in outcome.results]
    rewards = [r["reward"] for r in outcome.results]
    best = np.maximum.accumulate(np.where(fine, rewards, -np.inf))
    return np.where(np.isfinite(best), best, np.nan)


def front(study: Study, rows: Sequence[Row]) -> Figure:
    """Accuracy against mult-adds of what every search found in the end."""
    figure, axes = new_figure("What the searches found", "mult-adds, M", "accuracy")
    for variant in study.variants:
        own = [row for row in rows if row.variant == variant and row.samples == study.marks[-1]]
        axes.scatter(
            [row.mult_adds / 1e6 for row in own], [row.accuracy for row in own], s=18, label=variant
        )
    axes.legend(frameon=False, fontsize="small")
    return figure
