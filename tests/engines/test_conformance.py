"""One search over all engines: the same seed gives the same journal."""

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
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search, facts

CONFIGS = [
    EngineConfig(kind="inline"),
    EngineConfig(kind="ray", workers=1),
    EngineConfig(kind="ray", workers=2),
    EngineConfig(kind="tune", workers=2),
]
IDS = ["inline", "ray-1", "ray-2", "tune"]
HERE = Path(__file__).parent


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_same_seed_same_journal(config, tmp_path, reference, local_ray):
    """With children that fail and repeats among them."""
    evaluator = TableConfig(fault="mixed", seconds=0.02)
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=24, batch=8)
    drive(search, evaluator, config)
    results = search.results.values()
    errors = {r.evaluation.error for r in results}
    assert search.done and any(r.duplicate_of is not None for r in results)
    assert errors == {
        None,
        "ValueError: this network does not train",
        "accuracy is not a number: nan",
    }
    assert facts(path) == reference(evaluator, trials=24, batch=8)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_same_children_are_stopped(config, tmp_path, reference, local_ray):
    """Whoever finishes first; the journal has their curves."""
    settings = {"trials": 24, "batch": 8, "stopping": StoppingConfig(0.5, min_curves=6)}
    evaluator = TableConfig(fault="nan", every=6, seconds=0.02)
    search = build_search(tmp_path / "journal.jsonl", **settings)
    drive(search, evaluator, config)
    evaluations = [r.evaluation for r in search.results.values() if r.duplicate_of is None]
    assert {(e.epochs, e.stopped) for e in evaluations if not e.error} >= {(1, True), (3, False)}
    assert all([epoch for epoch, _ in e.history] == [1, 2, 3][: e.epochs] for e in evaluations)
    assert facts(tmp_path / "journal.jsonl") == reference(evaluator, **settings)


@pytest.mark.parametrize("config", CONFIGS[1:], ids=IDS[1:])
def test_continues_the_journal_of_another_engine(config, tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    search = build_search(path, trials=12)
    for _ in range(8):  # into the second batch
        trial = search.ask()
        search.tell(trial, TableConfig().build()(trial.architecture, trial.seed))
    assert search.batches_done == 1
    search.journal.close()
    drive(build_search(path, trials=12), TableConfig(), config)
    assert facts(path) == reference(trials=12)


@pytest.mark.parametrize("kind", ["inline", "ray"])
def test_kill_9_and_resume(kind, tmp_path, reference):
    """Killed twice, and a torn last line: fact for fact as if nothing had happened."""
    if kind == "ray":
        pytest.importorskip("ray")
    path = tmp_path / "journal.jsonl"
    for lines in (4, 13):
        _drive(kind, path, kill_at=lines)
        assert facts(path) != reference()
    with open(path, "ab") as file:
        file.write(b'{"kind":"result","trial":9,"hash":"86f')
    _drive(kind, path)
    assert facts(path) == reference()


def _drive(kind, path, kill_at=None):
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
    environment = {**os.environ, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "drive.py"), kind, str(path)],
        env=environment,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 100
    try:
        while kill_at is not None and process.poll() is None:
            assert time.monotonic() < deadline
            if path.exists() and path.read_bytes().count(b"\n") >= kill_at:
                process.kill()
            time.sleep(0.005)
        _, errors = process.communicate(timeout=100)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == (0 if kill_at is None else -signal.SIGKILL), errors.decode()
