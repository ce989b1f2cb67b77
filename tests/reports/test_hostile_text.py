"""Names, causes and settings of users in a page: shown as they are, whatever they hold."""

import dataclasses
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser

import pytest

from mnas.analysis.study_table import rows, summaries
from mnas.experiment.study import Outcome
from mnas.loop.records import UpdateRecord
from mnas.reports.figures import label
from mnas.reports.page import lines
from mnas.reports.page.document import SCRIPTS
from mnas.reports.run_report import write_report
from mnas.reports.study_report import write_study_report
from mnas.reports.text import printable
from tests.runs import head, proposals, result, run_of, settings, write_run
from tests.studies import RANDOM, SMALL

HOSTILE = (
    "<script>alert(1)</script> & \"double\" 'single' </svg></pre> <!-- $x_{$ $\\frac{$ \\$ {0} %s "
    "-- ]]> &amp; \x00\x1b[31m 日本語 🙂"
)


def hostile_run(directory):
    failed = {"accuracy": None, "error": HOSTILE}
    records = [
        *(proposals([[0], [1]]), result(0, 0.4), result(1, 0.0, **failed)),
        UpdateRecord(batch=0, mean_reward=0.2, mean_log_prob=-1.0, controller={HOSTILE: 1.0}),
    ]
    whole = {**settings(), HOSTILE: {HOSTILE: [HOSTILE]}}
    return write_run(directory, records, head(name=HOSTILE, settings=whole, reference=HOSTILE))


class Elements(HTMLParser):
    """Collects elements, attributes and the content of scripts of a page."""

    def __init__(self):
        super().__init__()
        self.elements, self.attributes, self.scripts = Counter(), set(), []

    def handle_starttag(self, tag, attrs):
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.get_starttag_text() and self.get_starttag_text().startswith("<script"):
            self.scripts[-1] += data


def test_run(tmp_path):
    directories = [hostile_run(tmp_path / name) for name in ("a", "<b>$x$ & _\"'")]
    write_report(directories, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "\x00" not in page and "\x1b" not in page
    found = Elements()
    found.feed(page)
    assert found.elements["script"] == len(SCRIPTS) + 2  # also the notices and the data
    assert found.elements["article"] == 2 and "b" not in found.elements
    assert not {name for name in found.attributes if name.startswith("on")} - {"onsubmit"}
    data = json.loads(found.scripts[0])
    assert [run["causes"] for run in data["runs"]] == [[printable(HOSTILE)]] * 2
    assert html.escape("alert(1)</script>") in page and "日本語" in page


def test_study(tmp_path):
    study = dataclasses.replace(
        SMALL, name=HOSTILE, judge=None, marks=(1, 2), variants={HOSTILE: RANDOM, "_x": RANDOM}
    )
    outcomes = [
        Outcome(variant, RANDOM, run_of([proposals([[0], [1]]), result(0, 0.4), result(1, reward)]))
        for variant in study.variants
        for reward in (0.5, 0.6)
    ]
    table = rows(study, outcomes)
    write_study_report(study, outcomes, table, summaries(table), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "\x00" not in page and "\x1b" not in page
    found = Elements()
    found.feed(page)
    assert found.elements["script"] == len(SCRIPTS) + 2 and "b" not in found.elements
    assert not [name for name in found.attributes if name.startswith("on")]
    charts = json.loads(found.scripts[0])["charts"]
    labels = [row["variant"] for row in charts[0]["data"]["values"]]
    assert labels == [printable(lines.label(HOSTILE)), "_x"]


def test_directory_whose_name_is_not_utf8(tmp_path):
    directory = hostile_run(tmp_path / os.fsdecode(b"caf\xe9"))
    write_report([directory, directory], tmp_path / "report.html")
    assert "caf\ufffd" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$x$", r"\$x\$"),
        ("_hidden", " _hidden"),
        ("two\n lines ", "two lines"),
        ("x" * 100, "x" * 17 + "…" + "x" * 17),
    ],
)
def test_labels_are_literal_and_short(text, expected):
    assert label(text) == expected


def test_characters_that_html_lacks_are_replaced():
    assert printable("a\x00b\ud800c\td\r\n") == "a\ufffdb\ufffdc\td\r\n"


USERS_SETTINGS = """
import logging, sys, warnings
import matplotlib
matplotlib.use("svg")
import matplotlib.pyplot as plt
import numpy as np
import scipy.special  # Adds a warning filter.

plt.ion()
plt.rcParams.update({"text.usetex": True, "axes.facecolor": "black", "font.size": 40})
np.seterr(all="raise")
warnings.filterwarnings("ignore", "mine")
figure = plt.figure()

def state():
    handlers = [logging.getLogger(name).handlers for name in ("", "matplotlib", "mnas")]
    return (
        dict(plt.rcParams), plt.get_backend(), plt.isinteractive(), plt.get_fignums(),
        list(warnings.filters), np.geterr(), logging.root.level, [list(h) for h in handlers],
        sys.excepthook, np.get_printoptions(),
    )

before = state()
import mnas
import mnas.reports
from pathlib import Path
from mnas.reports.run_report import write_report
mnas.load_run(sys.argv[1])
write_report([Path(sys.argv[1])] * 2, Path(sys.argv[2]))
assert state() == before
assert "jax" not in sys.modules
"""


def test_a_report_depends_on_no_setting_of_the_users_and_changes_none(tmp_path):
    directory = hostile_run(tmp_path / "run")
    write_report([directory] * 2, tmp_path / "plain.html")
    program = [sys.executable, "-W", "error", "-c", USERS_SETTINGS]
    subprocess.run([*program, str(directory), str(tmp_path / "user.html")], check=True)
    pages = [(tmp_path / name).read_text() for name in ("user.html", "plain.html")]
    written = re.compile(r"<footer>.*?</footer>", re.S)  # It has the time.
    assert len({written.sub("", page) for page in pages}) == 1
