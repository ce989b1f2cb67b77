"""Files about a training: equal after a resumption, but for times; damage loses times only."""

import csv
import os

import pytest

from mnas.errors import UsageError
from mnas.reports.training_log import EpochRow, TrainingLog, curves
from tests.reports.test_tensorboard import events


def row(epoch, seconds=2.0):
    rate = None if seconds is None else 100 / seconds
    return EpochRow(epoch, 10 * epoch, 2.0 / epoch, 1 - 0.5 / epoch, 0.1 / epoch, rate, seconds)


def table(directory):
    with open(directory / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_epoch_is_on_disk_when_it_was_added(tmp_path):
    with TrainingLog(tmp_path, "net") as log:
        log.append(row(1))
        log.append(row(2))
        assert table(tmp_path)[1] == {
            "epoch": "2",
            "step": "20",
            "loss": "1.0",
            "validation_accuracy": "0.75",
            "learning_rate": "0.05",
            "images_per_second": "50.0",
            "seconds": "2.0",
        }
        last = events(tmp_path)[-1]
        assert last[:3] == ("validation/accuracy", 20, 0.75)
        assert not (tmp_path / "curves.svg").exists()  # drawn at most once a minute
    assert "validation accuracy, %" in (tmp_path / "curves.svg").read_text()


def test_resumed_training_has_the_files_of_an_uninterrupted_one(tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for directory in (whole, resumed):
        directory.mkdir()
    with TrainingLog(whole, "net") as log:
        for epoch in (1, 2, 3):
            log.append(row(epoch))
        log.add_scores({"test/top1": 0.5})
    with TrainingLog(resumed, "net") as log:
        log.append(row(1))  # killed before the second epoch was noted, which the checkpoint has
    with TrainingLog(resumed, "net", [row(1, None), row(2, None)]) as log:
        log.append(row(3))
        log.add_scores({"test/top1": 0.5})
    one, other = table(whole), table(resumed)
    assert other[0] == one[0] and other[2] == one[2]
    assert other[1] == {**one[1], "images_per_second": "", "seconds": ""}
    timeless = [[e[:3] for e in events(d) if "images" not in e[0]] for d in (whole, resumed)]
    assert timeless[0] == timeless[1]
    assert timeless[0][-1] == ("test/top1", 30, 0.5)
    pictures = [(directory / "curves.svg").read_text() for directory in (whole, resumed)]
    assert pictures[0] == pictures[1]


def test_event_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "events.out.tfevents.1.host").write_bytes(b"")
    for _ in range(2):
        with TrainingLog(tmp_path, "net", [row(1)]):
            pass
    assert len(list(tmp_path.glob("events.*.training"))) == 1
    assert (tmp_path / "events.out.tfevents.1.host").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"epoch,loss\n1", b"epoch,loss,seconds\n1,2.0,nan\n", b'"\x00\n' * 3],
)
def test_times_that_cannot_be_read_are_left_out(tmp_path, content):
    (tmp_path / "history.csv").write_bytes(content)
    with TrainingLog(tmp_path, "net", [row(1, None)]):
        pass
    assert [line["seconds"] for line in table(tmp_path)] == [""]


def test_times_of_another_training_are_not_taken_over(tmp_path):
    with TrainingLog(tmp_path, "net") as log:
        log.append(row(1))
    other = EpochRow(1, 10, 9.0, 0.5, 0.1, None, None)
    with TrainingLog(tmp_path, "net", [other]):
        pass
    assert [line["seconds"] for line in table(tmp_path)] == [""]


def test_file_that_cannot_be_written_is_named(tmp_path):
    os.mkdir(tmp_path / "curves.svg")
    with (
        pytest.raises(UsageError, match=r"curves\.svg can't be written"),
        TrainingLog(tmp_path, "net", [row(1)]),
    ):
        pass
    with pytest.raises(KeyboardInterrupt), TrainingLog(tmp_path, "net", [row(1)]):
        raise KeyboardInterrupt


def test_curves_have_labels_and_literal_titles():
    figure = curves([row(1), row(2)], "_a$b$")
    upper, lower = figure.axes
    assert upper.get_title("left") == r" _a\$b\$"
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("training loss", "epoch")
    assert lower.lines[0].get_ydata().tolist() == [50.0, 75.0]
