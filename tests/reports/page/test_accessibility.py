"""What readers without sight, without colours or without a mouse need of the pages (WCAG 2.2 AA).

These are the rules of axe-core that pages could break, for the HTML as it is written. What scripts
add is in `test_browser`.
"""

import dataclasses
import itertools
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from mnas.analysis.study_table import rows, summaries
from mnas.architecture.published import PUBLISHED
from mnas.reports.page import style
from mnas.reports.run_report import write_report
from mnas.reports.study_report import write_study_report
from tests.runs import head, network, proposals, result, settings, write_run
from tests.studies import SMALL, outcome

VOID = {"meta", "input", "br", "img", "link"}


class Node:
    """An element with its attributes, its ancestors and the text in it."""

    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent, self.text = tag, attributes, parent, ""

    def within(self, tag):
        """Return whether the element is in one of that kind."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.within(tag))

    def __getitem__(self, name):
        return self.attributes.get(name) or ""


class Page(HTMLParser):
    """Elements of a page in their order."""

    def __init__(self, text):
        super().__init__()
        self.nodes, self._open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.nodes.append(Node(tag, dict(attrs), self._open[-1] if self._open else None))
        if tag not in VOID:
            self._open.append(self.nodes[-1])

    def handle_endtag(self, tag):
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data):
        for node in self._open:
            node.text += data

    def of(self, *tags):
        return [node for node in self.nodes if node.tag in tags]


def run_page(directory, runs):
    failed = {"accuracy": None, "error": "out of memory"}
    records = [
        proposals([[0], [1], [2]]),
        result(0, 0.4, architecture=PUBLISHED["mnasnet-a1"].to_dict()),
        result(1, 0.5, mult_adds=4_000_000, architecture=network(5).to_dict()),
        result(2, 0.0, **failed),
    ]
    first = head(settings=settings(), reference="efficientnet-b0")
    names = [write_run(directory / f"run{n}", records, first) for n in range(runs)]
    write_report(names, directory / "report.html", lambda network: {"mlp": (0.6, 0.01)})


def study_page(directory):
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
    failed = {"accuracy": None, "error": "out of memory"}
    outcomes = [outcome([result(0, 0.4), result(1, 0.6, **failed)])]
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), directory / "report.html")


@pytest.fixture(scope="module", params=["one run", "two runs", "study"])
def page(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("page")
    if request.param == "study":
        study_page(directory)
    else:
        run_page(directory, 1 if request.param == "one run" else 2)
    return Page((directory / "report.html").read_text(encoding="utf-8"))


def test_page_has_language_title_and_one_main_landmark_with_all_text(page):
    (root,), (title, *_), (main,) = page.of("html"), page.of("title"), page.of("main")
    assert root["lang"] == "en" and title.text.strip()
    outside = [node for node in page.nodes if node.parent is not None and node.parent.tag == "body"]
    assert {node.tag for node in outside} == {"main", "div", "script"}
    (tip,) = [node for node in outside if node.tag == "div"]
    assert tip["role"] == "tooltip" and "hidden" in tip.attributes
    assert main.text.strip()


def test_headings_begin_with_one_h1_and_leave_no_level_out(page):
    levels = [int(node.tag[1]) for node in page.of("h1", "h2", "h3", "h4") if node.text.strip()]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(levels) == len(page.of("h1", "h2", "h3", "h4"))


def test_ids_are_unique_and_references_exist(page):
    ids = [node["id"] for node in page.nodes if node["id"]]
    assert len(set(ids)) == len(ids)
    names = [node["aria-labelledby"] for node in page.nodes if node["aria-labelledby"]]
    assert set(names) <= set(ids)


def test_tables_have_headers_with_scope_and_text(page):
    for table in page.of("table"):
        heads = [n for n in page.of("th") if n.parent.parent.parent is table]
        assert heads
        for cell in heads:
            assert cell["scope"] in ("col", "row") and cell.text.strip()


def test_figures_and_drawings_are_images_with_a_description(page):
    charts = [node for node in page.nodes if node["class"] == "chart"]
    assert charts
    for chart in charts:
        assert chart["role"] == "img" and len(chart["aria-label"].split(". ", 1)[1]) > 5
        assert chart.within("figure")
    drawings = page.of("svg")
    assert all(drawing["role"] == "img" for drawing in drawings)
    assert len([n for n in page.of("title") if n.parent.tag == "svg"]) == len(drawings)


def test_what_scrolls_can_be_reached_and_has_a_name(page):
    frames = [node for node in page.nodes if "wide" in node["class"].split()]
    assert frames
    for frame in frames:
        assert frame["tabindex"] == "0" and frame["role"] == "group" and frame["aria-label"]
    assert all(table.within("div") and table.parent in frames for table in page.of("table"))


def test_nothing_else_scrolls():
    css = resources.files("mnas.reports.page").joinpath("page.css").read_text()
    scrolling = re.findall(r"([^{}]*)\{[^{}]*overflow(?:-[xy])?:(?:auto|scroll)", css)
    assert scrolling
    assert all("wide" in selector for rule in scrolling for selector in rule.split(","))


def test_fields_have_labels_and_links_have_text(page):
    assert all(field.within("label") for field in page.of("input", "select"))
    assert all(label.text.strip() for label in page.of("label"))
    assert all(link.text.strip() and link["href"] for link in page.of("a"))
    assert all(summary.text.strip() for summary in page.of("summary"))


def test_zooming_is_not_prevented(page):
    (viewport,) = [node["content"] for node in page.of("meta") if node["name"] == "viewport"]
    assert "user-scalable" not in viewport and "maximum-scale" not in viewport


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colors", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_text_and_marks_have_enough_contrast_in_both_themes(colors):
    marks = {"rule", "point"}
    for name in colors.keys() - {"ground", "panel", "grid"}:
        assert contrast(colors[name], colors["ground"]) >= (3 if name in marks else 4.5), name
    for name in ("ink", "faint", "accent"):  # on the pinned network and on code
        assert contrast(colors[name], colors["panel"]) >= 4.5, name


def test_contrast_is_that_of_the_standards_examples():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
