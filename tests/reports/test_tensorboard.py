"""TensorBoard events: their values, and a search that goes on where they can't be written."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData
from tensorboardX.record_writer import RecordWriter

from mnas.loop.records import UpdateRecord
from mnas.reports.tensorboard import TensorBoard, write_run
from tests.cli.commands import quick, run_search
from tests.runs import proposals, remeasure, remeasured, result


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Directory of a finished run, not to be changed."""
    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run_search(*quick(directory)) == 0
    return directory


def summaries(directory):
    """Return (step, time, value) of all summary values of the only file in a directory."""
    (path,) = directory.glob("events.out.tfevents.*")
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + size])
        found += [(event.step, event.wall_time, value) for value in event.summary.value]
        content = content[16 + size :]
    return found


def events(directory, *tags):
    """Return (tag, step, value) of the events with these tags; of all without tags."""
    return [
        (value.tag, step, value.simple_value)
        for step, _, value in summaries(directory)
        if not tags or value.tag in tags
    ]


UPDATE = UpdateRecord(
    batch=0, mean_reward=0.5, mean_log_prob=None, controller={"entropy": 2.0, "gone": None}, time=7
)


def test_results_and_updates_are_events(tmp_path):
    board = TensorBoard(tmp_path)
    board(proposals([[0], [1]]))
    assert list(tmp_path.iterdir()) == []
    board(result(0, 0.25, mult_adds=1000, latency_ms=3.0, seconds=4.0, time=5.0))
    board(result(1, -1.0, accuracy=None, mult_adds=2000, error="lost", time=6.0))
    board(UPDATE)
    board.close()
    children = [f"child/{name}" for name in ("accuracy", "reward", "madds", "latency_ms")]
    assert events(tmp_path, *children, "child/seconds") == [
        ("child/accuracy", 0, 0.25),
        ("child/madds", 0, 1000.0),
        ("child/reward", 0, 0.25),
        ("child/latency_ms", 0, 3.0),
        ("child/seconds", 0, 4.0),
        ("child/madds", 1, 2000.0),
        ("child/seconds", 1, 1.0),
    ]
    controller = ("controller/entropy", "controller/reward", "controller/gone")
    assert events(tmp_path, *controller) == [
        ("controller/entropy", 2, 2.0),
        ("controller/reward", 2, 0.5),
    ]
    assert [time for step, time, _ in summaries(tmp_path) if step == 2][-1] == 7.0


COUNTS = ("search/failed", "search/stopped", "search/duplicates")
RESULTS = [
    result(0, 0.5),
    result(1, 0.0, accuracy=None, error="lost"),
    result(2, 0.9, stopped=True, epochs=1, history=((1, 0.9),)),
    result(3, 0.4),
    result(4, 0.5, duplicate_of=0),
    result(5, 0.7),
]


def test_best_so_far_and_counts_of_what_was_not_trained_to_its_end(tmp_path):
    board = TensorBoard(tmp_path)
    for record in RESULTS:
        board(record)
    board(UPDATE)
    board.close()
    best = pytest.approx(0.7)
    assert events(tmp_path, "search/best_reward", "search/best_accuracy") == [
        *(("search/best_reward", 6, best), ("search/best_accuracy", 6, best)),
    ]
    assert events(tmp_path, *COUNTS) == [(name, 6, 1.0) for name in COUNTS]


def test_the_best_is_written_as_text_once(tmp_path):
    board = TensorBoard(tmp_path)
    board(RESULTS[0])
    board(UPDATE)
    board(RESULTS[3])
    board(UPDATE)
    board.close()
    texts = [v for _, _, v in summaries(tmp_path) if v.tag.startswith("best")]
    (text,) = [v.tensor.string_val[0].decode() for v in texts]
    assert text.startswith("Trial 0: reward 0.5000, accuracy 0.5000, ")
    assert text.endswith(RESULTS[0].architecture["blocks"][0])


def test_settings_are_hyperparameters_of_one_session(tmp_path):
    settings = {"search": {"trials": 8, "seed": None}, "space": {"sizes": (3, 5), "flip": True}}
    board = TensorBoard(tmp_path, settings)
    for record in RESULTS:
        board(record)
    board.close()
    plugin = {
        v.tag: HParamsPluginData.FromString(v.metadata.plugin_data.content)
        for _, _, v in summaries(tmp_path)
        if v.tag.startswith("_hparams_")
    }
    assert len(plugin) == 3
    session = plugin["_hparams_/session_start_info"].session_start_info.hparams
    assert session["search.trials"].number_value == 8 and session["space.flip"].bool_value
    assert session["space.sizes"].string_value == "(3, 5)" and "search.seed" not in session
    metrics = plugin["_hparams_/experiment"].experiment.metric_infos
    assert [m.name.tag for m in metrics] == ["search/best_reward", "search/best_accuracy"]


def test_a_resumed_search_goes_on_from_its_counts_and_its_best(tmp_path):
    board = TensorBoard(tmp_path).follow(RESULTS[:3])
    for record in RESULTS[3:]:
        board(record)
    board(UPDATE)
    board.close()
    assert events(tmp_path, "search/best_reward") == [("search/best_reward", 6, pytest.approx(0.7))]
    assert events(tmp_path, *COUNTS) == [(name, 6, 1.0) for name in COUNTS]


def test_further_measurements_are_events_and_their_table_a_text(tmp_path):
    board = TensorBoard(tmp_path)
    board(remeasure([5, 0], seeds=1))
    board(remeasured(5, 0, 0.6))
    board(remeasured(0, 0, 0.25))
    board.close()
    assert events(tmp_path, "remeasured/accuracy") == [
        ("remeasured/accuracy", 0, pytest.approx(0.6)),
        ("remeasured/accuracy", 1, 0.25),
    ]
    (text,) = [v for _, _, v in summaries(tmp_path) if v.tag == "remeasured/text_summary"]
    assert text.tensor.string_val[0].decode().startswith("| trial | accuracy |")


def test_events_of_a_finished_run_are_those_of_its_observer(finished, tmp_path):
    directory = Path(shutil.copytree(finished, tmp_path / "run"))
    tags = ("child/reward", "controller/reward", "search/best_reward", *COUNTS)
    observed = events(directory, *tags)
    write_run(directory)  # there are some
    assert events(directory, *tags) == observed
    for path in directory.glob("events.*"):
        path.unlink()
    write_run(directory)
    assert sorted(events(directory, *tags)) == sorted(observed) and len(observed) == 27


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
