"""What a page says about each run: variables of its template, its figures and its data."""

import dataclasses
import datetime
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from mnas.analysis.comparison import Predict, compare
from mnas.analysis.front import Box
from mnas.analysis.importance import Importances, importances
from mnas.architecture.architecture import Architecture
from mnas.experiment.results import Run
from mnas.loop.records import ResultRecord
from mnas.reports import comparison_tables, remeasured_table
from mnas.reports.drawing import draw, without_style
from mnas.reports.failures import failure_rows
from mnas.reports.page.accuracies import Accuracies
from mnas.reports.page.chart import Chart
from mnas.reports.page.costs import CostAxis, cost_axis
from mnas.reports.page.curves import GROUPS, batches, box_of
from mnas.reports.page.decision_charts import SHOWN as SHOWN_DECISIONS
from mnas.reports.page.decision_charts import (
    effects_chart,
    found,
    heat_map,
    importance_chart,
    most_spread,
)
from mnas.reports.page.front_chart import front_chart, front_results
from mnas.reports.page.head import Pair, facts, formula, numbers, pair, progress
from mnas.reports.page.reward_chart import hypervolume_chart, reward_chart, spacing
from mnas.reports.page.time_chart import time_chart, worker_chart
from mnas.reports.page.trials import STATUSES, columns, status
from mnas.reports.text import named_path

SHOWN = 10  # networks in the table of the best
# Drawings of a page, which its runs share: of the best networks, and further ones of the front; of
# a longer front, evenly spaced ones.
DRAWN, DRAWN_OF_FRONT = 50, 100


@dataclasses.dataclass(frozen=True)
class Section:
    """A run with all that its part of the page is made of."""

    run: Run
    axis: CostAxis
    accuracies: Accuracies
    networks: Pair | None
    front: Chart | None
    rewards: list[Chart]
    decisions: list[Chart]
    drawn: list[ResultRecord]

    @property
    def charts(self) -> list[Chart]:
        """Return the figures in the order of the page."""
        return [chart for chart in (self.front, *self.rewards, *self.decisions) if chart]


def sections(runs: Sequence[Run], predict: Predict | None) -> list[Section]:
    """Return the parts of the page; all runs have the rectangle of hypervolumes in common."""
    axes = [cost_axis(run) for run in runs]
    box = box_of(list(zip(runs, axes, strict=True)))
    return [
        _section(index, run, axis, box, predict, len(runs))
        for index, (run, axis) in enumerate(zip(runs, axes, strict=True))
    ]


