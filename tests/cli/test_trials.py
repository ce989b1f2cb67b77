"""`mnas trials` and `mnas front` on a finished run."""

import csv
import io
import json

import pytest

from mnas.__main__ import main
from mnas.analysis.front import non_dominated
from mnas.evaluation import Evaluation, failure
from mnas.experiment.results import load_run
from mnas.experiment.trials import COLUMNS, status, trial_rows
from mnas.loop.config import SearchConfig
from mnas.loop.journal import Journal
from mnas.loop.search import Search
from mnas.reward import RewardConfig
from tests.cli.commands import assert_one_line


def printed(capsys, *words):
    assert main(list(words)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_table_has_every_trial_and_says_that_accuracies_are_predicted(finished, capsys):
    lines = printed(capsys, "trials", str(finished)).splitlines()
    assert lines[0].split() == [
        *("trial", "reward", "predicted", "mult-adds", "params", "seconds", "status")
    ]
    assert [line.split()[0] for line in lines[1:13]] == [f"{n}" for n in range(12)]
    assert lines[13:] == ["12 of 12 trials: 12 complete"]


def test_rows_are_sorted_filtered_and_cut(finished, capsys):
    words = ["--sort", "reward", "--where", "mult_adds<=400M", "--top", "3"]
    result = json.loads(printed(capsys, "trials", str(finished), *words, "--json"))
    expected = [r for r in load_run(finished).results if r.mult_adds <= 400e6]
    expected = sorted(expected, key=lambda result: -result.reward)[:3]
    assert [row["trial"] for row in result["rows"]] == [r.trial for r in expected]
    assert result["trials"] == 12


def test_csv_holds_the_values_of_the_journal(finished, capsys):
    text = printed(capsys, "trials", str(finished), "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 12
    for row, result in zip(rows, load_run(finished).results, strict=True):
        assert row["remeasured"] == row["remeasured_reward"] == ""
        assert float(row["reward"]) == result.reward and int(row["mult_adds"]) == result.mult_adds
        assert row["error"] == row["latency_ms"] == "" and row["status"] == "complete"
    # The blocks are a SPEC of other commands.
    cost = json.loads(printed(capsys, "cost", rows[3]["blocks"], "--json"))
    assert cost["mult_adds"] == int(rows[3]["mult_adds"])


def test_columns_are_those_that_are_named(finished, capsys):
    words = ["trials", str(finished), "--columns", "hash", "mult-adds", "--top", "1"]
    first, _ = load_run(finished).results[:2]
    assert printed(capsys, *words, "--csv") == f"hash,mult_adds\n{first.hash},{first.mult_adds}\n"
    assert printed(capsys, *words).splitlines()[1].split() == [
        *(first.hash, f"{first.mult_adds:,}")
    ]


@pytest.fixture
def journal(tmp_path):
    """Journal of a search in Python with a failure, duplicates and a stopped child."""
    from mnas.controllers.random_search import RandomSearch
    from mnas.search_spaces.efficientnet import EfficientNetSpace

    outcomes = {
        1: failure("MemoryError: 5 bytes [/b]"),
        2: Evaluation(0.9, latency_ms=2.0, epochs=1, history=((1, 0.9),), stopped=True),
    }
    space = EfficientNetSpace(resolution=32).build()
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        config = SearchConfig(trials=6, batch=2, failed_batches=0)
        search = Search(
            space, RandomSearch().build(space), RewardConfig(target_madds=1e7), config, journal
        )
        while (trial := search.ask()) is not None:
            default = Evaluation(0.5 + trial.number / 100, latency_ms=1.0 + trial.number)
            search.tell(trial, outcomes.get(trial.number, default))
    return path


def test_failures_are_shown_with_their_cause(journal, capsys):
    lines = printed(capsys, "trials", str(journal)).splitlines()
    assert lines[0].split()[2] == "accuracy" and " ms " in lines[0]
    assert max(map(len, lines)) <= 80
    (failed,) = [line for line in lines if line.startswith("1 ")]
    assert failed.endswith("failed") and " - " in failed
    assert lines[-2:] == [
        "6 of 6 trials: 4 complete, 1 failed, 1 stopped",
        "failed 1, first trial 1: MemoryError: 5 bytes [/b]",
    ]
    assert [row["status"] for row in trial_rows(load_run(journal).results)][:3] == [
        *("complete", "failed", "stopped")
    ]


def test_front_holds_the_trials_that_none_dominates(finished, capsys):
    results = load_run(finished).results
    index = non_dominated([r.mult_adds for r in results], [r.accuracy for r in results])
    found = json.loads(printed(capsys, "front", str(finished), "--json"))
    assert [row["trial"] for row in found["front"]] == [results[i].trial for i in index]
    assert found["cost"] == "mult_adds" and 0 < found["hypervolume"] <= 1
    lines = printed(capsys, "front", str(finished)).splitlines()
    assert lines[0].split()[:2] == ["trial", "predicted"]
    assert f"{len(index)} of 12 networks are not dominated; hypervolume" in lines[-1]
    text = printed(capsys, "front", str(finished), "--csv")
    assert [int(row["trial"]) for row in csv.DictReader(io.StringIO(text))] == [
        results[i].trial for i in index
    ]


def test_front_of_another_cost_leaves_out_what_was_not_trained_to_its_end(journal, capsys):
    found = json.loads(printed(capsys, "front", str(journal), "--cost", "latency_ms", "--json"))
    assert found["trials"] == 4
    assert [row["trial"] for row in found["front"]] == [0, 3, 4, 5]
    complete = [r for r in load_run(journal).results if status(r) == "complete"]
    assert len(complete) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trials", "{run}", "--sort", "size"], "unknown column 'size'"),
        (["trials", "{run}", "--csv", "--json"], "both --csv and --json"),
        (["trials", "{run}", "--top", "0"], "top = 0"),
        (["trials", "{run}", "--where", "x"], "is no condition"),
        (["trials", "nowhere"], "nowhere holds no run"),
        (["front", "{run}", "--cost", "latency_ms"], "no trial with accuracy and latency_ms"),
        (["front", "{run}", "--cost", "size"], "size"),
    ],
)
def test_mistakes_are_one_line(words, expected, finished, capsys):
    assert main([word.format(run=finished) for word in words]) == 2
    assert_one_line(capsys, f"mnas {words[0]}: ", expected)
