"""Table of retrained networks as text."""

from mnas.analysis.retraining import Candidate, Correlation, Row
from mnas.reports.retraining_table import HEADS, lines, notes
from tests.runs import network

NETWORK = network().replace(name="net")


def test_cells_show_mean_interval_and_seeds():
    rows = [
        Row(Candidate(NETWORK, 3, 0.5), (0.8, 0.9)),
        Row(Candidate(NETWORK), (0.8,), ("diverged",)),
        Row(Candidate(NETWORK), (), ("diverged", "out of memory")),
    ]
    cells = lines(rows)
    assert cells[0] == ["net", "378", "2,336", "0.5000", "0.8500 ± 0.6353", "2"]
    assert cells[1][3:] == ["-", "0.8000", "1 (1 failed)"]
    assert cells[2][4:] == ["-", "0 (2 failed)"]
    assert all(len(line) == len(HEADS) for line in cells)


def test_notes_name_images_correlation_and_each_cause_once():
    rows = [Row(Candidate(NETWORK), (), ("diverged", "diverged"))]
    text = notes(rows, Correlation(0.6, -0.3, 0.9, 5), "297 test images")
    assert text[0].startswith("accuracy: top-1 on 297 test images")
    assert "τ 0.60 (95% interval -0.30 to 0.90, n = 5)" in text[1]
    assert text[2:] == ["failed: diverged"]
    assert len(notes([], None, "validation images")) == 1
