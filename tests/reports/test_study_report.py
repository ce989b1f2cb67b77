import dataclasses

import numpy as np

from mnas.analysis.study_table import Summary, rows, summaries
from mnas.experiment.study import Outcome
from mnas.reports.figures import line_style, marker_style
from mnas.reports.study_report import (
    curves,
    front,
    spread_note,
    summary_table,
    write_study_report,
)
from tests.runs import proposals, result, run_of
from tests.studies import RANDOM, SMALL, outcome

SUMMARY = Summary("exact", 4, 2, 0.63, 0.026, 0.6, 0.75, 3.1e8, 4e6, 4)


def test_table_has_a_row_per_variant_and_a_column_per_mark():
    heads, lines = summary_table(SMALL, [SUMMARY, dataclasses.replace(SUMMARY, samples=8)])
    assert heads == ["best reward after", "4 samples", "8 samples", "accuracy", "mult-adds"]
    cell = "0.6300 ± 0.2336 (0.6000)"  # t(0.975, 1) = 12.706: 12.706 · 0.026 / √2
    assert lines == [["exact", cell, cell, "0.7500", "310.0M"], ["noisy", "-", "-", "-", "-"]]


def test_page_holds_table_and_plots(tmp_path):
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
    outcomes = [outcome([result(0, 0.4), result(1, 0.6)])]
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2 and "as the search measured it" in page
    assert summary_table(study, summaries(table))[1][0][1] in page


def test_bands_and_table_show_the_same_interval():
    outcomes = [outcome([result(0, reward)]) for reward in (0.60, 0.64, 0.65)]
    (band,) = curves(SMALL, outcomes).axes[0].collections
    low, high = band.get_datalim(band.axes.transData).intervaly
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2; t(0.975, 2) = 4.3027.
    half = 4.3027 * 0.0007**0.5 / 3**0.5
    np.testing.assert_allclose([low, high], 0.63 + half * np.array([-1, 1]), rtol=1e-4)
    summary = dataclasses.replace(SUMMARY, seeds=3, reward_std=0.0007**0.5)
    assert f"0.6300 ± {half:.4f}" in summary_table(SMALL, [summary])[1][0][1]


def test_twelve_variants_are_told_apart_beside_the_axes():
    variants = {f"variant {n}": RANDOM for n in range(12)}
    study = dataclasses.replace(SMALL, variants=variants, judge=None)
    outcomes = [
        Outcome(variant, RANDOM, run_of([proposals([[0]]), result(0, 0.5 + n / 100)]))
        for n, variant in enumerate(study.variants)
    ]
    for figure in (curves(study, outcomes), front(study, rows(study, outcomes))):
        (axes,) = figure.axes
        assert axes.get_legend() is None
        (legend,) = figure.legends
        assert len(legend.get_texts()) == 12
        figure.draw_without_rendering()
        assert legend.get_window_extent().x0 > axes.get_window_extent().x1
    lines = curves(study, outcomes).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12


def test_styles_of_42_lines_differ():
    assert len({str(line_style(index)) for index in range(42)}) == 42
    assert len({str(marker_style(index)) for index in range(42)}) == 42


def test_numbers_of_seeds_are_said():
    fewer = dataclasses.replace(SUMMARY, variant="noisy", seeds=1, reward_std=0.0)
    _, lines = summary_table(SMALL, [SUMMARY, fewer])
    assert lines[1][1] == "0.6300, n = 1"
    assert spread_note([SUMMARY, fewer]).startswith("Mean ± half of its 95% interval over n = 2")
    assert spread_note([fewer]) == "One seed (n = 1): no intervals."


def test_failed_children_are_counted_by_variant(tmp_path):
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
    failed = {"accuracy": None, "error": "<out of memory>"}
    outcomes = [outcome([result(0, 0.4), result(1, 0.0, **failed)]) for _ in range(2)]
    write_study_report(study, outcomes, [], [], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<td>exact</td><td>2 of 4</td><td>&lt;out of memory&gt;</td>" in page
    assert "<td>noisy</td><td>" not in page.partition("failed children")[2]
