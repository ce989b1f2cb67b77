"""What the measurements come to: ratios, medians and spreads, as plain data for JSON.

All ratios are ours / the peer's: above 1 where ours does more. R rounds of each child; each ratio
is taken within a round, where both sides ran one after the other.
"""

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.text_forms import block_strings
from mnas.benchmark.processes import OURS


def child_row(child: Architecture, speeds: dict[str, list[float]]) -> dict[str, Any]:
    """One child of the throughput: images/s [R] of each side, and the median ratio to each peer."""
    ratios = {name: ratio_rounds(speeds, name) for name in speeds if name != OURS}
    return {
        **_described(child),
        "images_per_second": speeds,
        "ratios": {name: statistics.median(rounds) for name, rounds in ratios.items()},
    }


def _described(child: Architecture) -> dict[str, Any]:
    cost = network_cost(child)
    return {
        "name": child.name,
        "blocks": list(block_strings(child)),
        "params": cost.params,
        "mult_adds": cost.mult_adds,
    }


def ratio_rounds(speeds: dict[str, list[float]], peer: str) -> list[float]:
    """Ours / the peer's in each round, [R]."""
    return [a / b for a, b in zip(speeds[OURS], speeds[peer], strict=True)]


def throughput(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Over all children: each side's images/s, and how ours compares with each peer.

    images_per_second   geometric mean over children of the median over rounds
    ratio               geometric mean over children in each round; of these, the median
    spread              the smallest and the largest of these
    child_min, child_max   ratios of single children, each the median over rounds
    """
    sides, ratios = {}, {}
    for name in names:
        measured = [row for row in rows if name in row["images_per_second"]]
        if not measured:
            continue
        medians = [statistics.median(row["images_per_second"][name]) for row in measured]
        sides[name] = statistics.geometric_mean(medians)
        if name != OURS:
            by_child = [ratio_rounds(row["images_per_second"], name) for row in measured]
            rounds = [statistics.geometric_mean(r) for r in zip(*by_child, strict=True)]
            ratios[name] = {
                "ratio": statistics.median(rounds),
                "spread": [min(rounds), max(rounds)],
                "child_min": min(row["ratios"][name] for row in measured),
                "child_max": max(row["ratios"][name] for row in measured),
                "children": len(measured),
            }
    return {"images_per_second": sides, "ratios": ratios, "children": list(rows)}


def trained(
    children: Sequence[Architecture],
    answers: Sequence[dict[str, Any]],
    rounds: Sequence[tuple[int, float]],
    megabytes: float,
) -> dict[str, Any]:
    """One side's pass over `children`; of each round, how many there were and their seconds.

    busy_seconds    of all workers together, in training and validation
    compile_share   part of these that went into compiling, or reading what was compiled
    trace_share     part that went into tracing before that, where the side tells
    peak_memory_mb  of the worker that took most, after all its children
    mean_accuracy   on held-out images; that of peers is low after few steps, for their BatchNorm's
                    moving averages (decay 0.99) lag, where ours has statistics made afterwards
    mean_mult_adds  of the children, where sides train different numbers of them
    steady_seconds_in_rounds  each child's, without compiling and tracing
    """
    busy = sum(answer["seconds"] for answer in answers)
    seconds = sum(seconds for _, seconds in rounds)
    steady = iter(
        answer["seconds"] - answer["compile_seconds"] - answer.get("trace_seconds", 0.0)
        for answer in answers
    )
    return {
        "children_per_hour": 3600 * len(children) / seconds,
        "children": len(children),
        "seconds": seconds,
        "seconds_in_rounds": [seconds for _, seconds in rounds],
        "children_per_hour_in_rounds": [3600 * count / seconds for count, seconds in rounds],
        "busy_seconds": busy,
        "compile_share": sum(answer["compile_seconds"] for answer in answers) / busy,
        "trace_share": sum(answer.get("trace_seconds", 0.0) for answer in answers) / busy,
        "peak_memory_mb": megabytes,
        "mean_accuracy": statistics.fmean(answer["accuracy"] for answer in answers),
        "mean_mult_adds": statistics.fmean(network_cost(child).mult_adds for child in children),
        "steady_seconds_in_rounds": [list(itertools.islice(steady, n)) for n, _ in rounds],
    }


def children_per_hour(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """By side and cache, and ours / the peer's with the same cache.

    ratio   of all children in all the time: the first round, in which most is compiled, counts
    spread  the smallest and the largest of single rounds

    A peer that keeps nothing compiled has one pass, which both of ours are compared with. One that
    trained only some of our children is compared with the part of our time that is due to these:
    dear children among them would otherwise count against it. That part goes by our seconds
    without compiling, since blocks that are compiled for one child serve all.
    """
    ratios = {}
    for name, passes in found.items():
        if name == OURS or not passes:
            continue
        ratios[name] = {
            cache: _faster(ours, passes.get(cache, passes["cold"]))
            for cache, ours in found[OURS].items()
        }
    return {"sides": {name: passes for name, passes in found.items() if passes}, "ratios": ratios}


def _faster(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    both = zip(ours["steady_seconds_in_rounds"], theirs["steady_seconds_in_rounds"], strict=True)
    work = [(sum(steady[: len(peer)]), sum(steady)) for steady, peer in both]
    rounds = [
        peer / seconds * whole / part
        for seconds, peer, (part, whole) in zip(
            ours["seconds_in_rounds"], theirs["seconds_in_rounds"], work, strict=True
        )
    ]
    part, whole = map(sum, zip(*work, strict=True))
    return {
        "ratio": theirs["seconds"] / ours["seconds"] * whole / part,
        "spread": [min(rounds), max(rounds)],
    }
