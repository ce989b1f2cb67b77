"""One self-contained HTML page about one run or several: plots, tables, the spec, the settings.

Reads the runs' journals only, so it can look at a search that is still running.
"""

import collections
import html
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mnas.analysis import comparison
from mnas.analysis.rescoring import reward_of
from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError
from mnas.loop import journal
from mnas.loop.early_stopping import savings
from mnas.loop.selection import candidates
from mnas.reports.figures import new_figure, svg, table, write_page

SHOWN = 10


def write_report(
    directories: Sequence[Path], out: Path, predict: comparison.Predict | None = None
) -> None:
    """Writes the page; ValueError where a directory holds no readable run.

    `predict` is asked for the accuracy of a run's best network and of its reference.
    """
    runs = [_Run(directory, predict) for directory in directories]
    sections = [run.section() for run in runs]
    if len(runs) > 1:
        heads = [f"<h2>{html.escape(run.name)}</h2>" for run in runs]
        sections = [head + section for head, section in zip(heads, sections, strict=True)]
        sections.insert(0, f"<h2>Side by side</h2>{svg(_compare(runs))}")
    title = ", ".join(run.name for run in runs)
    write_page(out, title, sections)


class _Run:
    """A run's journal, by kind of record."""

    def __init__(self, directory: Path, predict: comparison.Predict | None) -> None:
        records = journal.read(directory / "journal.jsonl")
        if not records:
            raise UsageError(f"{directory}: the journal is empty; accepted: a run that has begun")
        self.directory, self.head, self.predict = directory, records[0], predict
        self.name = f"{self.head['name']} ({directory})"
        self.results = [record for record in records if record["kind"] == "result"]
        self.results.sort(key=lambda result: result["trial"])
        self.updates = [record for record in records if record["kind"] == "update"]
        self.proposals = [record for record in records if record["kind"] == "proposals"]
        self.ranked = sorted(candidates(self.results), key=lambda r: (-r["reward"], r["trial"]))

    def section(self) -> str:
        parts = [self._summary()]
        if self.ranked:
            parts += [svg(_rewards(self)), svg(_trade_off(self)), self._top(), self._best()]
            parts.append(self._compared())
        settings = json.dumps(self.head["settings"], indent=2)
        parts.append(
            f"<details><summary>settings</summary><pre>{html.escape(settings)}</pre></details>"
        )
        return "".join(parts)

    def _summary(self) -> str:
        rewards = [result["reward"] for result in self.results]
        quarter = max(1, len(rewards) // 4)
        failed = [result["error"] for result in self.results if result["error"]]
        networks = [result for result in self.results if result["duplicate_of"] is None]
        stopped, spared = savings((r["epochs"], r.get("stopped", False)) for r in networks)
        rows = [
            ("trials", f"{len(self.results)}"),
            ("networks evaluated", f"{len(networks)}"),
            ("failed", f"{len(failed)}"),
            ("seconds of evaluation", f"{sum(r['seconds'] for r in self.results):.0f}"),
        ]
        if stopped:
            epochs = sum(result["epochs"] for result in networks)
            rows += [("stopped early", f"{stopped}"), ("epochs trained", f"{epochs}")]
            rows += [("epochs spared", f"{spared}")]
        if rewards:
            rows += [
                ("mean reward, first quarter", f"{np.mean(rewards[:quarter]):.4f}"),
                ("mean reward, last quarter", f"{np.mean(rewards[-quarter:]):.4f}"),
            ]
        rows += [
            (f"failed {count} times", cause)
            for cause, count in collections.Counter(failed).most_common()
        ]
        return table(("", ""), rows)

    def _top(self) -> str:
        rows = [
            (
                f"trial {result['trial']}",
                f"{result['reward']:.4f}",
                f"{result['accuracy']:.4f}",
                f"{result['mult_adds'] / 1e6:.2f}",
                f"{result['params'] / 1e6:.2f}",
            )
            for result in self.ranked[:SHOWN]
        ]
        heads = ("the best", "reward", "accuracy", "mult-adds, M", "params, M")
        return table(heads, rows)

    def _best(self) -> str:
        path = self.directory / "best.json"
        if not path.is_file():
            return ""
        return f"<h3>Best architecture</h3><pre>{html.escape(path.read_text())}</pre>"

    def _compared(self) -> str:
        """Of journals that name a reference and describe their networks; older ones do neither."""
        reference = PUBLISHED.get(self.head.get("reference"))
        described = self.ranked[0].get("architecture")
        if reference is None or described is None:
            return ""
        best = Architecture.from_dict(described).replace(name="the best")
        compared = comparison.compare(best, reference, self.predict, reward_of([self.head]))
        tables = [table(heads, rows) for heads, rows in comparison.tables(compared)]
        notes = [f"<p>{html.escape(note)}</p>" for note in comparison.notes(compared)]
        return f"<h3>Compared with {html.escape(reference.name)}</h3>{''.join(tables + notes)}"


def _best_so_far(run: _Run) -> np.ndarray:
    rewards = [np.nan if r.get("stopped") else r["reward"] for r in run.results]
    return np.fmax.accumulate(rewards)  # passes over NaN


def _rewards(run: _Run) -> Figure:
    figure, axes = new_figure("Reward of every child", "trial", "reward")
    fine = [result for result in run.results if not result["error"]]
    trials = [result["trial"] for result in fine]
    rewards = [result["reward"] for result in fine]
    axes.scatter(trials, rewards, s=12, color="tab:gray", alpha=0.6, label="child", rasterized=True)
    ends = [proposal["first_trial"] + len(proposal["decisions"]) - 1 for proposal in run.proposals]
    means = [update["mean_reward"] for update in run.updates]
    axes.plot(ends[: len(means)], means, color="tab:blue", marker="o", ms=4, label="batch mean")
    numbers = [result["trial"] for result in run.results]
    axes.step(numbers, _best_so_far(run), where="post", color="tab:orange", label="best so far")
    # Failed children carry a reward far from all others; the axis shows the ones that trained.
    axes.set_ylim(*_margins(rewards))
    axes.legend(frameon=False)
    return figure


def _margins(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin


def _trade_off(run: _Run) -> Figure:
    figure, axes = new_figure("Accuracy against cost", "mult-adds, M", "accuracy")
    madds = [result["mult_adds"] / 1e6 for result in run.ranked]
    accuracies = [result["accuracy"] for result in run.ranked]
    trials = [result["trial"] for result in run.ranked]
    points = axes.scatter(madds, accuracies, c=trials, s=18, cmap="viridis", rasterized=True)
    figure.colorbar(points, label="trial")
    axes.scatter(madds[:1], accuracies[:1], s=160, marker="*", color="tab:red", label="best reward")
    reward = run.head["settings"]["reward"]
    if reward["cost"] == "mult_adds":
        axes.axvline(reward["target_madds"] / 1e6, color="gray", ls="--", lw=1, label="target")
    axes.legend(frameon=False)
    return figure


def _compare(runs: Sequence[_Run]) -> Figure:
    figure, axes = new_figure("Best reward so far", "trial", "reward")
    for run in runs:
        numbers = [result["trial"] for result in run.results]
        axes.step(numbers, _best_so_far(run), where="post", label=run.name)
    axes.legend(frameon=False)
    return figure
