"""Colours and settings of all figures of a page.

Figures name colours by CSS variables, so that they follow the reader's preference for light or dark
and print in light colours without being drawn anew. The variables' values are `LIGHT` and `DARK`;
`literal` puts the light ones into a specification that is rendered outside a page.
"""

import re
from typing import Any

FONT = 'system-ui, "Segoe UI", Helvetica, Arial, sans-serif'

# Contrasts on the ground are at least 4.5 to 1 for text, 3 to 1 for lines and marks (WCAG 2.2).
LIGHT = {
    "ink": "#1b1f24",
    "faint": "#5a6270",
    "grid": "#e4e7eb",
    "rule": "#8b93a0",
    "ground": "#ffffff",
    "panel": "#f5f6f8",
    "point": "#68829e",
    "accent": "#1f5fa8",
    "best": "#c2410c",
    "reference": "#6d3fb5",
    "failed": "#b3261e",
    **dict(
        zip(
            [f"series{index}" for index in range(10)],
            (
                "#1f5fa8",
                "#c2410c",
                "#1b7f5c",
                "#8e44ad",
                "#8a6d00",
                "#0e7c9b",
                "#b0306a",
                "#555f6b",
                "#4d7c0f",
                "#7c4a2d",
            ),
            strict=True,
        )
    ),
}
DARK = {
    "ink": "#e8eaed",
    "faint": "#a4adb9",
    "grid": "#2c3138",
    "rule": "#7d8694",
    "ground": "#14171b",
    "panel": "#1e2228",
    "point": "#7f9dbd",
    "accent": "#6db1ff",
    "best": "#ff9a5c",
    "reference": "#bf9bff",
    "failed": "#ff8078",
    **dict(
        zip(
            [f"series{index}" for index in range(10)],
            (
                "#6db1ff",
                "#ff9a5c",
                "#5cd0a4",
                "#d39bef",
                "#d9bb4a",
                "#62c8e4",
                "#f48ab8",
                "#aab3bf",
                "#a3d65c",
                "#d8a98a",
            ),
            strict=True,
        )
    ),
}
SERIES = 10  # colours of `series`
SOLID = 5  # of them, on solid lines; the others' are dashed, since no ten hues differ for everyone


def color(name: str) -> str:
    """Return a colour of a figure by its name in `LIGHT`."""
    return f"var(--{name})"


def series(index: int) -> str:
    """Return the colour of line `index`; after `SERIES` lines they repeat."""
    return color(f"series{index % SERIES}")


def dash(index: int) -> list[int]:
    """Return the dashes of line `index`, pixels; none for a solid one."""
    return [7, 3] if index % SERIES >= SOLID else []


def css() -> str:
    """Return the definitions of the variables in CSS."""
    light, dark = (
        "".join(f"--{name}:{value};" for name, value in colors.items()) for colors in (LIGHT, DARK)
    )
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}"


def literal(specification: Any) -> Any:
    """Return a specification with the light colours in place of variables."""
    if isinstance(specification, dict):
        return {key: literal(value) for key, value in specification.items()}
    if isinstance(specification, list):
        return [literal(value) for value in specification]
    if isinstance(specification, str) and (found := re.fullmatch(r"var\(--(\w+)\)", specification)):
        return LIGHT[found[1]]
    return specification


def config() -> dict[str, Any]:
    """Return the configuration of Vega-Lite for all figures."""
    text = {"labelColor": color("faint"), "titleColor": color("ink"), "titleFontWeight": "normal"}
    return {
        "font": FONT,
        "background": None,
        "view": {"stroke": None},
        "axis": {
            **text,
            "labelFontSize": 12,
            "titleFontSize": 13,
            "titlePadding": 8,
            "labelPadding": 5,
            "gridColor": color("grid"),
            "domainColor": color("rule"),
            "tickColor": color("rule"),
            "tickSize": 4,
            "labelOverlap": "greedy",
            "labelSeparation": 6,
        },
        "axisY": {"domain": False, "ticks": False, "titleAnchor": "end", "titleAngle": 0}
        | {"titleAlign": "left", "titleX": 0, "titleY": -12, "titleBaseline": "bottom"},
        "axisX": {"grid": False},
        "legend": {**text, "labelColor": color("ink"), "labelFontSize": 12, "titleFontSize": 12}
        | {"orient": "top", "symbolSize": 60, "offset": 6},
        "text": {"color": color("ink"), "fontSize": 12},
        "header": text | {"labelFontSize": 12},
    }
