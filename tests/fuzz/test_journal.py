"""A damaged journal is rejected by its line, or read as it was written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.loop.journal import Journal
from mnas.loop.journal import read as read_journal
from mnas.loop.records import UpdateRecord
from tests.fuzz.contract import read
from tests.fuzz.strategies import ODD_FILES, edited_bytes, edited_json, edited_lines, edited_text
from tests.runs import head, proposals, result


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A journal of two batches, and its content."""
    path = tmp_path_factory.mktemp("fuzz") / "journal.jsonl"
    with Journal(path, head()) as journal:
        for batch in range(2):
            trials = [2 * batch, 2 * batch + 1]
            journal.append(proposals([[0, trial] for trial in trials], trials[0], batch))
            for trial in trials:
                journal.append(result(trial, reward=0.25 * trial, time=1.0, history=((1, 0.5),)))
            journal.append(UpdateRecord(batch=batch, mean_reward=0.5, mean_log_prob=None))
    return path, path.read_bytes(), read_journal(path)


def edited_record(valid):
    """Journals of which one line has other values."""
    lines = valid.splitlines()

    def with_line(index):
        def put(value):
            line = json.dumps(value, separators=(",", ":")).encode()
            return b"\n".join([*lines[:index], line, *lines[index + 1 :], b""])

        return edited_json(json.loads(lines[index])).map(put)

    return st.integers(0, len(lines) - 1).flatmap(with_line)


@given(data=st.data())
def test_journal(journal, data):
    path, valid, records = journal
    content = data.draw(
        st.one_of(
            edited_record(valid),
            edited_lines(valid),
            edited_bytes(valid),
            edited_text(valid.decode()).map(lambda text: text.encode(errors="surrogatepass")),
            st.sampled_from(ODD_FILES),
        )
    )
    path.write_bytes(content)
    found = read(lambda: read_journal(path), path)
    # A last line that was being written when the machine died is dropped.
    assert found is None or found == records[: len(found)], "another content was read"
    if found is not None and len(found) < len(records):
        assert valid.startswith(content[: content.rfind(b"\n") + 1])


@given(data=st.data())
def test_journal_opened_for_writing(journal, data):
    """What it then holds is what was read, line for line."""
    path, valid, records = journal
    path.write_bytes(data.draw(st.one_of(edited_lines(valid), edited_bytes(valid))))

    def opened():
        with Journal(path) as journal:
            return journal.records

    found = read(opened, path)
    if found is not None:
        assert read_journal(path) == found
        assert found == records[: len(found)] or len(found) == 1  # a new head
