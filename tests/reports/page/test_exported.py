"""Figures and tables of a report as files of their own."""

import csv
import sys
from xml.etree import ElementTree

import pytest

from mnas.__main__ import main
from mnas.errors import UsageError
from mnas.reports.page.exported import booktabs, latex
from mnas.reports.run_report import write_report
from tests.runs import head, network, proposals, result, settings, write_run


def a_run(directory, seed=0):
    failed = {"accuracy": None, "error": "out of memory & <more>"}
    same = {"architecture": network().to_dict()}  # No decisions, whose figures take time.
    records = [
        proposals([[0], [1], [2]]), result(0, 0.4, **same), result(1, 0.5, mult_adds=2, **same),
        result(2, 0.0, **failed, **same),
    ]  # fmt: skip
    return write_run(directory, records, head(settings=settings(seed=seed)))


def test_every_figure_and_table_is_a_file(tmp_path):
    pytest.importorskip("vl_convert")
    runs = [a_run(tmp_path / name, seed) for seed, name in enumerate(("one", "two"))]
    out = tmp_path / "figures" / "new"
    written = write_report(runs, tmp_path / "report.html", figures=out)
    names = {path.name for path in written if path.parent == out}
    assert {path.name for path in out.iterdir()} == names
    compared = ("fronts", "best-reward", "hypervolume")
    own = [f"run{n}-{name}" for n in (1, 2) for name in ("front", "rewards", "hypervolume")]
    pictures = {f"{name}.{kind}" for name in (*compared, *own) for kind in ("svg", "png")}
    tables = {"runs.csv", "runs.tex"}
    for n in (1, 2):
        tables |= {f"run{n}-{name}" for name in ("best.svg", "top.csv", "top.tex", "trials.csv")}
    assert names == pictures | tables
    for name in (name for name in names if name.endswith(".svg")):
        text = (out / name).read_text()
        root = ElementTree.fromstring(text)  # noqa: S314 - our own
        assert root.tag.endswith("svg") and "<text" in text
        # Colours are literal: variables have no values outside the page.
        assert "var(--" not in text
    assert all((out / n).read_bytes()[:4] == b"\x89PNG" for n in names if n.endswith(".png"))
    rows = list(csv.DictReader((out / "run1-trials.csv").read_text().split("\n")))
    assert [row["status"] for row in rows] == ["complete", "complete", "failed"]
    assert rows[2]["error"] == "out of memory & <more>"


def test_files_of_a_single_run_have_plain_names(tmp_path):
    pytest.importorskip("vl_convert")
    write_report([a_run(tmp_path / "one")], tmp_path / "r.html", figures=tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"front.svg", "front.png", "rewards.svg", "best.svg", "top.tex", "trials.csv"} <= names


def test_run_without_results_has_its_table_only(tmp_path):
    pytest.importorskip("vl_convert")
    empty = write_run(tmp_path / "empty", [])
    write_report([empty], tmp_path / "r.html", figures=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["trials.csv"]


def test_a_directory_that_cannot_be_made_is_a_usage_error(tmp_path):
    pytest.importorskip("vl_convert")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"file can't be written: File exists"):
        write_report([a_run(tmp_path / "run")], tmp_path / "r.html", figures=tmp_path / "file")


def test_without_vl_convert_nothing_is_written_and_one_line_says_what_to_install(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    run = a_run(tmp_path / "run")
    out = tmp_path / "figures"
    assert main(["report", str(run), "--figures", str(out)]) == 2
    assert "pip install 'mnas[figures]'" in capsys.readouterr().err
    assert not out.exists() and not (run / "report.html").exists()
    assert main(["report", str(run)]) == 0


def test_latex_has_no_character_with_a_meaning_of_its_own():
    text = latex("50% & r1_k3 {x} #$~^\\ × 2\n± 1")
    assert text == (
        r"50\% \& r1\_k3 \{x\} \#\$\textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"$\times$ 2 $\pm$ 1"
    )


def test_tables_are_of_booktabs():
    expected = "\n".join(
        [
            "% \\usepackage{booktabs}",
            r"\begin{tabular}{lr}",
            r"\toprule",
            r"run & best\_reward \\",
            r"\midrule",
            r"a & 0.5 \\",
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )
    assert booktabs(["run", "best_reward"], [["a", "0.5"]]) == expected
    assert "p{0.45\\linewidth}" in booktabs(["trial", "network"], [["1", "r1_k3"]])
