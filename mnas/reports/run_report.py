"""Self-contained HTML page about one run or several.

Made from the runs' journals, so it also shows a search that is still running.
"""

from collections.abc import Sequence
from pathlib import Path

from mnas.analysis.comparison import Predict
from mnas.experiment.results import load_run
from mnas.reports.page import comparison, content, exported
from mnas.reports.page.chart import Chart
from mnas.reports.page.content import Section
from mnas.reports.page.document import write_document
from mnas.reports.page.plot import renderer


def write_report(
    directories: Sequence[Path],
    out: Path,
    predict: Predict | None = None,
    figures: Path | None = None,
) -> list[Path]:
    """Write the page, and figures and tables as files of their own; return all files.

    predict  predictor of accuracy, for the comparison of a run's best network with its reference
    figures  directory of the figures and tables; None: none are written

    Raises UsageError where a directory holds no readable run, where a file cannot be written, or
    where `figures` is given without vl-convert.
    """
    if figures is not None:
        renderer()  # Before anything is written.
    runs = [load_run(directory) for directory in directories]
    sections = content.sections(runs, predict)
    compared = compared_charts(sections)
    charts = [*compared, *(chart for section in sections for chart in section.charts)]
    heads, rows = comparison.summary([(part.run, part.axis) for part in sections])
    variables = {
        **content.common(runs),
        "several": len(runs) > 1,
        "runs": [content.variables(part, index, predict) for index, part in enumerate(sections)],
        "charts": charts,
        "comparison": compared,
        "summary": {"heads": heads, "rows": rows},
    }
    write_document(out, variables, content.data_of(sections, charts))
    if figures is None:
        return [out]
    names = exported.write_exports(figures, sections, compared, (heads, rows))
    return [out, *(figures / name for name in names)]


def compared_charts(sections: Sequence[Section]) -> list[Chart]:
    """Return the figures that compare runs; none for a single run."""
    entries = [(part.run, part.axis) for part in sections]
    return comparison.charts(entries) if len(entries) > 1 else []
