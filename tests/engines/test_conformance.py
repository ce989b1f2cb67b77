"""Conformance of engines: the same seed gives the same journal on each of them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.loop.early_stopping import StoppingConfig
from mnas.loop.journal import read
from mnas.loop.remeasuring import Remeasuring
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search, facts

CONFIGS = [
    EngineConfig(kind="inline"),
    EngineConfig(kind="ray", workers=1),
    EngineConfig(kind="ray", workers=2),
    EngineConfig(kind="tune", workers=2),
]
IDS = ["inline", "ray-1", "ray-2", "tune"]
ROOT = Path(__file__).parents[2]
REMEASURE = {"trials": 8, "batch": 8, "remeasure": 3, "remeasure_seeds": 2}


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_the_journal_does_not_depend_on_the_engine(config, tmp_path, reference, local_ray):
    """Failed children and duplicates included."""
    evaluator = TableConfig(fault="mixed", seconds=0.02)
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=20, batch=10)
    drive(search, evaluator, config)
    results = search.results.values()
    errors = {r.evaluation.error for r in results}
    assert search.done and any(r.duplicate_of is not None for r in results)
    assert errors == {
        None,
        "ValueError: this network does not train",
        "accuracy is not a number: nan",
    }
    assert facts(path) == reference(evaluator, trials=20, batch=10)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_early_stopping_does_not_depend_on_the_engine(config, tmp_path, reference, local_ray):
    """Nor do the accuracies per epoch in the journal."""
    settings = {"trials": 12, "batch": 6, "stopping": StoppingConfig(0.5, min_curves=4)}
    evaluator = TableConfig(fault="nan", every=6, seconds=0.02)
    search = build_search(tmp_path / "journal.jsonl", **settings)
    drive(search, evaluator, config)
    evaluations = [r.evaluation for r in search.results.values() if r.duplicate_of is None]
    assert {(e.epochs, e.stopped) for e in evaluations if not e.error} >= {(1, True), (3, False)}
    assert all([epoch for epoch, _ in e.history] == [1, 2, 3][: e.epochs] for e in evaluations)
    assert facts(tmp_path / "journal.jsonl") == reference(evaluator, **settings)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_further_measurements_do_not_depend_on_the_engine(config, tmp_path, reference, local_ray):
    """Failed ones included."""
    evaluator = TableConfig(fault="mixed", every=3, seconds=0.02)
    path = tmp_path / "journal.jsonl"
    source = Remeasuring(build_search(path, **REMEASURE))
    drive(source, evaluator, config)
    counted = source.search.rounds.counted()
    assert source.done and len(counted) == 6 and len({record.seed for record in counted}) == 6
    assert len({record.accuracy for record in counted}) > 3
    assert facts(path) == reference(evaluator, **REMEASURE)


@pytest.mark.parametrize("config", CONFIGS[1:], ids=IDS[1:])
def test_a_journal_is_resumed_on_another_engine(config, tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=12)
    for _ in range(8):  # into the second batch
        trial = search.ask()
        search.tell(trial, TableConfig().build()(trial.architecture, trial.seed))
    assert search.batches_done == 1
    search.journal.close()
    drive(build_search(path, trials=12), TableConfig(), config)
    assert facts(path) == reference(trials=12)


@pytest.mark.parametrize(("kind", "kills"), [("inline", (4, 13)), ("ray", (4, 13))])
def test_a_killed_search_resumes_to_the_same_journal(kind, kills, tmp_path, reference, local_ray):
    """Killed after some lines of the journal; the last time within a line."""
    path, expected = tmp_path / "journal.jsonl", reference()
    for lines in kills:
        kill_search(kind, path, lines)
        assert facts(path) != expected
    with open(path, "ab") as file:
        file.write(b'{"kind":"result","trial":9,"hash":"86f')
    drive(build_search(path), TableConfig(), EngineConfig(kind=kind))
    assert facts(path) == expected


@pytest.mark.parametrize("kind", ["inline", "ray"])
def test_a_search_killed_among_further_measurements_resumes_to_the_same_journal(
    kind, tmp_path, reference, local_ray
):
    path, expected = tmp_path / "journal.jsonl", reference(**REMEASURE)
    kill_search(kind, path, len(expected) - 5, REMEASURE)
    kinds = [record.kind for record in read(path)]
    assert "remeasure" in kinds and kinds.count("remeasured") < 6
    with open(path, "ab") as file:
        file.write(b'{"kind":"remeasured","trial":9,"number":')
    drive(Remeasuring(build_search(path, **REMEASURE)), TableConfig(), EngineConfig(kind=kind))
    assert facts(path) == expected


def kill_search(kind: str, path: Path, lines: int, settings: dict[str, int] | None = None) -> None:
    """Run a search in a process of its own until its journal has some lines, and kill it."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.engines.search_process"),
            *(kind, str(path), json.dumps(settings or {})),
        ],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    try:
        while process.poll() is None:
            assert time.monotonic() < deadline
            if path.exists() and path.read_bytes().count(b"\n") >= lines:
                process.kill()
            time.sleep(0.005)
        _, errors = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == -signal.SIGKILL, errors.decode()
