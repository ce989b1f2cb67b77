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


def test_evaluates_every_trial_once_and_answers_repeats_from_the_journal(tmp_path):
    search = build_search(tmp_path / "journal.jsonl")
    drive(search, TableConfig(directory=str(tmp_path)), INLINE)
    repeats = [r for r in search.results.values() if r.duplicate_of is not None]
    attempts = (tmp_path / "attempts").read_text().split()
    assert search.done
    assert sorted(search.results) == list(range(22))
    assert repeats
    assert len(attempts) == len(set(attempts)) == 22 - len(repeats)
    assert len((tmp_path / "builds").read_text().split()) == 1


def test_a_batch_of_nothing_but_repeats(tmp_path):
    """60 trials of 54 networks, one a batch: some batches need no evaluation, the last too."""
    config = {"trials": 60, "batch": 1}
    last_is_a_repeat = False
    for seed in range(20):
        search = build_search(tmp_path / f"{seed}.jsonl", seed=seed, **config)
        inline.run(search, TableConfig(), INLINE)
        assert search.done and len(search.results) == 60
        if search.results[59].duplicate_of is not None:
            last_is_a_repeat = True
            break
    assert last_is_a_repeat


def test_the_seed_decides(tmp_path, reference):
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
def test_failures_are_data(tmp_path, fault, message):
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


def test_too_many_failures_stop_the_search(tmp_path):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=2)
    with pytest.raises(TooManyFailures, match=r"12 of the first 12 .* ValueError: this network"):
        inline.run(search, TableConfig(fault="raise", every=1), INLINE)
    assert sum(isinstance(r, UpdateRecord) for r in read(tmp_path / "journal.jsonl")) == 2


def test_an_evaluator_that_returns_something_else(tmp_path):
    class Odd:
        def build(self):
            return lambda architecture, seed, report=None: 0.5

    search = build_search(tmp_path / "journal.jsonl", trials=3)
    inline.run(search, Odd(), INLINE)
    assert {r.evaluation.error for r in search.results.values()} == {
        "the evaluator returned float, not an Evaluation"
    }


def test_an_engine_whose_library_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(ENGINES, "ray", "no_such_library.engine")
    with pytest.raises(ValueError, match=r"needs no_such_library.* accepted here: inline"):
        drive(build_search(tmp_path / "j"), TableConfig(), EngineConfig(kind="ray"))
