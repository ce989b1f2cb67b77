"""Studies: the searches that run, their outcomes, continuing an interrupted study."""

import fcntl
import os

import pytest

from mnas.errors import UsageError
from mnas.experiment.study import drive
from tests.registered import STUDIES
from tests.runs import result
from tests.studies import SMALL, outcome


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return directory, drive(SMALL, directory, workers=1)


def hashes(outcomes):
    return [[result.hash for result in outcome.results] for outcome in outcomes]


def test_every_variant_runs_with_every_seed(finished):
    directory, outcomes = finished
    assert [(o.variant, o.seed) for o in outcomes] == [
        ("exact", 0), ("noisy", 0), ("exact", 1), ("noisy", 1)
    ]  # fmt: skip
    for o in outcomes:
        assert [result.trial for result in o.results] == list(range(8))
        assert o.run.directory == directory / o.variant / f"seed-{o.seed}"
        assert {"experiment.json", "journal.jsonl", "best.json"} <= {
            path.name for path in o.run.directory.iterdir()
        }
    # Random search samples the same networks with and without noise, others with another seed.
    first, noisy, second, second_noisy = hashes(outcomes)
    assert first == noisy != second == second_noisy


def test_best_is_the_result_that_the_search_would_have_exported():
    failed = {"error": "lost", "accuracy": None}
    seen = outcome([result(0, 0.1), result(1, 0.3), result(2, 0.3), result(3, 0.9, **failed)])
    assert [seen.best(samples).trial for samples in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert outcome([result(0, 0.0, **failed)]).best(1) is None


def test_stopped_children_are_exported_only_without_complete_ones():
    seen = outcome([result(0, 0.9, stopped=True), result(1, 0.4), result(2, 0.8, stopped=True)])
    assert [seen.best(samples).trial for samples in (1, 2, 3)] == [0, 1, 1]


def test_best_follows_the_selection_of_the_search():
    """The model prefers nine good networks around (1, 1) to a lucky one far from them."""
    good = [((1, 1, a, b), 0.6) for a in range(3) for b in range(3)]
    bad = [((0, 0, a, b), 0.4) for a in range(3) for b in range(3) if a or b]
    lucky = ((0, 0, 0, 0), 0.61)
    decisions, rewards = zip(*good, *bad, lucky, strict=True)
    results = [result(trial, reward) for trial, reward in enumerate(rewards)]
    assert outcome(results, decisions).best(99).trial == len(results) - 1
    best = outcome(results, decisions, selection="model").best(99)
    assert decisions[best.trial][:2] == (1, 1)


def test_parallel_searches_equal_sequential_ones(finished, tmp_path):
    _, outcomes = finished
    parallel = drive(SMALL, tmp_path, workers=2)
    assert hashes(parallel) == hashes(outcomes)
    rewards = [[result.reward for result in o.results] for o in outcomes]
    assert [[result.reward for result in o.results] for o in parallel] == rewards


def test_interrupted_study_continues_where_it_was(finished, tmp_path):
    whole, outcomes = finished
    seen = []

    def interrupt(variant, seed):
        seen.append((variant, seed))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(SMALL, tmp_path, workers=1, done=interrupt)
    # The third search was killed after its third result.
    partial = tmp_path / "exact" / "seed-1"
    assert not partial.exists()
    partial.mkdir()
    source = whole / "exact" / "seed-1"
    (partial / "experiment.json").write_bytes((source / "experiment.json").read_bytes())
    lines = (source / "journal.jsonl").read_text().splitlines(keepends=True)
    (partial / "journal.jsonl").write_text("".join(lines[:5]))
    before = (tmp_path / "exact" / "seed-0" / "journal.jsonl").read_bytes()
    again = drive(SMALL, tmp_path, workers=1)
    assert (tmp_path / "exact" / "seed-0" / "journal.jsonl").read_bytes() == before
    assert hashes(again) == hashes(outcomes)


def test_a_study_that_another_process_runs_is_rejected_before_anything_is_done(tmp_path):
    done = []
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # of another open file, as in another process
        with pytest.raises(UsageError, match=r"another process is running this study$"):
            drive(SMALL, tmp_path, workers=1, done=lambda *finished: done.append(finished))
    finally:
        os.close(descriptor)
    assert done == [] and list(tmp_path.iterdir()) == []


def test_resized_study_has_other_seeds_trials_and_marks():
    longer = STUDIES["ablate-controller"].resized(seeds=3, trials=600)
    assert (longer.seeds, longer.trials, longer.marks) == (3, 600, (250, 500, 600))
    assert all(variant.search.trials == 600 for variant in longer.variants.values())
    assert longer.variants["evolution, batch 1"].search.batch == 1
