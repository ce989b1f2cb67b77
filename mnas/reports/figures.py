"""Pieces of a self-contained HTML page: tables, and figures as SVG.

Figures are drawn without pyplot: no backend is selected, no window opens. All text is escaped.
"""

import html
import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mnas.errors import UsageError
from mnas.files import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
svg { max-width: 100%; height: auto; }
"""


def write_page(out: Path, title: str, sections: Sequence[str]) -> None:
    """Write an HTML page; UsageError where the file cannot be written.

    title     plain text
    sections  HTML
    """
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{''.join(sections)}</html>\n"
    )
    try:
        write_text(out, page)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None


def heading(text: str, level: int = 2) -> str:
    """Return a heading in HTML."""
    return f"<h{level}>{html.escape(text)}</h{level}>"


def paragraph(text: str) -> str:
    """Return a paragraph in HTML."""
    return f"<p>{html.escape(text)}</p>"


def preformatted(text: str) -> str:
    """Return a block of text in HTML with its line breaks and spaces."""
    return f"<pre>{html.escape(text)}</pre>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of text in HTML."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """Return a figure and its axes with title and axis labels."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def label(text: str) -> str:
    r"""Return text as a label of a figure: literal, where matplotlib would read $...$ as maths."""
    return text.replace("$", r"\$")


def svg(figure: Figure) -> str:
    """Return the figure as an SVG element."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    content = text.getvalue()
    return content[content.index("<svg") :]


def limits(low: float, high: float) -> tuple[float, float]:
    """Return the limits of an axis that shows values from `low` to `high` with a margin."""
    margin = 0.05 * (high - low) or 0.05
    return low - margin, high + margin
