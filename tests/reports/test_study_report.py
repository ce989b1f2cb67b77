import dataclasses

import numpy as np

from mnas.analysis.study_table import Summary, rows, summaries
from mnas.reports.study_report import curves, summary_table, write_study_report
from tests.runs import result
from tests.studies import SMALL, outcome

SUMMARY = Summary("exact", 4, 2, 0.63, 0.026, 0.6, 0.75, 3.1e8, 4e6, 4)


def test_table_has_a_row_per_variant_and_a_column_per_mark():
    heads, lines = summary_table(SMALL, [SUMMARY, dataclasses.replace(SUMMARY, samples=8)])
    assert heads == ["best reward after", "4 samples", "8 samples", "accuracy", "mult-adds"]
    cell = "0.6300 ± 0.0260 (0.6000)"
    assert lines == [["exact", cell, cell, "0.7500", "310.0M"], ["noisy", "-", "-", "-", "-"]]


def test_page_holds_table_and_plots(tmp_path):
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
    outcomes = [outcome([result(0, 0.4), result(1, 0.6)])]
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2 and "as the search measured it" in page
    assert summary_table(study, summaries(table))[1][0][1] in page


def test_curves_show_the_sample_standard_deviation():
    outcomes = [outcome([result(0, reward)]) for reward in (0.60, 0.64, 0.65)]
    (band,) = curves(SMALL, outcomes).axes[0].collections
    low, high = band.get_datalim(band.axes.transData).intervaly
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2.
    np.testing.assert_allclose([low, high], 0.63 + 0.0007**0.5 * np.array([-1, 1]))
