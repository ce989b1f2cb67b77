"""Damaged journals: rejected by file and line; only a torn last line is dropped."""

import errno
import hashlib
import json
import os
import random

import pytest

from mnas.errors import RunFailure, UsageError
from mnas.loop.journal import Journal, is_begun, read
from mnas.loop.records import FORMAT, ExperimentRecord, UpdateRecord

RECORDS = [
    ExperimentRecord(name="été"),
    *(UpdateRecord(batch=batch, mean_reward=batch / 7) for batch in range(5)),
]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.jsonl"
    with Journal(path, RECORDS[0]) as journal:
        for record in RECORDS[1:]:
            journal.append(record)
    return path


@pytest.fixture
def lines(path):
    return path.read_bytes().splitlines(keepends=True)


def assert_rejected(path, content, line, text=""):
    """Check that neither reading nor opening accepts the content, and that it is left as it is."""
    path.write_bytes(content)
    for reader in (read, Journal):
        with pytest.raises(UsageError, match=rf"^{path}, line {line}: .*{text}") as caught:
            reader(path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_checksum_covers_the_line_and_the_checksum_before_it(lines):
    previous = b""
    for number, line in enumerate(lines):
        body, _, tail = line.rpartition(b',"sum":')
        digest = hashlib.sha256(previous + body + b"}").hexdigest()
        previous = json.loads(tail[:-2])[:16].encode()
        assert previous.decode() == digest[:16]
        assert json.loads(line)["n"] == number


@pytest.mark.parametrize("index", range(5))
def test_deleted_doubled_and_exchanged_lines_are_rejected(path, lines, index):
    without = [*lines[:index], *lines[index + 1 :]]
    place = f"record {index + 1} in the place of record {index}"
    assert_rejected(path, b"".join(without), index + 1, place if index else "record 1 in|format")
    twice = [*lines[: index + 1], *lines[index:]]
    place = f"record {index} in the place of record {index + 1}"
    assert_rejected(path, b"".join(twice), index + 2, place)
    exchanged = [*lines[:index], lines[index + 1], lines[index], *lines[index + 2 :]]
    assert_rejected(path, b"".join(exchanged), index + 1)


def test_line_of_another_journal_is_rejected(path, lines, tmp_path):
    other = tmp_path / "other.jsonl"
    with Journal(other, ExperimentRecord(name="other")) as journal:
        for record in RECORDS[1:]:
            journal.append(record)
    foreign = other.read_bytes().splitlines(keepends=True)
    content = b"".join([*lines[:3], foreign[3], *lines[4:]])
    assert_rejected(path, content, 4, "the checksum doesn't match: this line or the one before")
    assert_rejected(path, b"".join([*lines[:3], *foreign[3:]]), 4, "the checksum doesn't match")


def test_any_changed_byte_is_rejected(path, lines):
    whole, rng = b"".join(lines), random.Random(0)
    starts = [sum(map(len, lines[:index])) for index in range(len(lines))]
    for position in [*rng.sample(range(len(whole)), 150), *range(len(whole) - 30, len(whole))]:
        changed = bytearray(whole)
        changed[position] ^= 1 << rng.randrange(8)
        line = sum(start <= position for start in starts)
        assert_rejected(path, bytes(changed), line)


def test_edited_field_is_rejected(path, lines):
    edited = lines[2].replace(b'"mean_reward":0.14', b'"mean_reward":0.94')
    assert edited != lines[2]
    for content in ([*lines[:2], edited, *lines[3:]], [*lines[:2], edited]):
        assert_rejected(path, b"".join(content), 3, "checksum doesn't match")


@pytest.mark.parametrize(
    "garbage",
    [b"garbage", b"", b'{"kind": "resu', b"[1, 2]", b'{"trial": 1}', b"\xff\xfe", b"\x00",
     b'{"kind": "update", "batch": 0}', b"[" * 100_000, b'{"n":2,"sum":"0123456789abcdef"}'],
)  # fmt: skip
def test_line_that_is_no_record_is_rejected(path, lines, garbage):
    assert_rejected(path, b"".join([*lines[:2], garbage + b"\n", *lines[2:]]), 3)
    assert_rejected(path, b"".join([*lines[:2], garbage + b"\n"]), 3)
    # The lock is released at once.
    path.write_bytes(b"".join(lines))
    Journal(path).close()


@pytest.mark.parametrize(
    "value",
    [[], {"kind": "update"}, {"kind": "result", "trial": 0}, {"kind": "update", "batch": []}],
)
def test_value_with_a_right_checksum_that_is_no_record_is_rejected(path, lines, value):
    previous = lines[-1][-19:-3]
    body = json.dumps({"n": 6, **value} if isinstance(value, dict) else value).encode()
    body = body.replace(b'"n": ', b'"n":')
    checksum = hashlib.sha256(previous + body).hexdigest()[:16].encode()
    line = body[:-1] + b',"sum":"' + checksum + b'"}\n'
    assert_rejected(path, b"".join([*lines, line]), 7)


def test_torn_last_line_is_dropped_also_where_zeros_follow_it(path, lines):
    whole = b"".join(lines[:-1])
    for torn in (b"", lines[-1][:1], lines[-1][:40], lines[-1][:-1], b'{"kind": "upd'):
        for zeros in (0, 1, 5000):
            path.write_bytes(whole + torn + b"\0" * zeros)
            assert read(path) == RECORDS[:-1]
            with Journal(path) as journal:
                assert journal.records == RECORDS[:-1]
                assert path.read_bytes() == whole
                journal.append(RECORDS[-1])
            assert path.read_bytes() == whole + lines[-1]


def test_zeros_before_a_newline_are_rejected(path, lines):
    assert_rejected(path, b"".join([*lines[:-1], b"\0" * 50 + b"\n"]), 6)
    assert_rejected(path, b"".join([*lines[:3], b"\0" * 50 + b"\n", *lines[4:]]), 4)


def test_file_that_is_no_journal_is_not_overwritten(path):
    assert_rejected(path, b"my notes, in one line", 1, "not the head of a journal: 'my notes, in")
    assert_rejected(path, b"my notes\nin two", 1, f"format None; accepted: '{FORMAT}'")


@pytest.mark.parametrize(
    "first", [{"kind": "experiment"}, {"kind": "experiment", "format": "mnas-journal/9"}, [], 7]
)
def test_another_format_is_rejected(path, first):
    written = first.get("format") if isinstance(first, dict) else None
    text = f"format {written!r}; accepted: '{FORMAT}'"
    assert_rejected(path, json.dumps(first).encode() + b"\n", 1, text)


def test_unwritable_record_leaves_the_file_as_it_was(path, monkeypatch):
    before = path.read_bytes()
    with Journal(path) as journal:

        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with (
            monkeypatch.context() as patch,
            pytest.raises(
                RunFailure, match=r"journal.jsonl can't be written: No space left on device$"
            ),
        ):
            patch.setattr(os, "fsync", full)
            journal.append(UpdateRecord(batch=5, mean_reward=0.0))
        assert path.read_bytes() == before
        journal.append(UpdateRecord(batch=5, mean_reward=1.0))
    assert [record.mean_reward for record in read(path)[-2:]] == [4 / 7, 1.0]


@pytest.mark.parametrize(
    ("name", "cause"),
    [("missing/journal.jsonl", "No such file"), ("x" * 300, "too long")],
)
def test_path_that_cannot_be_written_is_named(tmp_path, name, cause):
    with pytest.raises(UsageError, match=rf"{name} can't be written: .*{cause}"):
        Journal(tmp_path / name)


def test_directories_and_pipes_are_no_journals(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        for reader in (read, Journal, is_begun):
            with pytest.raises(UsageError, match=f"{path} is no regular file; accepted: a journal"):
                reader(path)
