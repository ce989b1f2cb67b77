import json
import math
import os
import subprocess
import sys

import pytest

from mnas.loop import journal
from mnas.loop.journal import FORMAT, Journal, read

FIRST = {"kind": "experiment", "format": FORMAT, "name": "été"}
RECORDS = [
    FIRST,
    {"kind": "proposals", "batch": 0, "decisions": [[0, 1], [2, 0]], "log_probs": [-0.1, None]},
    {"kind": "result", "trial": 1, "accuracy": 0.1 + 0.2, "reward": 1e-300, "error": "a\nb\u2028"},
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def write(path, records=RECORDS):
    with Journal(path) as opened:
        for record in records:
            opened.append(record)


def test_what_is_appended_is_read_back_bit_for_bit(path):
    write(path)
    assert read(path) == RECORDS
    assert path.read_bytes().count(b"\n") == 3  # one line a fact, whatever the text holds
    with Journal(path) as again:
        assert again.records == RECORDS
        again.append({"kind": "update", "batch": 0})
    assert read(path) == [*RECORDS, {"kind": "update", "batch": 0}]


def test_a_new_journal_is_empty(path):
    with Journal(path) as opened:
        assert opened.records == []
    assert read(path) == []


def test_nothing_counts_before_it_is_on_disk(path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watch(descriptor):
        fsync(descriptor)
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        synced.append(path.read_bytes())

    with Journal(path) as opened:
        monkeypatch.setattr(os, "fsync", watch)
        for count, record in enumerate(RECORDS, start=1):
            opened.append(record)
            assert len(synced) == count
            assert json.loads(synced[-1].splitlines()[-1]) == record  # was written by then
            assert read(path) == RECORDS[:count]  # another reader sees it


def test_the_name_of_a_new_journal_is_on_disk_too(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    with Journal(path):
        assert synced == [path.parent.stat().st_ino]


def test_what_json_can_not_say_is_refused_and_leaves_no_trace(path):
    write(path)
    before = path.read_bytes()
    with Journal(path) as opened:
        for value in (math.nan, math.inf):
            with pytest.raises(ValueError, match="not JSON compliant"):
                opened.append({"kind": "result", "accuracy": value})
        with pytest.raises(TypeError):
            opened.append({"kind": "result", "accuracy": object()})
        assert path.read_bytes() == before
        opened.append({"kind": "update"})
    assert read(path)[-1] == {"kind": "update"}


def test_appending_only_ever_adds_a_line(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    write(path)
    inode = path.stat().st_ino
    with Journal(path) as opened:
        # From here on the journal may not look at what it has written.
        monkeypatch.setattr(journal, "_lines", None)
        monkeypatch.setattr(journal, "open", None, raising=False)
        opened.records = None
        before = path.read_bytes()
        for number in range(200):
            record = {"kind": "result", "trial": number}
            opened.append(record)
            line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
            assert path.stat().st_size == len(before) + len(line)
            before += line
        assert path.read_bytes() == before
    assert path.stat().st_ino == inode


def test_a_torn_last_line_is_dropped_wherever_it_broke(path):
    write(path)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        assert read(path) == RECORDS[:2]
        assert path.read_bytes() == whole[:length]  # reading changes nothing
        with Journal(path) as opened:
            assert opened.records == RECORDS[:2]
            assert path.read_bytes() == whole[:last]
            opened.append(RECORDS[2])
        assert path.read_bytes() == whole


def test_a_torn_first_line_is_a_new_journal(path):
    write(path, [FIRST])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path) as opened:
            assert opened.records == []
        assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", b"", b'{"kind": "resu', b"[1, 2]", b'{"trial": 1}', b"\xff\xfe", b"\x00"],
)
def test_garbage_in_the_middle_is_named_by_line(path, garbage):
    write(path)
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([*lines[:2], garbage, *lines[2:]]) + b"\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"{path.name}, line 3: not a journal entry"):
        read(path)
    with pytest.raises(ValueError, match="line 3") as caught:
        Journal(path)
    assert path.read_bytes() == before
    # The lock is given back at once, while the error is still being looked at.
    path.write_bytes(b"\n".join(lines) + b"\n")
    Journal(path).close()
    assert caught.value


@pytest.mark.parametrize("first", [{"kind": "experiment"}, {**FIRST, "format": "mnas-journal/9"}])
def test_another_format_is_refused(path, first):
    write(path, [first])
    with pytest.raises(ValueError, match=rf"line 1: format .*; accepted: '{FORMAT}'") as caught:
        read(path)
    assert repr(first.get("format")) in str(caught.value)


def test_no_file_and_no_folder(tmp_path):
    with pytest.raises(ValueError, match=r"none.jsonl can't be read: No such file"):
        read(tmp_path / "none.jsonl")


def test_one_writer_at_a_time(path):
    with (
        Journal(path),
        pytest.raises(ValueError, match=r"journal.jsonl: another process is writing"),
    ):
        Journal(path)
    Journal(path).close()


def test_a_second_process_is_refused_until_the_first_ends(path):
    program = (
        "import sys; from mnas.loop.journal import Journal\n"
        "journal = Journal(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    ) as first:
        assert first.stdout.readline() == "open\n"
        with pytest.raises(ValueError, match="another process is writing"):
            Journal(path)
        first.kill()
    Journal(path).close()  # a killed process holds nothing
