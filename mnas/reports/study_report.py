"""Table of a study as text, and a self-contained HTML page with the table and figures.

"±" is half of the 95% interval of the mean over seeds (`mnas.analysis.intervals.mean_band`), in the
table as in the bands of the figures.
"""

from collections.abc import Sequence
from pathlib import Path

from mnas.analysis.study_table import Row, Summary
from mnas.experiment.study import Outcome, Study
from mnas.reports.page import content, study_charts, study_content
from mnas.reports.page.chart import Chart
from mnas.reports.page.document import write_document
from mnas.reports.page.exported import write_figures
from mnas.reports.page.plot import renderer
from mnas.reports.text import plus_minus


def summary_table(study: Study, summaries: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """Return (heads, rows) of text.

    For each variant: mean ± half of its 95% interval (worst) of the judged reward at every mark,
    and the mean accuracy and mult-adds of the networks exported at the last mark. Where fewer seeds
    than elsewhere gave a network, a cell says how many.
    """
    heads = [
        "best reward after",
        *(f"{mark:,} samples" for mark in study.marks),
        "accuracy",
        "mult-adds",
    ]
    most = max((summary.seeds for summary in summaries), default=0)
    rows = []
    for variant in study.variants:
        by_mark = {summary.samples: summary for summary in summaries if summary.variant == variant}
        cells = [_reward_cell(by_mark.get(mark), most) for mark in study.marks]
        last = by_mark.get(study.marks[-1])
        exported = [f"{last.accuracy:.4f}", f"{last.mult_adds / 1e6:.1f}M"] if last else ["-", "-"]
        rows.append([variant, *cells, *exported])
    return heads, rows


def _reward_cell(summary: Summary | None, most: int) -> str:
    if summary is None:
        return "-"
    n = f", n = {summary.seeds}" if summary.seeds != most else ""
    if summary.reward_interval is None:
        return f"{summary.reward:.4f}{n}"
    return f"{plus_minus(summary.reward, summary.reward_interval)} ({summary.reward_worst:.4f}){n}"


def spread_note(summaries: Sequence[Summary]) -> str:
    """Return what the numbers of the table are, in a sentence."""
    n = max((summary.seeds for summary in summaries), default=0)
    if n == 1:
        return "One seed (n = 1): no intervals."
    return f"Mean ± half of its 95% interval over n = {n} seeds (worst seed in parentheses)."


def write_study_report(
    study: Study,
    outcomes: Sequence[Outcome],
    rows: Sequence[Row],
    summaries: Sequence[Summary],
    out: Path,
    figures: Sequence[Chart] = (),
    exports: Path | None = None,
) -> None:
    """Write the page, which leads to the pages of the runs, each report.html in its directory.

    figures  further ones of the study (`Study.finish`)
    exports  directory of the figures and tables as files of their own; None: none are written

    Raises UsageError where a file cannot be written, or where `exports` is given without
    vl-convert.
    """
    if exports is not None:
        renderer()  # Before anything is written.
    numbers = study_charts.colors(study, summaries)
    links = study_content.links(outcomes, out)
    curves = study_charts.reward_charts(study, outcomes, summaries, numbers)
    exported = study_charts.network_chart(study, rows, numbers, links)
    networks = [*figures, *([exported] if exported else [])]
    charts = [*curves, *networks]
    accuracy = "at the judge's accuracy" if study.judge else "as the search measured it"
    heads, lines = summary_table(study, summaries)
    searches = study_content.searches(study, outcomes, rows, links)
    differing, settings = study_content.settings(study, outcomes)
    variables = {
        **content.written(),
        "title": study.name,
        "kind": study_content.kind(study),
        "directory": str(out.parent),
        "summary": {"heads": heads, "rows": lines},
        "note": f"{spread_note(summaries)} Reward {accuracy}, of the network that a search would "
        "export after so many samples.",
        "curves": curves,
        "networks": networks,
        "charts": charts,
        "searches": searches,
        "failures": study_content.failures(study, outcomes),
        "facts": study_content.facts(outcomes),
        "differing": differing,
        "settings": settings,
    }
    data = {"runs": [], "charts": [chart.specification for chart in charts]}
    write_document(out, variables, data, "study.html.j2")
    if exports is not None:
        lists = study_content.plain_rows(searches)
        write_figures(exports, charts, {"variants": (heads, lines), "searches": lists})
