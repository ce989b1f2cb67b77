"""Pieces of a self-contained HTML page: tables, and plots as SVG."""

import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")  # never opens a window
from matplotlib.figure import Figure

from mnas.errors import UsageError

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; }
svg { max-width: 100%; height: auto; }
"""


def write_page(out: Path, title: str, sections: Sequence[str]) -> None:
    """Writes the page; ValueError where it can't be written."""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>{''.join(sections)}</html>\n"
    )
    try:
        out.write_text(page)
    except OSError as error:
        raise UsageError(f"{out} can't be written: {error.strerror}") from None


def new_figure(title: str, x: str, y: str) -> tuple[Figure, Any]:
    """A figure and its axes, with their labels."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Figure) -> str:
    """The figure as an element of a page."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    content = text.getvalue()
    return content[content.index("<svg") :]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as an element of a page."""
    head = "".join(f"<th>{html.escape(text)}</th>" for text in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
