"""Lines with bands and names at their ends, at most ten of them in colours."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from mnas.reports.page.curves import bounded
from mnas.reports.page.style import SERIES, color, dash, series

T = TypeVar("T")

POINTS = 300  # of a curve
SEPARATION = 0.07  # least distance of two labels, as a fraction of the axis
LONGEST = 30  # characters of a label
# Width of a character of a label, and the most room for labels, pixels.
CHARACTER, MOST_ROOM = 7, 210
# Parts of captions.
INTERVAL = "Student's t with the bootstrap's standard error over runs"
GREY = f"Those of the {SERIES} highest rewards have colours, the others are grey."
# Layers that page.js leaves out of narrow figures, which have a key above them in their place.
NAMES = "names"


def colored(values: Sequence[float]) -> list[int | None]:
    """Return the number of the colour of each line; None for grey.

    values  one for each line; of more than `SERIES`, the highest have colours, in their order
    """
    if len(values) <= SERIES:
        return list(range(len(values)))
    ranked = sorted(range(len(values)), key=lambda index: -values[index])
    places = {line: place for place, line in enumerate(sorted(ranked[:SERIES]))}
    return [places.get(index) for index in range(len(values))]


def hue(number: int | None) -> str:
    """Return the colour of a line."""
    return color("rule") if number is None else series(number)


def grey_first(lines: Sequence[T], numbers: Sequence[int | None]) -> list[tuple[T, int | None]]:
    """Return (line, number of its colour), those that others are drawn over first."""
    pairs = list(zip(lines, numbers, strict=True))
    return sorted(pairs, key=lambda pair: pair[1] is not None)


def key_of(ends: Sequence[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    """Return (name, colour) of the coloured ones of lines by their `name` and `number`."""
    return tuple((end["name"], hue(end["number"])) for end in ends if end["number"] is not None)


def label(text: str) -> str:
    """Return text as a label: in one line, shortened in its middle."""
    text = " ".join(text.split())
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: half - 1]}…{text[-half:]}"


def thinned(first: int, length: int) -> np.ndarray:
    """Return at most `POINTS` indices from first to length - 1, both among them."""
    return np.unique(np.linspace(first, length - 1, min(length, POINTS)).astype(int))


def band_rows(
    x: str, places: Sequence[int], mean: np.ndarray, half: np.ndarray
) -> list[dict[str, Any]]:
    """Return the points of a line: its place under the name `x`, `value`, and `low` and `high`."""
    return [
        {x: int(place), "value": short(m), "low": short(m - h), "high": short(m + h)}
        for place, m, h in zip(places, mean, half, strict=True)
    ]


def line_layers(
    rows: list[dict[str, Any]], number: int | None, has_band: bool, lines: int
) -> list[dict[str, Any]]:
    """Return one of so many lines with its band; a grey one is thin and has none."""
    line = {"type": "line", "color": hue(number), "clip": True, "aria": False}
    line |= {"strokeWidth": 0.8, "opacity": 0.7} if number is None else {"strokeWidth": 1.8}
    line |= {"strokeDash": dash(number)} if number is not None and dash(number) else {}
    layer = {"data": {"values": rows}, "mark": line, "encoding": {"y": {"field": "value"}}}
    if number is None or not has_band:
        return [layer]
    opacity = round(min(0.16, 0.7 / lines), 3)
    area = {"type": "area", "color": hue(number), "opacity": opacity, "clip": True, "aria": False}
    encoding = {"y": {"field": "low"}, "y2": {"field": "high"}}
    return [{"data": {"values": rows}, "mark": area, "encoding": encoding}, layer]


def name_layers(
    ends: Sequence[dict[str, Any]], x: str, domain: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a name at the end of each coloured line, kept apart by `SEPARATION`.

    ends  a row with its place under the name `x`, `value`, `name` and `number`, the colour's
    """
    layers: list[dict[str, Any]] = []
    named = sorted((end for end in ends if end["number"] is not None), key=lambda end: end["value"])
    for end, place in zip(named, spread([end["value"] for end in named], domain), strict=True):
        mark = {"type": "text", "align": "left", "dx": 6, "color": hue(end["number"])}
        row = {x: end[x], "value": end["value"], "place": place, "name": end["name"]}
        layers.append(
            {
                "name": f"{NAMES}{len(layers)}",
                "data": {"values": [row]},
                "mark": mark | {"fontWeight": "bold", "aria": False, "limit": MOST_ROOM},
                "encoding": {"y": {"field": "place"}, "text": {"field": "name"}},
            }
        )
    return layers


def spread(values: Sequence[float], domain: Sequence[float]) -> list[float]:
    """Return rising values moved apart to `SEPARATION`, as little as possible in mean square.

    They stay within the axis if they fit.
    """
    least = SEPARATION * (domain[1] - domain[0])
    # Isotonic regression of value - index · least, by pooling adjacent violators.
    pools: list[tuple[float, int]] = []  # (mean, size)
    for index, value in enumerate(values):
        mean, size = value - index * least, 1
        while pools and pools[-1][0] > mean:
            other, count = pools.pop()
            mean, size = (mean * size + other * count) / (size + count), size + count
        pools.append((mean, size))
    lowest, highest = domain[0], max(domain[0], domain[1] - (len(values) - 1) * least)
    flat = [min(max(mean, lowest), highest) for mean, size in pools for _ in range(size)]
    return [mean + index * least for index, mean in enumerate(flat)]


def padding(names: Sequence[str]) -> dict[str, int]:
    """Return the padding of a figure with room for names at its right."""
    room = min(MOST_ROOM, 12 + CHARACTER * max(map(len, names), default=0))
    return {"left": 0, "top": 5, "bottom": 0, "right": room}


def domain_of(values: Sequence[float], margin: float = 0.06) -> list[float]:
    """Return the ends of an axis that shows finite values."""
    least, most = min(values), max(values)
    width = margin * (most - least) or 0.05 * max(1.0, abs(least))
    return [least - width, most + width]


def short(value: float) -> float:
    """Return a number with six digits, clipped to what axes can show."""
    return math.nan if math.isnan(value) else float(f"{bounded(value):.6g}")
