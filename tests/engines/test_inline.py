import pytest

from mnas.engines import inline
from mnas.engines.config import EngineConfig
from mnas.engines.drive import ENGINES, drive
from mnas.loop.journal import read
from mnas.loop.records import UpdateRecord
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig
from tests.engines.searches import build_search, facts

INLINE = EngineConfig(kind="inline")


def test_each_network_is_evaluated_once_and_duplicates_are_not(tmp_path):
    search = build_search(tmp_path / "journal.jsonl")
    drive(search, TableConfig(directory=str(tmp_path)), INLINE)
    duplicates = [r for r in search.results.values() if r.duplicate_of is not None]
    attempts = (tmp_path / "attempts").read_text().split()
    assert search.done
    assert sorted(search.results) == list(range(22))
    assert duplicates
    assert len(attempts) == len(set(attempts)) == 22 - len(duplicates)
    assert len((tmp_path / "builds").read_text().split()) == 1


def test_search_ends_when_the_last_batch_holds_duplicates_only(tmp_path):
    """60 trials of 54 networks in batches of 1: some batches need no evaluation."""
    config = {"trials": 60, "batch": 1}
    last_is_duplicate = False
    for seed in range(20):
        search = build_search(tmp_path / f"{seed}.jsonl", seed=seed, **config)
        inline.run(search, TableConfig(), INLINE)
        assert search.done and len(search.results) == 60
        if search.results[59].duplicate_of is not None:
            last_is_duplicate = True
            break
    assert last_is_duplicate


def test_another_seed_gives_another_journal(tmp_path, reference):
    first = reference()
    other = build_search(tmp_path / "other.jsonl", seed=1)
    inline.run(other, TableConfig(), INLINE)
    assert facts(tmp_path / "other.jsonl") != first


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raise", "ValueError: this network does not train"),
        ("nan", "accuracy is not a number: nan"),
    ],
)
def test_a_failed_child_is_recorded_with_its_error_and_the_failed_reward(tmp_path, fault, message):
    evaluator = TableConfig(fault=fault)
    search = build_search(tmp_path / "journal.jsonl", failed_reward=-1.0)
    inline.run(search, evaluator, INLINE)
    failed = {n for n, r in search.results.items() if r.evaluation.error is not None}
    assert failed == {
        n for n, r in search.results.items() if evaluator.faulty(r.trial.architecture)
    }
    assert failed and len(failed) < 22
    assert {search.results[n].evaluation.error for n in failed} == {message}
    assert {search.results[n].reward for n in failed} == {-1.0}
    assert search.best.trial.number not in failed


def test_too_many_failures_end_the_search(tmp_path):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=2)
    with pytest.raises(TooManyFailures, match=r"12 of the first 12 .* ValueError: this network"):
        inline.run(search, TableConfig(fault="raise", every=1), INLINE)
    assert sum(isinstance(r, UpdateRecord) for r in read(tmp_path / "journal.jsonl")) == 2


def test_a_result_that_is_no_evaluation_is_a_failure(tmp_path):
    class ReturnsFloat:
        def build(self):
            return lambda architecture, seed, report=None: 0.5

    search = build_search(tmp_path / "journal.jsonl", trials=3)
    inline.run(search, ReturnsFloat(), INLINE)
    assert {r.evaluation.error for r in search.results.values()} == {
        "the evaluator returned float, not an Evaluation"
    }


def test_a_missing_library_of_an_engine_is_a_usage_error(tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "ray", "no_such_library.engine")
    with pytest.raises(ValueError, match=r"needs no_such_library.* accepted here: inline"):
        drive(build_search(tmp_path / "j"), TableConfig(), EngineConfig(kind="ray"))
