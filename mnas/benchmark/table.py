"""Tables of results for people, at most 80 columns wide for training."""

import statistics
from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from mnas.benchmark.contender import OURS
from mnas.benchmark.figures import median_and_spread

# --- training -----------------------------------------------------------------------------------


def training_tables(result: dict[str, Any]) -> list[Table]:
    """Return tables of throughput, of children/hour and memory, and of single children."""
    tables = [_throughput(result)]
    if "children_per_hour" in result or "peak_memory_mb" in result:
        tables.append(_children_per_hour(result))
    if "throughput" in result:
        tables.append(_children(result))
    return tables


def _throughput(result: dict[str, Any]) -> Table:
    heads = ["", "arrangement", "images/s", "ours / it (spread)", "least, most"]
    table = _table(heads, "steady state, all cores; least and most ratio of single children")
    throughput, failures = result.get("throughput", {}), []
    for name, contender in result["contenders"].items():
        ratio = throughput.get("ratios", {}).get(name)
        if contender["status"] != "measured":
            failures.append(f"{contender['title']}: {contender['status']}")
        table.add_row(
            contender["title"],
            contender["arrangement"]["name"] if "arrangement" in contender else "-",
            _number(throughput.get("images_per_second", {}).get(name), ".0f"),
            _ratio(ratio),
            "-" if ratio is None else f"{ratio['child_min']:.2f}, {ratio['child_max']:.2f}",
        )
    table.caption = Text("\n".join(failures)) if failures else None
    return table


def _children_per_hour(result: dict[str, Any]) -> Table:
    heads = ["", "cold", "ours / it", "warm", "ours / it", "compiling, cold", "memory, MB"]
    table = _table(heads, "children/hour, cache cold and warm; peak memory of a worker with B0")
    hour, memory = result.get("children_per_hour", {}), result.get("peak_memory_mb", {})
    for name, contender in result["contenders"].items():
        passes = hour.get("contenders", {}).get(name, {})
        ratios = hour.get("ratios", {}).get(name, {})
        row = [contender["title"]]
        for cache in ("cold", "warm"):
            row.append(_number(passes.get(cache, {}).get("children_per_hour"), ",.0f"))
            row.append(_ratio(ratios.get(cache)))
        row.append(_number(passes.get("cold", {}).get("compile_fraction"), ".0%"))
        table.add_row(*row, _number(memory.get(name), ",.0f"))
    return table


def _children(result: dict[str, Any]) -> Table:
    names = list(result["throughput"]["images_per_second"])
    titles = [result["contenders"][name]["title"] for name in names]
    table = _table(["child", "mult-adds, M", *titles], "images/s, medians (ours / it)")
    for row in result["throughput"]["children"]:
        cells = [row["name"], f"{row['mult_adds'] / 1e6:.2f}"]
        for name in names:
            rounds = row["images_per_second"].get(name)
            cell = _number(statistics.median_high(rounds) if rounds else None, ".0f")
            cells.append(cell + (f" ({row['ratios'][name]:.2f})" if name in row["ratios"] else ""))
        table.add_row(*cells)
    return table


# --- inference ----------------------------------------------------------------------------------


def inference_tables(result: dict[str, Any]) -> list[Table]:
    """Return one table for each phase, and one that compares with the paper."""
    titles = {
        "latency": "one image at a time on one core: medians, in ms (least to most)",
        "throughput": "batches on all cores: medians, in images/s (least to most)",
    }
    tables = [_phase(result, phase, title) for phase, title in titles.items() if phase in result]
    if "b1_against_resnet_152" in result:
        tables.append(_against_paper(result))
    return tables


def _phase(result: dict[str, Any], phase: str, title: str) -> Table:
    contenders = result["contenders"]
    peers = [name for name in contenders if name != OURS]
    heads = ["network", "pixels", "params, M", "mult-adds, M"]
    heads += [contender["title"] for contender in contenders.values()]
    heads += [f"ours / {contenders[name]['title']}" for name in peers]
    table = _table(heads, title)
    table.columns[0].no_wrap = True
    for row in result[phase]:
        figures = row.get("latency_ms") or {
            name: median_and_spread(rounds) for name, rounds in row["images_per_second"].items()
        }
        params, mult_adds = row["params"] / 1e6, row["mult_adds"] / 1e6
        cells = [f"{row['resolution']}", f"{params:.2f}", f"{mult_adds:,.1f}"]
        cells += [_median(figures.get(name), ".1f") for name in contenders]
        cells += [_median(row["ratios"].get(name), ".2f") for name in peers]
        table.add_row(row["name"], *cells)
    return table


def _against_paper(result: dict[str, Any]) -> Table:
    table = _table(["", "times as fast"], "EfficientNet-B1 beside ResNet-152")
    for name, ratio in result["b1_against_resnet_152"].items():
        contender = result["contenders"].get(name, {"title": "paper, Table 4"})
        table.add_row(contender["title"], f"{ratio:.1f}")
    return table


# --- cells --------------------------------------------------------------------------------------


def _table(heads: Sequence[str], title: str) -> Table:
    table = Table(
        heads[0],
        box=None,
        pad_edge=False,
        title=title,
        title_justify="left",
        caption_justify="left",
    )
    for head in heads[1:]:
        table.add_column(head, justify="right", overflow="fold")
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "-"
    low, high = ratio["spread"]
    return f"{ratio['ratio']:.2f} ({low:.2f} to {high:.2f})"


def _median(figure: dict[str, Any] | None, form: str) -> str:
    if figure is None:
        return "-"
    low, high = figure["spread"]
    return f"{figure['median']:{form}} ({low:{form}} to {high:{form}})"
