"""The page in Chromium: figures, hover, pin, filter, sort, copy. Skipped where it is missing."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest

from mnas.analysis.study_table import rows, summaries
from mnas.architecture.published import PUBLISHED
from mnas.architecture.spec import from_spec
from mnas.reports.run_report import write_report
from mnas.reports.study_report import write_study_report
from tests.runs import head, network, proposals, result, settings, write_run
from tests.studies import SMALL, outcome

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
A1 = PUBLISHED["mnasnet-a1"]

# Waits for the figures, acts as a reader does, and leaves what happened in the page.
TOOLS = """
const wait = test => new Promise(done => {
  const timer = setInterval(() => { if (test()) { clearInterval(timer); done(); } }, 20);
});
const found = {errors: []};
window.addEventListener("error", event => found.errors.push(event.message));
document.addEventListener("securitypolicyviolation", event => found.errors.push(event.blockedURI));
function move(kind, target) {
  const box = target.getBoundingClientRect();
  const at = {bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
  target.dispatchEvent(new PointerEvent(kind, {...at, pointerType: "mouse"}));
}
function cells(column) {
  return [...document.querySelectorAll("table.trials tbody tr")]
    .map(row => row.children[column].textContent);
}
function filter(name, value) {
  const field = document.querySelector(".filters").elements[name];
  field.value = value;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  const shown = cells(0);
  field.value = "";
  field.dispatchEvent(new Event("input", {bubbles: true}));
  return shown;
}
"""
READER = """
(async () => {
  document.querySelectorAll(".trials.wide").forEach(frame => tableOf(frame));
  await Promise.all([...document.querySelectorAll(".chart")].map(place => draw(place)));
  found.figures = document.querySelectorAll(".chart svg").length;
  found.text = [...document.querySelectorAll(".chart svg text")].map(text => text.textContent);
  const point = [...document.querySelectorAll(".chart svg .mark-symbol path")]
    .find(path => path.__data__ && path.__data__.datum && path.__data__.datum.trial === 1);
  move("pointermove", point);
  found.tip = [tip.hidden, tip.textContent];
  point.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  await wait(() => !document.querySelector(".pinned").hidden);
  found.pinned = document.querySelector(".pinned").dataset.trial;
  found.drawing = document.querySelectorAll(".pinned svg.net").length;
  found.sorted = cells(0);
  document.querySelector("table.trials th button").click();
  found.by_trial = cells(0);
  document.querySelector("table.trials th button").click();
  found.reversed = cells(0);
  found.failed = filter("status", "failed");
  found.kernel = filter("text", "k11");
  found.cause = filter("text", "memory");
  found.cheap = filter("most", "2.5");
  found.accurate = filter("least", "45");
  found.spec = specOf(rowOf(0, 0));
  const ids = [...document.querySelectorAll("[id]")].map(node => node.id);
  found.repeated = ids.filter((id, place) => ids.indexOf(id) !== place);
  const named = node => node.textContent.trim() || node.getAttribute("aria-label");
  found.nameless = [...document.querySelectorAll("th, button, summary, a, .wide")]
    .filter(node => !named(node)).map(node => node.outerHTML);
  found.sort = [...document.querySelectorAll("table.trials th[aria-sort]")]
    .map(cell => [cell.textContent, cell.getAttribute("aria-sort")]);
  const copied = [];
  document.execCommand = () => copied.push(document.activeElement.value) > 0;
  Object.defineProperty(navigator, "clipboard", {value: {writeText: () => Promise.reject()}});
  document.querySelector("table.trials tbody tr td:last-child button").click();
  await wait(() => copied.length);
  found.copied = JSON.parse(copied[0]).name;
  document.title = JSON.stringify(found);
})();
"""


# On a phone, a figure has a key in place of names; points of studies have texts and links.
STUDY_READER = """
(async () => {
  await Promise.all([...document.querySelectorAll(".chart")].map(place => draw(place)));
  const curves = document.querySelectorAll(".chart")[1];
  found.names = [...curves.querySelectorAll("svg text")].map(text => text.textContent);
  const key = curves.parentElement.querySelector(".key");
  found.key = [getComputedStyle(key).display, key.textContent];
  found.wide = document.documentElement.scrollWidth > window.innerWidth;
  const point = document.querySelectorAll(".chart")[2].querySelector(".mark-symbol path");
  move("pointermove", point);
  found.tip = [tip.hidden, tip.textContent];
  window.addEventListener("hashchange", () => {
    found.address = window.location.hash;
    document.title = JSON.stringify(found);
  });
  point.__data__.datum.href = "#followed";
  point.dispatchEvent(new MouseEvent("click", {bubbles: true}));
})();
"""


def read(page_file, script, width):
    """Return what a script found in a page that Chromium opened."""
    before, _, after = page_file.read_text(encoding="utf-8").rpartition("</body>")
    target = page_file.with_name("read.html")
    target.write_text(f"{before}<script>{TOOLS}{script}</script></body>{after}", encoding="utf-8")
    command = [
        *(CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *(f"--user-data-dir={page_file.with_name('profile')}", f"--window-size={width},3000"),
        *("--virtual-time-budget=10000", target.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)
    (title,) = re.findall(r"<head>.*?<title>(.*?)</title>", done.stdout, re.DOTALL)
    return json.loads(html.unescape(title))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_reader_can_hover_pin_filter_sort_and_copy(tmp_path):
    failed = {"accuracy": None, "error": "out of memory"}
    records = [
        proposals([[0], [1], [2], [3]]),
        result(0, 0.4, architecture=A1.to_dict(), mult_adds=3_000_000),
        result(1, 0.5, mult_adds=4_000_000),
        result(2, 0.0, mult_adds=1_000_000, **failed),
        result(3, 0.3, architecture=network(11).to_dict(), mult_adds=2_000_000),
    ]
    run = write_run(tmp_path / "run", records, head(settings=settings()))
    write_report([run], tmp_path / "report.html")
    found = read(tmp_path / "report.html", READER, width=1280)
    assert found["errors"] == [] and found["figures"] == 5
    assert {"best", "best so far", "batch mean", "mult-adds, M"} <= set(found["text"])
    hidden, tip = found["tip"]
    assert not hidden and tip.startswith("trial 1") and "50.00%" in tip and "4.000" in tip
    assert found["pinned"] == "1" and found["drawing"] == 1
    assert found["sorted"] == ["1", "0", "3", "2"]
    assert found["by_trial"] == ["0", "1", "2", "3"] and found["reversed"] == ["3", "2", "1", "0"]
    assert found["failed"] == found["cause"] == ["2"] and found["kernel"] == ["3"]
    assert found["cheap"] == ["3", "2"] and found["accurate"] == ["1"]
    assert from_spec(json.loads(found["spec"])).canonical_hash() == A1.canonical_hash()
    assert found["copied"] == "trial-3"
    assert found["repeated"] == found["nameless"] == []
    assert found["sort"] == [["trial", "descending"]]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_study_fits_a_phone_and_its_points_have_texts_and_links(tmp_path):
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 2))
    outcomes = [outcome([result(0, 0.4), result(1, 0.6)])]
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), tmp_path / "report.html")
    found = read(tmp_path / "report.html", STUDY_READER, width=500)
    assert found["errors"] == [] and not found["wide"]
    assert "exact" not in found["names"] and found["key"] == ["flex", "exact"]
    hidden, tip = found["tip"]
    assert not hidden and tip.startswith("exact, seed 0") and "60.00%" in tip
    assert found["address"] == "#followed"
