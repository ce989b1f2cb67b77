"""A Ray cluster of which one machine leaves. Slow: each test starts three raylets."""

import subprocess
import sys
from pathlib import Path

import pytest

from mnas.loop.journal import read
from mnas.loop.records import ResultRecord
from tests.engines.evaluators import notes
from tests.engines.searches import facts

pytestmark = pytest.mark.slow
pytest.importorskip("ray")
ROOT = Path(__file__).parents[2]


def search_on_cluster(loss: str, retries: int, directory: Path) -> list[ResultRecord]:
    """Return the results of a search whose second machine is lost (`cluster_process`)."""
    program = [sys.executable, "-m", "tests.engines.cluster_process"]
    subprocess.run([*program, loss, str(retries), str(directory)], cwd=ROOT, check=True)
    records = read(directory / "journal.jsonl")
    return [record for record in records if isinstance(record, ResultRecord)]


def test_the_child_of_a_machine_that_leaves_is_evaluated_on_another(tmp_path, reference):
    results = search_on_cluster("killed", 1, tmp_path)
    assert facts(tmp_path / "journal.jsonl") == reference()
    networks = {record.hash for record in results}
    attempts = notes(tmp_path, "attempts")
    assert set(attempts) == networks and len(attempts) == len(networks) + 1


@pytest.mark.parametrize(
    ("loss", "cause"),
    [
        ("killed", "worker lost: its machine, or its process, does not answer"),
        ("silent", "worker lost: its machine left the cluster"),
    ],
)
def test_without_retries_the_cause_is_recorded_and_never_rewarded(loss, cause, tmp_path):
    results = search_on_cluster(loss, 0, tmp_path)
    failed = [record for record in results if record.error is not None]
    assert {record.error for record in failed} == {cause}
    assert len({record.hash for record in failed}) == 1  # and its duplicates
    assert all(record.reward == 0 and record.accuracy is None for record in failed)
    assert len(results) == 22
