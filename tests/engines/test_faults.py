"""Failures of children: recorded with their cause, never rewarded, and the search goes on."""

import pytest

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.loop.journal import read
from mnas.loop.records import ResultRecord
from mnas.reports.failures import failure_rows
from tests.engines.evaluators import FAULTS, TableConfig, notes
from tests.engines.searches import build_search

LOST = "worker lost: its process "
# What is recorded begins with this.
CAUSES = {
    "memory": "MemoryError: cannot allocate 4 TiB",
    "exit-status": "SystemExit: 3",
    "end": f"{LOST}was killed, or ended by os._exit",
    "segmentation": f"{LOST}was ended by SIGSEGV",
    "killed": f"{LOST}was killed, or ended by os._exit",
    "terminated": f"{LOST}was ended by SIGTERM",
    "hang": "time limit of 3 s exceeded",
    "not-a-number": "accuracy is not a number: nan",
    "no-evaluation": "the evaluator returned dict, not an Evaluation",
    "unpicklable": "evaluation: epochs = 2.5; accepted: a whole number",
    "interrupt": "TaskCancelledError",
}


def test_60_children_with_every_fault_on_ray(tmp_path, local_ray):
    evaluator = TableConfig(fault="all", every=2, directory=str(tmp_path))
    filters = tuple(range(8, 144, 8))
    search = build_search(tmp_path / "journal.jsonl", filters, trials=60, batch=12)
    config = EngineConfig(kind="ray", workers=2, retries=0, time_limit_seconds=3, pin=False)
    drive(search, evaluator, config)
    assert search.done and len(search.results) == 60
    seen = set()
    for result in search.results.values():
        architecture, error = result.trial.architecture, result.evaluation.error
        if not evaluator.faulty(architecture):
            assert error is None and result.reward > 0
            continue
        fault = evaluator.fault_of(architecture)
        assert error.startswith(CAUSES[fault])
        assert result.reward == 0 and result.trial.number != search.best.trial.number
        if result.duplicate_of is None:
            assert notes(tmp_path, "attempts").count(result.trial.hash) == 1
        seen.add(fault)
    assert seen == set(FAULTS)
    records = read(tmp_path / "journal.jsonl")
    rows = failure_rows([record for record in records if isinstance(record, ResultRecord)])
    causes = [cause for cause, *_ in rows]
    missing = [start for start in CAUSES.values() if not any(start in cause for cause in causes)]
    assert missing == []


@pytest.mark.parametrize(
    "fault", ["memory", "exit-status", "not-a-number", "no-evaluation", "unpicklable"]
)
def test_a_fault_that_leaves_the_process_alive_is_recorded_inline(fault, tmp_path):
    evaluator = TableConfig(fault=fault, every=3)
    search = build_search(tmp_path / "journal.jsonl", trials=8)
    drive(search, evaluator, EngineConfig(kind="inline"))
    failed = [r for r in search.results.values() if evaluator.faulty(r.trial.architecture)]
    assert search.done and failed
    assert all(r.evaluation.error.startswith(CAUSES[fault]) for r in failed)
    assert all(r.reward == 0 for r in failed)