def _section(
    index: int, run: Run, axis: CostAxis, box: Box | None, predict: Predict | None, count: int
) -> Section:
    accuracies, networks = Accuracies(run, predict), pair(run)
    body = None if networks is None else front_chart(run, networks, axis, accuracies)
    front = (
        None
        if body is None
        else Chart(
            "front",
            f"All trials and the front of {axis.name}",
            _front_caption(run, axis, DRAWN // count),
            _front_description(run, axis),
            body,
            index,
        )
    )
    drawn = {result.trial: result for result in run.ranking[: DRAWN // count]}
    of_front = front_results(run, axis)
    step = max(1, -(-len(of_front) * count // DRAWN_OF_FRONT))
    drawn |= {result.trial: result for result in of_front[::step]}
    rewards = _rewards(index, run, axis, box)
    chosen = _decisions(run)
    return Section(run, axis, accuracies, networks, front, rewards, chosen, [*drawn.values()])


def _front_caption(run: Run, axis: CostAxis, drawn: int) -> str:
    front = front_results(run, axis)
    parts = [f"Line: the {len(front)} non-dominated networks."]
    if any(result.stopped for result in run.results):
        parts.append("Hollow points: stopped early.")
    if axis.reward is not None:
        parts.append("Dotted curves: equal reward, with its value at their end.")
    if axis.kind != "latency_ms":
        parts.append(
            "Violet: published networks at this resolution and number of classes; a vertical line "
            "where only the cost is known."
        )
    parts.append(
        f"Hover for a trial, click to pin its network; the {drawn} best and the front have "
        "drawings, others block strings."
    )
    return " ".join(parts)


def _front_description(run: Run, axis: CostAxis) -> str:
    front = front_results(run, axis)
    if not front:
        return ""
    first, last = front[0], front[-1]
    return (
        f"Front of {len(front)} networks from {axis.of_result(first):.4g} {axis.unit} {axis.name} "
        f"at accuracy {first.accuracy:.4f} to {axis.of_result(last):.4g} {axis.unit} at "
        f"{last.accuracy:.4f}."
    )


def _rewards(index: int, run: Run, axis: CostAxis, box: Box | None) -> list[Chart]:
    charts = []
    if body := reward_chart(run):
        _, size = batches(run)
        group = "batch" if size == 1 else f"{size} batches"
        thinned = f"; more than {GROUPS} batches are taken together" if size > 1 else ""
        best = max(result.reward for result in run.results if result.error is None)
        caption = (
            f"Orange: best reward so far. Blue: mean of each {group} with the band from the 10% to "
            f"the 90% quantile of its children{thinned}. {_marks(run)} "
            f"{_left_out(len(run.results))}"
        )
        described = f"{len(run.results)} trials; the best reward is {best:.4f}."
        title = "Reward of every trial" if spacing(len(run.results)) == 1 else "Reward of trials"
        charts.append(Chart("rewards", title, caption.strip(), described, body, index))
    if box is not None and (body := hypervolume_chart(run, axis, box)):
        caption = (
            f"Hypervolume: part of the rectangle from {box.cheapest:.4g} to {box.most:.4g} "
            f"{axis.unit} and from {100 * box.least:.1f}% to {100 * box.greatest:.1f}% that the "
            "trials so far dominate."
        )
        described = "It rises as the front advances."
        charts.append(
            Chart("hypervolume", "Hypervolume of the front", caption, described, body, None)
        )
    return [*charts, *_time(run)]


def _time(run: Run) -> list[Chart]:
    charts = []
    if (body := time_chart(run)) is not None:
        caption = (
            "Time of evaluations by phase, all workers together. Compiling, tracing and reading "
            "programs are taken out of the training, in which they happen."
        )
        title = "Time of evaluations, seconds"
        charts.append(Chart("time", title, caption, "Bars over trials, by phase.", body))
    if (body := worker_chart(run)) is not None:
        caption = (
            "The same by worker. Wait: what is left of the search's wall-clock time, without "
            "pauses between sessions; it includes starting and the end of every batch."
        )
        title = "Time of workers"
        charts.append(Chart("workers", title, caption, "A bar for each worker, by phase.", body))
    return charts


def _decisions(run: Run) -> list[Chart]:
    """Return the figures of decisions; none where all networks are alike."""
    every, size = found(run)
    if not every or not run.ranking:
        return []
    group = "batch" if size == 1 else f"{size} batches"
    charts = [
        Chart(
            "decisions",
            "Frequency of every choice over the search",
            f"Share of the networks of each {group} that have a value; decisions in which all "
            "networks agree are left out.",
            f"{len(every)} decisions: {', '.join(decision.name for decision in every)}.",
            heat_map(run, most_spread(every), size),
        )
    ]
    if (important := importances(run, every)) is not None:
        charts.append(_importance(important))
    if (body := effects_chart(every)) is not None:
        caption = (
            "Mean reward of the complete networks with a value, minus that of all, with its 95% "
            f"interval; the {SHOWN_DECISIONS} decisions of the largest spread. The controller "
            "chose these networks, so that a difference is no effect of the choice alone."
        )
        title = "Choices and the reward"
        wide = max(every, key=lambda decision: decision.spread)
        described = f"Largest difference: {wide.spread:.3g}, of {wide.name}."
        charts.append(Chart("effects", title, caption, described, body))
    return charts


def _importance(important: Importances) -> Chart:
    first = important.items[0]
    caption = (
        "Standard deviation of the mean reward over the values of a decision, all others chosen "
        "uniformly, by a Gaussian process with main effects and pairs of choices: posterior median "
        f"and 95% interval. Fitted to {important.networks:,} complete networks; "
        f"{100 * important.noise:.3g}% of the variance of their rewards is noise to it. Intervals "
        "hold if the model does; it extrapolates to networks that the search did not sample."
    )
    title = "Importance of decisions for the reward"
    described = f"Most important: {first.name}, {first.median:.3g}."
    return Chart("importance", title, caption, described, importance_chart(important))


def _left_out(count: int) -> str:
    return f"A point for every {spacing(count)} trials." if spacing(count) > 1 else ""


def _marks(run: Run) -> str:
    """Return what the marks of the trials that are there mean."""
    marks = []
    if any(result.duplicate_of is not None for result in run.results):
        marks.append("Hollow points: duplicates, answered from the journal.")
    if any(result.stopped for result in run.results):
        marks.append("Triangles: stopped early.")
    if any(result.error is not None for result in run.results):
        marks.append("Crosses on the axis: failed.")
    return " ".join(marks)


def variables(section: Section, index: int, predict: Predict | None) -> dict[str, Any]:
    """Return the variables of a run's part of the template."""
    run, axis, networks = section.run, section.axis, section.networks
    done, planned = progress(run)
    reference = networks.reference.name if networks and networks.reference else ""
    heads, rows = best_table(run, axis)
    return {
        "index": index,
        "name": run.experiment_name,
        "directory": named_path(run.directory),
        "state": f"{done:,} of {planned:,} trials so far" if planned and done < planned else "",
        "empty": _empty(run),
        "numbers": numbers(networks, axis, section.accuracies) if networks else [],
        "formula": formula(axis),
        "reference": reference,
        "front": section.front,
        "rewards": section.rewards,
        "decisions": section.decisions,
        "statuses": [STATUSES[code] for code in sorted({status(r) for r in run.results})],
        "cost_name": axis.name,
        "cost_unit": axis.unit,
        "best_heads": heads,
        "best_rows": rows,
        "table_note": "",
        "failures": failure_rows(run.results),
        "remeasured": remeasured_table.table(run.ranked),
        "facts": facts(run),
        "settings": [(key, str(value)) for key, value in flat(run.head.settings)],
        "drawings": [_drawing(result) for result in section.drawn],
        **_best_network(run, networks, axis, predict),
    }


def _empty(run: Run) -> str:
    if not run.results:
        return "No trial has a result yet."
    return "" if run.ranking else "No evaluation has succeeded."


def best_table(run: Run, axis: CostAxis) -> tuple[list[str], list[list[str]]]:
    """Return heads and rows of the best networks, block strings last."""
    heads = ["trial", "reward", "accuracy", "mult-adds, M", "params, M"]
    latency = axis.kind == "latency_ms"
    rows = []
    for result in run.ranking[:SHOWN]:
        row = [
            f"{result.trial}",
            f"{result.reward:.4f}",
            "–" if result.accuracy is None else f"{100 * result.accuracy:.2f}%",
            f"{result.mult_adds / 1e6:.2f}",
            f"{result.params / 1e6:.2f}",
        ]
        row += [f"{result.latency_ms:.3g}"] if latency and result.latency_ms is not None else []
        rows.append([*row, " ".join(result.architecture["blocks"])])
    return [*heads, *(["latency, ms"] if latency else []), "network"], rows


def _drawing(result: ResultRecord) -> tuple[int, str]:
    network = Architecture.from_dict(result.architecture).replace(name=f"trial {result.trial}")
    return result.trial, without_style(draw(network))


def _best_network(
    run: Run, networks: Pair | None, axis: CostAxis, predict: Predict | None
) -> dict[str, Any]:
    """Return drawing, block strings and comparison in numbers of the best network."""
    empty: dict[str, Any] = {"drawing": "", "strings": "", "compared": [], "notes": []}
    if networks is None:
        return {**empty, "remarks": []}
    strings = "\n".join(networks.result.architecture["blocks"])
    drawing = without_style(draw(networks.best, networks.reference))
    remarks = []
    if networks.reference is None and run.head.reference is not None:
        remarks = [f"Not compared: {run.head.reference} is no published network."]
    content = {**empty, "drawing": drawing, "strings": strings, "remarks": remarks}
    if networks.reference is None:
        return content
    comparison = compare(networks.best, networks.reference, predict, axis.reward)
    compared, notes = comparison_tables.tables(comparison), comparison_tables.notes(comparison)
    return {**content, "compared": compared, "notes": notes}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, value) of nested settings; words of a list are joined by spaces."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", " ".join(map(str, value))
        else:
            yield f"{prefix}{name}", value


def data_of(parts: Sequence[Section], charts: Sequence[Chart]) -> dict[str, Any]:
    """Return the page's data: the trials of every run, and the specifications of figures."""
    return {
        "runs": [columns(part.run, part.axis) for part in parts],
        "charts": [chart.specification for chart in charts],
    }


def common(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the template needs besides the runs."""
    title = ", ".join(dict.fromkeys(run.experiment_name for run in runs))
    return {"title": title, **written()}


def written() -> dict[str, str]:
    """Return when and by which version a page is written."""
    now = datetime.datetime.now().astimezone()
    return {"written": f"{now:%Y-%m-%d %H:%M}", "version": version("mnas")}
