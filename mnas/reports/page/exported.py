"""Figures as SVG and PNG and tables as CSV and LaTeX, in a directory.

Figures are rendered by vl-convert, without a browser, in the page's light colours; their text is
text. The drawing of the best network is SVG only.
"""

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mnas.errors import UsageError
from mnas.experiment.trials import COLUMNS, trial_rows
from mnas.files import write_text
from mnas.reports.drawing import draw
from mnas.reports.page.chart import Chart
from mnas.reports.page.content import Section, best_table
from mnas.reports.page.plot import Plot
from mnas.reports.page.trials import columns, rows
from mnas.reports.text import printable

Table = tuple[Sequence[str], Sequence[Sequence[str]]]

_LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
}


def write_exports(
    directory: Path, sections: Sequence[Section], compared: Sequence[Chart], summary: Table
) -> list[str]:
    """Write all figures and tables; return the names of the files.

    Of several runs, the names of a run's files begin with run1, run2, ... Existing files of these
    names are replaced. Raises UsageError where vl-convert is missing or a file can't be written.
    """
    with _writing(directory):
        written = [_chart(directory, chart.name, chart, []) for chart in compared]
        if len(sections) > 1:
            written.append(_table(directory, "runs", summary))
        for number, section in enumerate(sections, start=1):
            prefix = f"run{number}-" if len(sections) > 1 else ""
            written.append(_section(directory, prefix, section))
    return [name for names in written for name in names]


def write_figures(directory: Path, charts: Sequence[Chart], tables: Mapping[str, Table]) -> None:
    """Write figures and tables of a page that has no trials, as those of runs; errors as there."""
    with _writing(directory):
        for chart in charts:
            _chart(directory, chart.name, chart, [])
        for name, table in tables.items():
            _table(directory, name, table)


@contextlib.contextmanager
def _writing(directory: Path) -> Iterator[None]:
    """Make a directory and write into it; UsageError where that is impossible."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        where = error.filename or directory
        raise UsageError(f"{where} can't be written: {error.strerror}") from None


def _section(directory: Path, prefix: str, section: Section) -> list[str]:
    data = rows(columns(section.run, section.axis))
    names: list[str] = []
    for chart in section.charts:
        names += _chart(directory, f"{prefix}{chart.name}", chart, data)
    if section.networks is not None:
        name = f"{prefix}best.svg"
        write_text(directory / name, draw(section.networks.best, section.networks.reference))
        names += [name, *_table(directory, f"{prefix}top", best_table(section.run, section.axis))]
    trials = io.StringIO()
    writer = csv.DictWriter(trials, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(trial_rows(section.run.results, section.run.remeasured))
    name = f"{prefix}trials.csv"
    write_text(directory / name, printable(trials.getvalue()))
    return [*names, name]


def _chart(
    directory: Path, name: str, chart: Chart, trials: Sequence[Mapping[str, Any]]
) -> list[str]:
    names = [f"{name}.svg", f"{name}.png"]
    for file in names:
        Plot(chart, trials).save(directory / file)
    return names


def _table(directory: Path, name: str, table: Table) -> list[str]:
    heads, lines = table
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *lines])
    write_text(directory / f"{name}.csv", printable(text.getvalue()))
    write_text(directory / f"{name}.tex", booktabs(heads, lines))
    return [f"{name}.csv", f"{name}.tex"]


def booktabs(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    r"""Return a table in LaTeX for the package booktabs, the first column to the left.

    Block strings are set as typewriter text in a column of their own width.
    """
    blocks = heads[-1] == "network"
    places = "l" + "r" * (len(heads) - 1 - blocks) + ("p{0.45\\linewidth}" if blocks else "")
    body = []
    for line in lines:
        cells = [latex(cell) for cell in line]
        if blocks:
            cells[-1] = rf"\ttfamily\scriptsize\raggedright\arraybackslash {cells[-1]}"
        body.append(" & ".join(cells) + r" \\")
    package = "booktabs, array" if blocks else "booktabs"
    return "\n".join(
        [
            f"% \\usepackage{{{package}}}",
            rf"\begin{{tabular}}{{{places}}}",
            r"\toprule",
            " & ".join(map(latex, heads)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def latex(text: str) -> str:
    """Return text in one line with the characters that LaTeX gives a meaning escaped."""
    return "".join(
        _LATEX.get(character, character) for character in " ".join(printable(text).split())
    )
