"""A figure on its own: its specification, its document, its files."""

import html
import json
import re
import shutil
import subprocess
import sys

import pytest

from mnas.errors import UsageError
from mnas.reports.page.chart import Chart
from mnas.reports.page.plot import Plot

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BODY = {
    "height": 200,
    "data": {"name": "trials"},
    "mark": {"type": "point", "color": "var(--point)", "tooltip": True},
    "encoding": {
        "x": {"field": "trial", "type": "quantitative"},
        "y": {"field": "reward", "type": "quantitative"},
    },
}
CHART = Chart("rewards", "Rewards <b>", "All & more. Hover for a trial, click to pin it.", "", BODY)
ROWS = [{"trial": 0, "reward": 0.5}, {"trial": 1, "reward": 0.75, "status": "</script>"}]


@pytest.fixture
def plot():
    return Plot(Chart(**{**vars(CHART), "run": 0}), ROWS)


def test_specification_has_its_data_and_literal_colours(plot):
    assert plot.spec["datasets"] == {"trials": ROWS} and plot.spec["title"]["text"] == "Rewards <b>"
    assert "var(--" not in json.dumps(plot.spec) and plot.spec["mark"]["color"] == "#68829e"
    assert "datasets" not in Plot(CHART).spec


def test_notebooks_show_a_frame_with_its_document_and_caption(plot):
    shown = plot._repr_html_()
    (source,) = re.findall(r'srcdoc="([^"]*)"', shown)
    assert html.unescape(source) == plot.html()
    assert "<figcaption>All &amp; more. </figcaption>" in shown  # Nothing is pinned there.
    assert repr(plot) == "<Plot rewards: Rewards <b>>"


def test_document_needs_no_network_and_runs_no_text(plot):
    document = plot.html()
    assert "default-src 'none'" in document and "<title>Rewards &lt;b&gt;</title>" in document
    assert "<b>" not in document.split("<script>")[0]
    (data,) = re.findall(r'id="specification">(.*?)</script>', document, re.DOTALL)
    assert json.loads(data)["datasets"] == {"trials": ROWS}


@pytest.mark.parametrize("name", ["figure.html", "figure.json", "FIGURE.SVG", "figure.png"])
def test_files_are_by_their_names(plot, tmp_path, name):
    if name.lower().endswith(("svg", "png")):
        pytest.importorskip("vl_convert")
    plot.save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    starts = {"html": b"<!doctype html>", "json": b"{", "svg": b"<svg", "png": b"\x89PNG"}
    assert content.startswith(starts[name.lower().partition(".")[2]])
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_other_names_and_places_are_usage_errors(plot, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match=r"x.pdf: accepted: a file named \*.html, \*.json"):
        plot.save(tmp_path / "x.pdf")
    with pytest.raises(UsageError, match=r"x.html can't be written: No such file"):
        plot.save(str(tmp_path / "missing" / "x.html"))
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UsageError, match=r"need vl-convert-python; accepted: after pip install"):
        plot.save(tmp_path / "x.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_draws_the_frame_of_a_notebook(plot, tmp_path):
    page = tmp_path / "notebook.html"
    script = """<script>setInterval(() => {
      const frame = document.querySelector("iframe"), inner = frame.contentDocument;
      const marks = inner.querySelectorAll("#figure svg .mark-symbol path").length;
      document.title = `${marks} marks, ${frame.style.height}`;
    }, 50)</script>"""
    page.write_text(f"<!doctype html><body>{plot._repr_html_()}{script}")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000"]
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path}/profile", "--dump-dom", f"{page}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    title = re.search("<title>(.*?)</title>", done.stdout)[1]
    marks, height = re.fullmatch(r"(\d+) marks, (\d+)px", title).groups()
    assert int(marks) == 2 and 200 < int(height) != 310
