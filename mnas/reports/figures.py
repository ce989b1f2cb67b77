"""Figures as SVG files, for papers and logs, by matplotlib.

Figures are drawn without pyplot: no backend is selected, no window opens. What is drawn within
`default_style` depends on no setting of the user's, and changes none. The figures of pages are
others (`mnas.reports.page`).
"""

import contextlib
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnas.files import write_text
from mnas.reports.text import printable

# Settings of matplotlib that choose where figures are shown, not how they look.
_SHOWING = ("backend", "backend_fallback", "interactive", "toolbar")
# Text as text, and identifiers that depend on the content only: equal data give equal pages.
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "mnas"}
# Colours that people who see few colours tell apart (Okabe and Ito), in combination with these line
# styles and markers: 42 lines.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222")
_LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (1, 3)), (0, (8, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LONGEST_LABEL = 36
_LARGEST = 1e100  # of an axis; matplotlib's arithmetic fails near the largest float


@contextlib.contextmanager
def default_style() -> Iterator[None]:
    """Draw figures of this block in matplotlib's default style, with text as text.

    The user's settings and warning filters are as before at the end.
    """
    settings: dict[Any, Any] = {
        name: matplotlib.rcParamsDefault[name]
        for name in matplotlib.rcParamsDefault
        if name not in _SHOWING
    }
    with matplotlib.rc_context(settings | _SVG), warnings.catch_warnings():
        # The reader's own fonts draw the characters that matplotlib's font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def new_figure(title: str, x: str, y: str, lines: int = 0) -> tuple[Figure, Axes]:
    """Return a figure and its axes with title and axis labels.

    lines  entries of the legend beside the axes (`legend_beside`), for which the figure has room
    """
    figure = Figure(figsize=(10, max(4, 0.5 + 0.21 * lines)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize="medium")
    axes.set(xlabel=x, ylabel=y)
    if x in ("trial", "samples"):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_style(index: int) -> dict[str, Any]:
    """Return colour and line style of line `index` of a figure; those of 42 lines differ."""
    cycle = index // len(_COLORS) % len(_LINES)
    return {"color": _COLORS[index % len(_COLORS)], "linestyle": _LINES[cycle]}


def marker_style(index: int) -> dict[str, Any]:
    """Return colour and marker of point set `index` of a figure, the colour as its line's."""
    cycle = index // len(_COLORS) % len(_MARKERS)
    return {"color": _COLORS[index % len(_COLORS)], "marker": _MARKERS[cycle]}


def legend_beside(figure: Figure) -> None:
    """Add a legend to the right of the axes, where it hides nothing."""
    if figure.axes[0].get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", frameon=False, fontsize="small", handlelength=3)


def label(text: str) -> str:
    r"""Return text as a label of a figure: in one line, shortened in its middle, and literal.

    matplotlib would read $...$ as maths, and leave labels that begin with _ out of a legend.
    """
    text = re.sub(r"\s+", " ", printable(text)).strip()
    if len(text) > _LONGEST_LABEL:
        half = (_LONGEST_LABEL - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def write_svg(path: Path, figure: Figure) -> None:
    """Write the figure as an SVG file; OSError where it cannot be written."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    write_text(path, text.getvalue())


def drawable(values: Iterable[float | None]) -> np.ndarray:
    """Return numbers, clipped to what axes can show; None, where not finite, is NaN."""
    return np.clip(np.array(list(values), dtype=float), -_LARGEST, _LARGEST)
