"""TensorBoard events: their values, and a search that goes on where they can't be written."""

import errno
import os

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter

from mnas.loop.records import UpdateRecord
from mnas.reports.tensorboard import TensorBoard
from tests.runs import proposals, result


def events(directory):
    """Return (tag, step, value, time) of all events of the only file in a directory."""
    (path,) = directory.glob("events.out.tfevents.*")
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found += [(v.tag, event.step, v.simple_value, event.wall_time) for v in event.summary.value]
        content = content[16 + size :]
    return found


UPDATE = UpdateRecord(
    batch=0, mean_reward=0.5, mean_log_prob=None, controller={"entropy": 2.0, "gone": None}, time=7
)


def test_results_and_updates_are_events(tmp_path):
    board = TensorBoard(tmp_path)
    board(proposals([[0], [1]]))
    assert list(tmp_path.iterdir()) == []
    board(result(0, 0.25, mult_adds=1000, time=5.0))
    board(result(1, -1.0, accuracy=None, mult_adds=2000, error="lost", time=6.0))
    board(UPDATE)
    board.close()
    assert events(tmp_path) == [
        ("child/accuracy", 0, 0.25, 5.0),
        ("child/madds", 0, 1000.0, 5.0),
        ("child/madds", 1, 2000.0, 6.0),
        ("controller/entropy", 2, 2.0, 7.0),
        ("controller/reward", 2, 0.5, 7.0),
    ]


@pytest.mark.parametrize("method", ["write", "flush"])
def test_search_goes_on_where_events_cannot_be_written(tmp_path, monkeypatch, caplog, method):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(RecordWriter, method, full)
    board = TensorBoard(tmp_path)
    for trial in range(3):
        board(result(trial))
    board.close()
    warning = f"TensorBoard events can't be written into {tmp_path}: No space left on device"
    assert caplog.messages == [warning]


def test_missing_directory_is_named_once(tmp_path, caplog):
    board = TensorBoard(tmp_path / "missing")
    board(result(0))
    board(UPDATE)
    board.close()
    assert caplog.text.count("missing: No such file or directory") == 1
