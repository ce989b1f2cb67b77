"""Self-contained HTML page about one run or several: plots, tables, drawing, settings.

Made from the runs' journals, so it also shows a search that is still running.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mnas.analysis.comparison import Predict, compare
from mnas.analysis.rescoring import reward_of
from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.experiment.results import Run, load_run
from mnas.loop.early_stopping import savings
from mnas.reports import comparison_tables
from mnas.reports.drawing import draw
from mnas.reports.failures import failure_table
from mnas.reports.figures import (
    END,
    default_style,
    drawable,
    heading,
    label,
    legend_beside,
    limits,
    line_style,
    new_figure,
    paragraph,
    preformatted,
    svg,
    table,
    thinned,
    wide,
    write_page,
)

# Number of networks in the table of the best.
SHOWN = 10


def write_report(directories: Sequence[Path], out: Path, predict: Predict | None = None) -> None:
    """Write the page.

    predict  predictor of accuracy, for the comparison of a run's best network with its reference

    Raises UsageError where a directory holds no readable run, or the page cannot be written.
    """
    runs = [load_run(directory) for directory in directories]
    with default_style():
        sections = [_section(run, predict) for run in runs]
        if len(runs) > 1:
            sections = [
                heading(_title(run)) + section for run, section in zip(runs, sections, strict=True)
            ]
            sections.insert(0, heading("Side by side") + svg(_rewards_of_runs(runs)))
    write_page(out, ", ".join(map(_title, runs)), sections)


def _title(run: Run) -> str:
    return f"{run.experiment_name} ({run.directory})"


def _section(run: Run, predict: Predict | None) -> str:
    parts = [_summary(run), failure_table(run.results)]
    if run.ranking:
        parts += [svg(_rewards(run)), svg(_trade_off(run)), _best_results(run), _best_network(run)]
        parts.append(_compared_with_reference(run, predict))
    for name in ("provenance", "settings"):
        rows = [(key, str(value)) for key, value in _flat(getattr(run.head, name))]
        if rows:
            shown = table(("", ""), rows)
            parts.append(f"<details><summary>{name}</summary>{shown}</details>")
    return "".join(parts)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested settings; a command's words are joined by spaces."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", " ".join(map(str, value))
        else:
            yield f"{prefix}{name}", value


def _summary(run: Run) -> str:
    networks = [result for result in run.results if result.duplicate_of is None]
    succeeded = [result for result in run.results if result.error is None]
    rows = [
        ("trials", f"{len(run.results)}"),
        ("networks evaluated", f"{len(networks)}"),
        ("failed", f"{len(run.results) - len(succeeded)}"),
        ("seconds of evaluation", f"{sum(result.seconds for result in run.results):.0f}"),
    ]
    stopped, saved = savings((result.epochs, result.stopped) for result in networks)
    if stopped:
        epochs = sum(result.epochs for result in networks)
        rows += [("stopped early", f"{stopped}"), ("epochs trained", f"{epochs}")]
        rows += [("epochs saved", f"{saved}")]
    rewards = drawable(result.reward for result in succeeded)
    if len(rewards):
        quarter = max(1, len(rewards) // 4)
        rows += [
            ("mean reward, first quarter", f"{np.mean(rewards[:quarter]):.4f}"),
            ("mean reward, last quarter", f"{np.mean(rewards[-quarter:]):.4f}"),
        ]
    return table(("", ""), rows)


def _best_results(run: Run) -> str:
    rows = [
        (
            f"trial {result.trial}",
            f"{result.reward:.4f}",
            f"{result.accuracy:.4f}",
            f"{result.mult_adds / 1e6:.2f}",
            f"{result.params / 1e6:.2f}",
        )
        for result in run.ranking[:SHOWN]
    ]
    return table(("best networks", "reward", "accuracy", "mult-adds, M", "params, M"), rows)


def _best_network(run: Run) -> str:
    """Return the best network's drawing, beside its reference where published; block strings."""
    best = Architecture.from_dict(run.ranking[0].architecture).replace(name="best network")
    drawing = draw(best, PUBLISHED.get(run.head.reference or ""))
    strings = preformatted("\n".join(run.ranking[0].architecture["blocks"]))
    return heading("Best architecture", level=3) + wide(drawing) + strings


