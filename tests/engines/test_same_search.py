"""The whole command with real training: the same search on every engine, and after kill -9.

Slow (minutes): `pytest -m slow`. `tests/engines/test_conformance.py` tests the same properties with
children that do not train.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAGS = "--search.trials 6 --search.batch 3 --evaluator.training.epochs 1"
FLAGS += " --evaluator.data.train-images 128"
ENGINES = {
    "ray-1": "--engine.kind ray --engine.workers 1",
    "ray-2": "--engine.kind ray --engine.workers 2",
    "tune": "--engine.kind tune --engine.workers 2",
}

pytestmark = pytest.mark.slow


def start(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "search.py", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=1200)
    assert process.returncode == 0, errors.decode()


def facts(directory: Path) -> list[dict]:
    """Return the journal without times, with the results of a batch by trial number."""
    records = [json.loads(line) for line in (directory / "journal.jsonl").read_text().splitlines()]
    for record in records:
        for name in ("time", "seconds", "timings", "n", "sum", "provenance"):
            record.pop(name, None)
    batch, ordered = [], []
    for record in records:
        if record["kind"] == "result":
            batch.append(record)
            continue
        ordered += [*sorted(batch, key=lambda result: result["trial"]), record]
        batch = []
    return ordered + batch


@pytest.fixture(scope="module")
def inline(tmp_path_factory) -> list[dict]:
    directory = tmp_path_factory.mktemp("inline") / "run"
    finish(start(*FLAGS.split(), "--engine.kind", "inline", "--out", str(directory)))
    expected = facts(directory)
    results = [record for record in expected if record["kind"] == "result"]
    assert [result["trial"] for result in results] == list(range(6))
    assert all(0 < result["accuracy"] < 1 and result["epochs"] == 1 for result in results)
    return expected


@pytest.mark.parametrize("flags", ENGINES.values(), ids=ENGINES)
def test_the_journal_does_not_depend_on_the_engine(flags, inline, tmp_path):
    finish(start(*FLAGS.split(), *flags.split(), "--out", str(tmp_path / "run")))
    assert facts(tmp_path / "run") == inline


@pytest.mark.parametrize("lines", [3, 6])
def test_a_killed_search_resumes_to_the_same_journal(lines, inline, tmp_path):
    directory = tmp_path / "run"
    journal = directory / "journal.jsonl"
    process = start(*FLAGS.split(), "--out", str(directory))
    deadline = time.monotonic() + 600
    while not (journal.exists() and journal.read_bytes().count(b"\n") >= lines):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert facts(directory) != inline
    finish(start("--resume", str(directory)))
    assert facts(directory) == inline
