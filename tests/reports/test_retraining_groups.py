"""Table of searches compared by their retrained networks."""

from mnas.reports.retraining_groups import HEADS, lines, notes

RECORD = {"networks": 5, "trainings": 15, "mult_adds": 31_979_392.4, "accuracy": 0.9}


def test_cells_show_means_and_differences_with_intervals():
    first = {"name": "dyna", **RECORD, "half_interval": 0.01}
    second = {"name": "random", **RECORD, "half_interval": None}
    cells = lines(
        [
            {**first, "difference": None, "difference_half_interval": None},
            {**second, "difference": 0.02, "difference_half_interval": 0.005},
        ]
    )
    assert cells[0] == ["dyna", "5", "15", "31,979,392", "0.9000 ± 0.0100", "-"]
    assert cells[1][4:] == ["0.9000", "0.0200 ± 0.0050"]
    assert all(len(line) == len(HEADS) for line in cells)


def test_notes_say_of_what_the_intervals_are():
    accuracy, difference = notes("10,000 test images")
    assert "top-1 on 10,000 test images" in accuracy and "one search each" in difference
