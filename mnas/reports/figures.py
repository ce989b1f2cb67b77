"""Pieces of a self-contained HTML page: tables, and figures as SVG.

Figures are drawn without pyplot: no backend is selected, no window opens. What is drawn within
`default_style` depends on no setting of the user's, and changes none. All text is escaped.
"""

import contextlib
import html
import io
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mnas.errors import UsageError
from mnas.files import write_text
from mnas.reports.text import printable

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
  color: #222; background: #fff; }
table { border-collapse: collapse; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
h1, h2 { overflow-wrap: anywhere; }
td { overflow-wrap: break-word; max-width: 40rem; }
pre { background: #f2f2f2; padding: .8rem; overflow-x: auto; }
.wide { overflow-x: auto; margin: 1rem 0; }
svg { max-width: 100%; min-width: 40rem; height: auto; }
svg.net { max-width: none; }
@media (prefers-color-scheme: dark) {
body { color: #e6e6e6; background: #161616; }
th, td { border-color: #444; }
pre { background: #262626; }
svg:not(.net) { filter: invert(.91) hue-rotate(180deg); }
}
"""
# Settings of matplotlib that choose where figures are shown, not how they look.
_SHOWING = ("backend", "backend_fallback", "interactive", "toolbar")
# Text as text, and identifiers that depend on the content only: equal data give equal pages.
_SVG = {"svg.fonttype": "none", "svg.hashsalt": "mnas"}
# Colours that people who see few colours tell apart (Okabe and Ito), in combination with these line
# styles and markers: 42 lines.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#222222")
_LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (1, 3)), (0, (8, 3)))
# Of lines: a point at the end, which also shows a line of one point.
END: dict[str, Any] = {"marker": ".", "markevery": [-1]}
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LONGEST_LABEL = 36
_LARGEST = 1e100  # of an axis; matplotlib's arithmetic fails near the largest float
POINTS = 1000  # of a curve; more than its pixels


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


def write_page(out: Path, title: str, sections: Sequence[str]) -> None:
    """Write an HTML page; UsageError where the file cannot be written.

    title     plain text
    sections  HTML
    """
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_escape(title)}</title>"
        f"<style>{STYLE}</style><h1>{_escape(title)}</h1>{''.join(sections)}</html>\n"
    )
    try:
        write_text(out, page)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None


def _escape(text: str) -> str:
    return html.escape(printable(text))


def heading(text: str, level: int = 2) -> str:
    """Return a heading in HTML."""
    return f"<h{level}>{_escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """Return a paragraph in HTML."""
    return f"<p>{_escape(text)}</p>"


def preformatted(text: str) -> str:
    """Return a block of text in HTML with its line breaks and spaces."""
    return f"<pre>{_escape(text)}</pre>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text in HTML."""
    head = "".join(f"<th>{_escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return wide(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def wide(element: str) -> str:
    """Return an element of HTML that scrolls on its own where the page is narrower."""
    return f'<div class="wide" tabindex="0">{element}</div>'


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


def svg(figure: Figure) -> str:
    """Return the figure as an SVG element in a frame that scrolls on narrow pages."""
    document = _svg_document(figure)
    title = _escape(figure.axes[0].get_title(loc="left"))
    element = document[document.index("<svg") :]
    return wide(element.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1))


def write_svg(path: Path, figure: Figure) -> None:
    """Write the figure as an SVG file; OSError where it cannot be written."""
    write_text(path, _svg_document(figure))


def _svg_document(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def limits(low: float, high: float, margin: float = 0.05) -> tuple[float, float]:
    """Return the limits of an axis that shows values from `low` to `high`.

    margin  on either side, as a fraction of high - low
    """
    width = margin * (high - low) or 0.05 * max(1.0, abs(low))
    return low - width, high + width


def drawable(values: Iterable[float | None]) -> np.ndarray:
    """Return numbers, clipped to what axes can show; None, where not finite, is NaN."""
    return np.clip(np.array(list(values), dtype=float), -_LARGEST, _LARGEST)


def thinned(length: int) -> np.ndarray:
    """Return at most `POINTS` indices of a curve of that length, its first and last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, POINTS)).astype(int))
