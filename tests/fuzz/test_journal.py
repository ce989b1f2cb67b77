"""A damaged journal is rejected by its line, or read as it was written."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnas.experiment.results import Run
from mnas.loop.journal import Journal
from mnas.loop.journal import read as read_journal
from mnas.loop.records import RemeasuredRecord, RemeasureRecord, UpdateRecord, to_json
from tests.fuzz.contract import Quiet, read
from tests.fuzz.strategies import ODD_FILES, edited_bytes, edited_json, edited_lines, edited_text
from tests.runs import head, proposals, result, settings


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """A journal of two batches and of further measurements, and its content."""
    path = tmp_path_factory.mktemp("fuzz") / "journal.jsonl"
    with Journal(path, head(provenance={})) as journal:
        for batch in range(2):
            trials = [2 * batch, 2 * batch + 1]
            proposed = proposals([[0, trial] for trial in trials], trials[0], batch)
            journal.append(dataclasses.replace(proposed, time=1.0))
            for trial in trials:
                journal.append(result(trial, reward=0.25 * trial, time=1.0, history=((1, 0.5),)))
            journal.append(UpdateRecord(batch=batch, mean_reward=0.5, time=1.0))
        round_ = {"selection": "measured", "top": 2, "seeds": 1, "results": 4, "trials": (3, 2)}
        journal.append(RemeasureRecord(**round_, time=1.0))
        for trial in (2, 3):
            measured = {"trial": trial, "number": 0, "seed": 1, "reward": 0.5, "accuracy": 0.5}
            journal.append(RemeasuredRecord(**measured, time=1.0))
    return Quiet((path, path.read_bytes(), read_journal(path)))


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
    """The journal then holds the records that were read, line for line."""
    path, valid, records = journal
    path.write_bytes(data.draw(st.one_of(edited_lines(valid), edited_bytes(valid))))

    def opened():
        with Journal(path) as journal:
            return journal.records

    found = read(opened, path)
    if found is not None:
        assert read_journal(path) == found
        assert found == records[: len(found)] or len(found) == 1  # a new head


def sealed(records) -> bytes:
    """Return the lines of JSON records, numbered and with checksums as the journal's own."""
    lines, checksum = [], ""
    for number, record in enumerate(records):
        body = json.dumps({"n": number, **record}, separators=(",", ":"))
        checksum = hashlib.sha256((checksum + body).encode()).hexdigest()[:16]
        lines.append(f'{body[:-1]},"sum":"{checksum}"}}\n')
    return "".join(lines).encode()


def unsealed(content: bytes) -> list[dict]:
    records = [json.loads(line) for line in content.splitlines()]
    return [{k: v for k, v in data.items() if k not in ("n", "sum")} for data in records]


def test_sealed_records_are_a_journal(journal):
    path, valid, records = journal
    assert sealed(unsealed(valid)) == valid
    path.write_bytes(valid)
    assert read_journal(path) == records


@given(data=st.data())
def test_journal_of_another_program(journal, data):
    """Its checksums are right; its values are any. Readers of runs raise nothing else either."""
    path, valid, _ = journal
    lines = unsealed(valid)
    index = data.draw(st.integers(0, len(lines) - 1))
    value = data.draw(edited_json(lines[index]))
    if not isinstance(value, dict):
        return
    path.write_bytes(sealed([*lines[:index], value, *lines[index + 1 :]]))
    records = read(lambda: read_journal(path), path)
    if records is None:
        return
    found = to_json(records[index])
    for key, given_value in value.items():
        if isinstance(given_value, int | float | str | bool):
            if isinstance(found[key], float):  # the nearest one of an int
                given_value = float(given_value)
            assert found[key] == given_value, key

    def viewed():
        for selection in ("measured", "model"):
            run = Run.of(path.parent, settings(selection=selection), records)
            assert run.ranked or run.spec is None
        return run.spec

    read(viewed, "")
