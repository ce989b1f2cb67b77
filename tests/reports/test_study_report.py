"""The table of a study, and its page as a whole."""

import dataclasses
import json
import re

from mnas.analysis.study_table import Summary, rows, summaries
from mnas.experiment.study import Outcome
from mnas.reports.page.chart import Chart
from mnas.reports.study_report import spread_note, summary_table, write_study_report
from tests.runs import head, proposals, result, write_run
from tests.studies import SMALL, outcome

SUMMARY = Summary("exact", 4, 2, 0.63, 0.026, 0.6, 0.75, 3.1e8, 4e6, 4)
MEASURED = dataclasses.replace(SMALL, judge=None, marks=(1, 2))


def write(study, outcomes, out, figures=()) -> str:
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), out, figures)
    return out.read_text(encoding="utf-8")


def test_table_has_a_row_per_variant_and_a_column_per_mark():
    heads, lines = summary_table(SMALL, [SUMMARY, dataclasses.replace(SUMMARY, samples=8)])
    assert heads == ["best reward after", "4 samples", "8 samples", "accuracy", "mult-adds"]
    cell = "0.6300 ± 0.2336 (0.6000)"  # t(0.975, 1) = 12.706: 12.706 · 0.026 / √2
    assert lines == [["exact", cell, cell, "0.7500", "310.0M"], ["noisy", "-", "-", "-", "-"]]


def test_page_holds_table_and_figures(tmp_path):
    outcomes = [outcome([result(0, 0.4), result(1, 0.6)])]
    page = write(MEASURED, outcomes, tmp_path / "report.html")
    assert "as the search measured it" in page and "<svg" not in page.split("<script")[0]
    table = rows(MEASURED, outcomes)
    assert summary_table(MEASURED, summaries(table))[1][0][1] in page
    names = re.findall(r'<figcaption class="title">(.*?)</figcaption>', page)
    assert names == [
        "Reward after 2 samples", "Best measured reward so far", "Networks exported after 2 samples"
    ]  # fmt: skip
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    assert len(json.loads(data)["charts"]) == 3 and json.loads(data)["runs"] == []


def test_every_seeds_run_is_linked_relative_to_the_page(tmp_path):
    outcomes = []
    for seed in range(2):
        base = outcome([])
        search = dataclasses.replace(base.experiment.search, seed=seed)
        experiment = dataclasses.replace(base.experiment, search=search)
        records = [proposals([[0], [1]]), result(0, 0.4), result(1, 0.6)]
        directory = write_run(tmp_path / "a: b & c" / f"seed-{seed}", records, head())
        run = dataclasses.replace(outcome(records[1:]).run, directory=directory)
        outcomes.append(Outcome("exact", experiment, run))
    page = write(MEASURED, outcomes, tmp_path / "report.html")
    found = re.findall(r'<a href="([^"]*)">seed (\d)</a>', page)
    first = "a%3A%20b%20%26%20c"
    assert found == [(f"{first}/seed-{seed}/report.html", f"{seed}") for seed in range(2)]
    assert "2 of 4 searches are finished" in page


def test_settings_are_those_in_which_variants_differ_and_the_others(tmp_path):
    outcomes = []
    for variant, name in (("exact", "soft"), ("noisy", "hard")):
        base = outcome([result(0, 0.4)])
        whole = {"reward": {"form": name}, "search": {"seed": 3, "batch": 4}}
        run = dataclasses.replace(base.run, head=head(settings=whole))
        outcomes.append(dataclasses.replace(base, variant=variant, run=run))
    page = write(MEASURED, outcomes, tmp_path / "report.html")
    assert "<tr><td>reward.form</td><td>soft</td><td>hard</td></tr>" in page
    assert "<tr><td>search.batch</td><td>4</td></tr>" in page and "search.seed" not in page


def test_figures_of_the_study_itself_are_in_its_page(tmp_path):
    own = Chart("own", "Figure of this study", "Its caption.", "", {"mark": "point"})
    page = write(MEASURED, [outcome([result(0, 0.4)])], tmp_path / "report.html", [own])
    assert '<figcaption class="title">Figure of this study</figcaption>' in page
    assert "Its caption." in page and '"mark":"point"' in page


def test_a_study_without_a_result_has_a_page(tmp_path):
    page = write(MEASURED, [outcome([])], tmp_path / "report.html")
    assert 'class="chart"' not in page and ">seed 0</a>" in page


def test_numbers_of_seeds_are_said():
    fewer = dataclasses.replace(SUMMARY, variant="noisy", seeds=1, reward_std=0.0)
    _, lines = summary_table(SMALL, [SUMMARY, fewer])
    assert lines[1][1] == "0.6300, n = 1"
    assert spread_note([SUMMARY, fewer]).startswith("Mean ± half of its 95% interval over n = 2")
    assert spread_note([fewer]) == "One seed (n = 1): no intervals."


def test_failed_children_are_counted_by_variant(tmp_path):
    failed = {"accuracy": None, "error": "<out of memory>"}
    outcomes = [outcome([result(0, 0.4), result(1, 0.0, **failed)]) for _ in range(2)]
    page = write(MEASURED, outcomes, tmp_path / "report.html")
    assert "<td>exact</td><td>2 of 4</td><td>&lt;out of memory&gt;</td>" in page
    assert "<td>noisy</td><td>" not in page.partition("failed children")[2]
