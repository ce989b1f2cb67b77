"""The figures as tables for people."""

from typing import Any

from rich.table import Table
from rich.text import Text


def tables(result: dict[str, Any]) -> list[Table]:
    """What was measured, in tables that fit into 80 columns."""
    found = [_throughput(result)]
    if "children_per_hour" in result or "peak_memory_mb" in result:
        found.append(_children_per_hour(result))
    if "throughput" in result:
        found.append(_children(result))
    return found


def _throughput(result: dict[str, Any]) -> Table:
    heads = ["", "arrangement", "images/s", "ours / it (spread)", "least, most"]
    table = _table(heads, "the whole machine in steady state; least and most of single children")
    throughput, remarks = result.get("throughput", {}), []
    for name, side in result["sides"].items():
        ratio = throughput.get("ratios", {}).get(name)
        if side["status"] != "measured":
            remarks.append(f"{side['title']}: {side['status']}")
        table.add_row(
            side["title"],
            side["arrangement"]["name"] if "arrangement" in side else "-",
            _number(throughput.get("images_per_second", {}).get(name), ".0f"),
            _ratio(ratio),
            _least_and_most(ratio),
        )
    table.caption = Text("\n".join(remarks)) if remarks else None
    return table


def _children_per_hour(result: dict[str, Any]) -> Table:
    heads = ["", "cold", "ours / it", "warm", "ours / it", "compiling, cold", "memory, MB"]
    table = _table(heads, "children/hour, cache cold and warm; peak memory of a worker with B0")
    hour, memory = result.get("children_per_hour", {}), result.get("peak_memory_mb", {})
    for name, side in result["sides"].items():
        passes, ratios = (hour.get(key, {}).get(name, {}) for key in ("sides", "ratios"))
        row = [side["title"]]
        for cache in ("cold", "warm"):
            row.append(_number(passes.get(cache, {}).get("children_per_hour"), ",.0f"))
            row.append(_ratio(ratios.get(cache)))
        row.append(_number(passes.get("cold", {}).get("compile_share"), ".0%"))
        table.add_row(*row, _number(memory.get(name), ",.0f"))
    return table


def _children(result: dict[str, Any]) -> Table:
    names = list(result["throughput"]["images_per_second"])
    titles = [result["sides"][name]["title"] for name in names]
    table = _table(["child", "mult-adds, M", *titles], "images/s, medians (ours / it)")
    for row in result["throughput"]["children"]:
        cells = [row["name"], f"{row['mult_adds'] / 1e6:.2f}"]
        for name in names:
            rounds = sorted(row["images_per_second"].get(name, ()))
            cell = _number(rounds[len(rounds) // 2] if rounds else None, ".0f")
            cells.append(cell + (f" ({row['ratios'][name]:.2f})" if name in row["ratios"] else ""))
        table.add_row(*cells)
    return table


def _table(heads: list[str], title: str) -> Table:
    table = Table(
        heads[0],
        **{"box": None, "pad_edge": False, "title": title},
        **{"title_justify": "left", "caption_justify": "left"},
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


def _least_and_most(ratio: dict[str, Any] | None) -> str:
    return "-" if ratio is None else f"{ratio['child_min']:.2f}, {ratio['child_max']:.2f}"
