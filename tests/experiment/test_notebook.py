"""Views of a run for notebooks."""

import sys
from pathlib import Path

import pytest

import mnas
from mnas.experiment.trials import COLUMNS
from tests.runs import proposals, result, run_of

RESULTS = [
    result(0, 0.5, seconds=2.0),
    result(1, 0.0, accuracy=None, error="lost <b>"),
    result(2, 0.9, stopped=True, epochs=1, history=((1, 0.9),)),
    result(3, 0.75, latency_ms=1.5),
    result(4, 0.5, duplicate_of=0),
]


@pytest.fixture
def run():
    return run_of([proposals([[n] for n in range(5)]), *RESULTS])


def test_trials_are_a_data_frame_with_a_row_each(run):
    frame = run.trials
    assert list(frame.columns) == list(COLUMNS[1:]) and list(frame.index) == [0, 1, 2, 3, 4]
    assert list(frame.status) == ["complete", "failed", "stopped", "complete", "duplicate"]
    assert frame.reward.idxmax() == 2 and frame[frame.status == "complete"].reward.idxmax() == 3
    assert frame.accuracy.isna().tolist() == [False, True, False, False, False]
    assert frame.loc[3].latency_ms == 1.5 and frame.loc[4].duplicate_of == 0
    assert frame.loc[1].error == "lost <b>" and frame.mult_adds.dtype.kind == "i"
    assert mnas.Run.trials.fget is not None


def test_data_frame_without_pandas_says_what_is_missing(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        _ = run.trials


def test_summary_has_the_best_networks_first(run):
    shown = run._repr_html_()
    assert "5 trials (2 complete, 1 failed, 1 stopped, 1 duplicate)" in shown
    rows = shown.split("<tr>")[1:]
    assert "<th>accuracy</th>" in rows[0] and [row[4:5] for row in rows[1:]] == ["3", "0"]
    assert RESULTS[3].architecture["blocks"][0] in rows[1]


def test_other_peoples_text_is_escaped(run, monkeypatch):
    object.__setattr__(run, "directory", Path("<script>"))
    assert "<script>" not in run._repr_html_() and "&lt;script&gt;" in run._repr_html_()


def test_a_run_without_results_has_a_summary():
    assert "0 trials ()" in run_of([proposals([[0]])])._repr_html_()
