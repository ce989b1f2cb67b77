"""Results from measurements: ratios, medians and spreads, as plain data for JSON.

A ratio is ours / the other contender's, above 1 where ours is faster, and is taken within one
round, in which both were measured one after the other. R is the number of rounds.
"""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.text_forms import block_strings
from mnas.benchmark.contender import OURS


def median_and_spread(values: Sequence[float]) -> dict[str, Any]:
    """Return the median, and the smallest and largest value."""
    return {"median": statistics.median(values), "spread": [min(values), max(values)]}


def ratio_rounds(speeds: Mapping[str, Sequence[float]], peer: str) -> list[float]:
    """Return the ratio of ours to `peer` in each round, [R], from speeds [R] by contender."""
    return [a / b for a, b in zip(speeds[OURS], speeds[peer], strict=True)]


# --- throughput ---------------------------------------------------------------------------------


def child_row(child: Architecture, speeds: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return throughput on one child: images/s [R] by contender, and median ratios."""
    cost = network_cost(child)
    peers = [name for name in speeds if name != OURS]
    return {
        "name": child.name,
        "blocks": list(block_strings(child)),
        "params": cost.params,
        "mult_adds": cost.mult_adds,
        "images_per_second": speeds,
        "ratios": {name: statistics.median(ratio_rounds(speeds, name)) for name in peers},
    }


def throughput(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return throughput over all children: images/s by contender, and ratios to each peer.

    images_per_second   geometric mean over children of the median over rounds
    ratio               median over rounds of the geometric mean over children
    spread              smallest and largest of these means
    child_min, child_max   smallest and largest ratio of single children, medians over rounds
    """
    speeds, ratios = {}, {}
    for name in names:
        measured = [row for row in rows if name in row["images_per_second"]]
        if not measured:
            continue
        medians = [statistics.median(row["images_per_second"][name]) for row in measured]
        speeds[name] = statistics.geometric_mean(medians)
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
    return {"images_per_second": speeds, "ratios": ratios, "children": list(rows)}


# --- children/hour ------------------------------------------------------------------------------


def trained(
    children: Sequence[Architecture],
    answers: Sequence[dict[str, Any]],
    rounds: Sequence[tuple[int, float]],
    megabytes: float,
) -> dict[str, Any]:
    """Return the results of one contender that trained `children` with one state of its cache.

    answers    of the workers, one for each child
    rounds     (number of children, seconds) of each round
    megabytes  largest peak memory of a worker

    busy_seconds      training and validation, summed over workers
    compile_fraction  fraction of busy seconds spent compiling or reading compiled programs
    trace_fraction    fraction spent tracing, for contenders that report it
    peak_memory_mb    of the largest worker, after all its children
    mean_accuracy     on held-out images; low for peers after few steps, because BatchNorm's moving
                      averages (decay 0.99) lag, while ours computes statistics after training
    mean_mult_adds    of the children, since contenders may train different numbers of them
    steady_seconds_in_rounds   seconds of each child, without compiling and tracing
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
        "compile_fraction": sum(answer["compile_seconds"] for answer in answers) / busy,
        "trace_fraction": sum(answer.get("trace_seconds", 0.0) for answer in answers) / busy,
        "peak_memory_mb": megabytes,
        "mean_accuracy": statistics.fmean(answer["accuracy"] for answer in answers),
        "mean_mult_adds": statistics.fmean(network_cost(child).mult_adds for child in children),
        "steady_seconds_in_rounds": [list(itertools.islice(steady, n)) for n, _ in rounds],
    }


def children_per_hour(results: Mapping[str, Mapping[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return results of `trained` by contender and cache, and ratios of ours to each peer.

    ratio   over all rounds together; the first round, which compiles most, counts fully
    spread  smallest and largest ratio of single rounds

    A peer without a compilation cache has only "cold", which both of ours are compared with. If a
    peer trained only some of our children, the comparison is with the part of our time that these
    took, estimated from our seconds without compiling: blocks compiled for one child serve all, and
    expensive children among them would otherwise count against the peer.
    """
    ratios = {}
    for name, passes in results.items():
        if name == OURS or not passes:
            continue
        ratios[name] = {
            cache: _speed_ratio(ours, passes.get(cache, passes["cold"]))
            for cache, ours in results[OURS].items()
        }
    contenders = {name: passes for name, passes in results.items() if passes}
    return {"contenders": contenders, "ratios": ratios}


def _speed_ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Return their seconds / ours for the children that both trained, over all and by round."""
    both = zip(ours["steady_seconds_in_rounds"], theirs["steady_seconds_in_rounds"], strict=True)
    # Our steady seconds in each round: of the children that the peer also trained, and of all.
    work = [(sum(steady[: len(peer)]), sum(steady)) for steady, peer in both]
    rounds = [
        peer / seconds * total / common
        for seconds, peer, (common, total) in zip(
            ours["seconds_in_rounds"], theirs["seconds_in_rounds"], work, strict=True
        )
    ]
    common, total = map(sum, zip(*work, strict=True))
    return {
        "ratio": theirs["seconds"] / ours["seconds"] * total / common,
        "spread": [min(rounds), max(rounds)],
    }
