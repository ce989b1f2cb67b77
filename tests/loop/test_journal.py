import json
import math
import os
import subprocess
import sys

import pytest

from mnas.errors import UsageError
from mnas.loop import journal
from mnas.loop.journal import Journal, decisions_of, read, read_head
from mnas.loop.records import (
    ExperimentRecord,
    ProposalsRecord,
    ResultRecord,
    UpdateRecord,
    to_json,
)

HEAD = ExperimentRecord(name="été")
PROPOSALS = ProposalsRecord(
    batch=0, first_trial=3, decisions=((0, 1), (2, 0)), log_probs=(-0.1, None)
)
UPDATE = UpdateRecord(batch=0, mean_reward=0.1 + 0.2)


def result(trial: int, **changes) -> ResultRecord:
    fields = {"accuracy": 0.1 + 0.2, "reward": 1e-300, "error": "a\nb\u2028"}
    fields |= {"hash": "0a", "seed": 7, "architecture": {}, "params": 1, "mult_adds": 2}
    return ResultRecord(trial=trial, **(fields | changes))


RECORDS = [HEAD, PROPOSALS, result(1)]


def written(line: bytes) -> dict:
    """Return the JSON of a line's record, without its number and checksum."""
    return {key: value for key, value in json.loads(line).items() if key not in ("n", "sum")}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def write(path, records=RECORDS):
    with Journal(path, records[0]) as opened:
        for record in records[1:]:
            opened.append(record)


def test_head_is_read_without_the_rest(path):
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"damaged\n")
    assert read_head(path) == HEAD
    path.write_bytes(lines[0].replace(b"t", b"T", 1) + lines[1])
    with pytest.raises(UsageError, match="line 1: "):
        read_head(path)
    path.write_bytes(lines[0][:40])
    with pytest.raises(UsageError, match="holds no complete record"):
        read_head(path)
    path.unlink()
    with pytest.raises(UsageError, match="can't be read"):
        read_head(path)


def test_appended_records_are_read_back_bit_for_bit(path):
    write(path)
    assert read(path) == RECORDS
    assert path.read_bytes().count(b"\n") == 3  # One line per record, whatever its text.
    with Journal(path) as again:
        assert again.records == RECORDS and again.head == HEAD
        again.append(UPDATE)
    assert read(path) == [*RECORDS, UPDATE]


def test_new_journal_begins_with_its_head(path):
    with Journal(path, HEAD) as opened:
        assert opened.records == [HEAD] == read(path)
    with Journal(path, ExperimentRecord(name="other")) as again:
        assert again.head == HEAD


def test_journal_without_a_given_head_can_be_opened_again(path):
    Journal(path).close()
    with Journal(path) as again:
        assert again.head == ExperimentRecord()


def test_decisions_are_by_trial_number():
    assert decisions_of(RECORDS) == {3: (0, 1), 4: (2, 0)}


def test_record_is_on_disk_when_append_returns(path, monkeypatch):
    synced = []
    fsync = os.fsync

    def watch(descriptor):
        fsync(descriptor)
        assert os.fstat(descriptor).st_ino == path.stat().st_ino
        synced.append(path.read_bytes())

    with Journal(path, HEAD) as opened:
        monkeypatch.setattr(os, "fsync", watch)
        for count, record in enumerate(RECORDS[1:], start=1):
            opened.append(record)
            assert len(synced) == count
            assert written(synced[-1].splitlines()[-1]) == json.loads(json.dumps(to_json(record)))
            assert read(path) == RECORDS[: count + 1]  # Other readers see it.


def test_directory_entry_of_a_new_journal_is_on_disk(path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    with Journal(path):
        assert synced == [path.parent.stat().st_ino, path.stat().st_ino]


def test_record_that_json_cannot_represent_raises_and_writes_nothing(path):
    write(path)
    before = path.read_bytes()
    with Journal(path) as opened:
        for value in (math.nan, math.inf):
            with pytest.raises(ValueError, match="not JSON compliant"):
                opened.append(result(2, accuracy=value))
        with pytest.raises(TypeError):
            opened.append(result(2, architecture={"blocks": object()}))
        assert path.read_bytes() == before
        opened.append(UPDATE)
    assert read(path)[-1] == UPDATE


def test_append_adds_one_line_and_reads_nothing(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    write(path)
    inode = path.stat().st_ino
    with Journal(path) as opened:
        monkeypatch.setattr(journal, "read_content", None)
        monkeypatch.setattr(journal, "open", None, raising=False)
        opened.records = []
        before = path.read_bytes()
        for number in range(200):
            record = result(number)
            opened.append(record)
            added = path.read_bytes()[len(before) :]
            assert added.count(b"\n") == 1 and added.endswith(b"\n")
            assert written(added) == json.loads(json.dumps(to_json(record)))
            before += added
        assert path.read_bytes() == before
    assert path.stat().st_ino == inode


def test_incomplete_last_line_is_dropped_at_every_length(path):
    write(path)
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for length in range(last, len(whole)):
        path.write_bytes(whole[:length])
        assert read(path) == RECORDS[:2]
        assert path.read_bytes() == whole[:length]  # Reading changes nothing.
        with Journal(path) as opened:
            assert opened.records == RECORDS[:2]
            assert path.read_bytes() == whole[:last]
            opened.append(RECORDS[2])
        assert path.read_bytes() == whole


def test_incomplete_first_line_is_replaced_by_the_head(path):
    write(path, [HEAD])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read(path) == []
        Journal(path, HEAD).close()
        assert path.read_bytes() == whole


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none.jsonl can't be read: No such file"):
        read(tmp_path / "none.jsonl")


def test_second_writer_is_rejected(path):
    with (
        Journal(path),
        pytest.raises(UsageError, match=r"journal.jsonl: another process is writing"),
    ):
        Journal(path)
    Journal(path).close()


def test_second_process_is_rejected_until_the_first_ends(path):
    program = (
        "import sys; from mnas.loop.journal import Journal\n"
        "journal = Journal(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    ) as first:
        assert first.stdout.readline() == "open\n"
        with pytest.raises(UsageError, match="another process is writing"):
            Journal(path)
        first.kill()
    Journal(path).close()  # The lock of a killed process is free.
