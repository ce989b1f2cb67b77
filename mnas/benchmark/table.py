"""The figures as tables for people."""

from typing import Any

from rich.table import Table

from mnas.benchmark.sides import OURS


def tables(result: dict[str, Any]) -> list[Table]:
    """One table of sides, and one of children where throughput was measured."""
    found = [_sides(result)]
    if "throughput" in result:
        found.append(_children(result))
    return found


def _sides(result: dict[str, Any]) -> Table:
    heads = ["", "arrangement", "images/s", "ours / it (spread)", "children: least, most"]
    heads += ["children/hour, cold", "ours / it", "warm", "ours / it", "compiling, cold"]
    table = _table([*heads, "B0's peak memory, MB"], "what each side does with the whole machine")
    throughput, hour = result.get("throughput", {}), result.get("children_per_hour", {})
    memory = result.get("peak_memory_mb", {})
    for name, side in result["sides"].items():
        if "arrangement" not in side:
            table.add_row(side["title"], side["status"])
            continue
        ratio = throughput.get("ratios", {}).get(name)
        passes = hour.get("sides", {}).get(name, {})
        hour_ratios = hour.get("ratios", {}).get(name, {})
        row = [side["title"], side["arrangement"]["name"]]
        if side["status"] != "measured":
            row[1] += f"; {side['status']}"
        row.append(_number(throughput.get("images_per_second", {}).get(name), ".0f"))
        row += [_ratio(ratio), _least_and_most(ratio)]
        for cache in ("cold", "warm"):
            row.append(_number(passes.get(cache, {}).get("children_per_hour"), ",.0f"))
            row.append(_number(hour_ratios.get(cache), ".2f"))
        row.append(_number(passes.get("cold", {}).get("compile_share"), ".0%"))
        table.add_row(*row, _number(memory.get(name), ",.0f"))
    return table


def _children(result: dict[str, Any]) -> Table:
    throughput = result["throughput"]
    names = list(throughput["images_per_second"])
    titles = [result["sides"][name]["title"] for name in names]
    peers = [title for name, title in zip(names, titles, strict=True) if name != OURS]
    heads = ["child", "mult-adds, M", *(f"{title}, images/s" for title in titles)]
    table = _table([*heads, *(f"ours / {title}" for title in peers)], "child by child, medians")
    for row in throughput["children"]:
        rounds = row["images_per_second"]
        medians = [sorted(rounds[n])[len(rounds[n]) // 2] if n in rounds else None for n in names]
        ratios = [row["ratios"].get(name) for name in names if name != OURS]
        table.add_row(
            row["name"],
            f"{row['mult_adds'] / 1e6:.2f}",
            *(_number(median, ".0f") for median in medians),
            *(_number(ratio, ".2f") for ratio in ratios),
        )
    return table


def _table(heads: list[str], title: str) -> Table:
    table = Table(heads[0], box=None, pad_edge=False, title=title, title_justify="left")
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