def _compared_with_reference(run: Run, predict: Predict | None) -> str:
    if run.head.reference is None:
        return ""
    if run.head.reference not in PUBLISHED:
        return paragraph(f"Not compared: {run.head.reference} is no published network.")
    reference = PUBLISHED[run.head.reference]
    best = Architecture.from_dict(run.ranking[0].architecture).replace(name="best network")
    reward = reward_of(run) if "reward" in run.head.settings else None
    comparison = compare(best, reference, predict, reward)
    tables = [table(heads, rows) for heads, rows in comparison_tables.tables(comparison)]
    notes = [paragraph(note) for note in comparison_tables.notes(comparison)]
    return heading(f"Compared with {reference.name}", level=3) + "".join(tables + notes)


def _best_so_far(run: Run) -> np.ndarray:
    complete = [result.error is None and not result.stopped for result in run.results]
    rewards = drawable(result.reward for result in run.results)
    return np.fmax.accumulate(np.where(complete, rewards, np.nan))  # Ignores NaN.


def _rewards(run: Run) -> Figure:
    figure, axes = new_figure("Reward of every child", "trial", "reward")
    succeeded = [result for result in run.results if result.error is None]
    trials = np.array([result.trial for result in succeeded])
    rewards = drawable(result.reward for result in succeeded)
    axes.scatter(trials, rewards, s=12, color="tab:gray", alpha=0.6, label="child", rasterized=True)
    last_trials = [batch.first_trial + len(batch.decisions) - 1 for batch in run.proposals]
    means = drawable(update.mean_reward for update in run.updates)
    shown = thinned(len(means))
    axes.plot(
        np.array(last_trials)[shown],
        means[shown],
        color="tab:blue",
        marker="o",
        markersize=4 if len(means) < 100 else 0,
        label="batch mean",
    )
    trials, best = _curve(run)
    axes.step(trials, best, where="post", color="tab:orange", label="best so far")
    # The failed reward, far from the others, is outside the axis.
    axes.set_ylim(*limits(rewards.min(), rewards.max()))
    legend_beside(figure)
    return figure


def _curve(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Return (trials, best reward so far), thinned."""
    shown = thinned(len(run.results))
    return np.array([result.trial for result in run.results])[shown], _best_so_far(run)[shown]


def _trade_off(run: Run) -> Figure:
    figure, axes = new_figure("Accuracy against cost", "mult-adds, M", "accuracy")
    madds = [result.mult_adds / 1e6 for result in run.ranking]
    accuracies = [result.evaluation.accuracy for result in run.ranking]
    trials = [result.trial for result in run.ranking]
    points = axes.scatter(madds, accuracies, c=trials, s=18, cmap="viridis", rasterized=True)
    figure.colorbar(points, label="trial")
    front = non_dominated(madds, accuracies)
    shown = [front[index] for index in thinned(len(front))]
    axes.step(
        [madds[index] for index in shown],
        [accuracies[index] for index in shown],
        where="post",
        color="black",
        lw=1,
        label=f"non-dominated, {len(front)}",
    )
    axes.scatter(madds[:1], accuracies[:1], s=160, marker="*", color="tab:red", label="best")
    reward = run.head.settings.get("reward", {})
    if reward.get("cost") == "mult_adds":
        axes.axvline(reward["target_madds"] / 1e6, color="gray", ls="--", lw=1, label="target")
    legend_beside(figure)
    return figure


def non_dominated(costs: Sequence[float], accuracies: Sequence[float]) -> list[int]:
    """Return the indices of points that no other equals or exceeds in both, by rising cost.

    A point is dominated by another of at most its cost and at least its accuracy, one of them
    better; of equal points the first is kept.
    """
    order = sorted(range(len(costs)), key=lambda index: (costs[index], -accuracies[index], index))
    front: list[int] = []
    for index in order:
        if not front or accuracies[index] > accuracies[front[-1]]:
            front.append(index)
    return front


def _rewards_of_runs(runs: Sequence[Run]) -> Figure:
    figure, axes = new_figure("Best reward so far", "trial", "reward", lines=len(runs))
    for index, run in enumerate(runs):
        trials, best = _curve(run)
        style = line_style(index) | END
        axes.step(trials, best, where="post", label=label(_title(run)), **style)
    legend_beside(figure)
    return figure
