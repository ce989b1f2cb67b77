"""Studies: what is run, what stands in the table, that a stopped one goes on."""

import csv
import dataclasses
import json

import pytest

from mnas.__main__ import main
from mnas.analysis.study_table import rows, summaries, write_csv
from mnas.controllers.random_search import RandomSearch
from mnas.evaluation import Evaluation
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.study import Outcome, Study, drive
from mnas.experiments import b0_imagenet
from mnas.loop.config import SearchConfig
from mnas.reports.study_report import summary_table, write_study_report
from tests.registered import EXPERIMENTS, STUDIES, register

RANDOM = dataclasses.replace(
    b0_imagenet.EXPERIMENT,
    controller=RandomSearch(),
    evaluator=SurrogateConfig(fit="ridge"),
    search=SearchConfig(trials=8, batch=4),
)
NOISY = dataclasses.replace(RANDOM, evaluator=NoisyConfig(RANDOM.evaluator, 5.0))
SMALL = Study(
    name="small",
    variants={"exact": RANDOM, "noisy": NOISY},
    seeds=2,
    marks=(4, 8),
    judge=SurrogateConfig(fit="ridge"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("study")
    return directory, drive(SMALL, directory, workers=1)


def result(trial, reward, **changes):
    record = {"trial": trial, "decisions": (trial,), "reward": reward, "error": None}
    record |= {"mult_adds": 400e6, "params": 5, "duplicate_of": None, "accuracy": 0.5}
    return record | changes


def outcome(results, seed=0, variant="exact"):
    experiment = dataclasses.replace(RANDOM, search=dataclasses.replace(RANDOM.search, seed=seed))
    return Outcome(variant, experiment, None, tuple(results))


def test_every_variant_runs_with_every_seed(finished):
    directory, outcomes = finished
    assert [(o.variant, o.seed) for o in outcomes] == [
        ("exact", 0), ("noisy", 0), ("exact", 1), ("noisy", 1)
    ]  # fmt: skip
    for o in outcomes:
        assert [r["trial"] for r in o.results] == list(range(8))
        assert o.directory == directory / o.variant / f"seed-{o.seed}"
        assert {"experiment.json", "journal.jsonl", "best.json"} <= {
            path.name for path in o.directory.iterdir()
        }
    # Random search samples the same networks whatever the noise, others for another seed.
    hashes = [[r["hash"] for r in o.results] for o in outcomes]
    assert hashes[0] == hashes[1] != hashes[2] == hashes[3]


def test_best_is_what_the_search_would_have_exported():
    seen = outcome([result(0, 0.1), result(1, 0.3), result(2, 0.3), result(3, 0.9, error="lost")])
    assert [seen.best(n)["trial"] for n in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert outcome([result(0, 0.0, error="lost")]).best(1) is None


def test_what_was_stopped_early_is_not_exported():
    results = [
        result(trial, reward, stopped=stopped)
        for trial, (reward, stopped) in enumerate([(0.9, True), (0.4, False), (0.8, True)])
    ]
    seen = outcome(results)
    assert [seen.best(samples)["trial"] for samples in (1, 2, 3)] == [0, 1, 1]


def test_the_choice_of_the_search_decides():
    """Nine networks around (1, 1), a lucky one apart: the model trusts the nine."""
    good = [((1, 1, a, b), 0.6) for a in range(3) for b in range(3)]
    bad = [((0, 0, a, b), 0.4) for a in range(3) for b in range(3) if a or b]
    lucky = ((0, 0, 0, 0), 0.61)
    results = [
        result(trial, reward, decisions=decisions)
        for trial, (decisions, reward) in enumerate([*good, *bad, lucky])
    ]
    assert outcome(results).best(99)["trial"] == len(results) - 1
    seen = outcome(results)
    search = dataclasses.replace(seen.experiment.search, selection="model")
    seen = dataclasses.replace(seen, experiment=dataclasses.replace(seen.experiment, search=search))
    assert seen.best(99)["decisions"][:2] == (1, 1)


def test_rows_by_hand():
    """Without a judge: the search's own accuracy, at the experiment's reward (cost at target)."""
    study = dataclasses.replace(SMALL, judge=None, marks=(1, 3))
    found = rows(
        study,
        [outcome([result(0, 0.4, accuracy=0.4), result(1, 0.4, duplicate_of=0), result(2, 0.6)])],
    )
    assert [(row.samples, row.trial, row.reward, row.judged_reward, row.networks) for row in found]
    assert (found[0].samples, found[0].judged_reward, found[0].networks) == (1, 0.4, 1)
    assert (found[1].trial, found[1].reward, found[1].networks) == (2, 0.6, 2)
    assert found[1].judged_reward == 0.5  # accuracy 0.5, 400M mult-adds against 400M


def test_noise_is_judged_without_it(finished):
    _, outcomes = finished
    found = {(row.variant, row.seed, row.samples): row for row in rows(SMALL, outcomes)}
    assert len(found) == 8
    for seed in (0, 1):
        exact, noisy = found["exact", seed, 8], found["noisy", seed, 8]
        assert exact.reward == pytest.approx(exact.judged_reward, abs=1e-12)
        assert abs(noisy.reward - noisy.judged_reward) > 1e-3
        # The judge sees the truth, of which the exact search exported the best of the very same 8.
        assert noisy.judged_reward <= exact.judged_reward + 1e-12


def test_summaries_by_hand():
    row = rows(dataclasses.replace(SMALL, judge=None, marks=(1,)), [outcome([result(0, 0.4)])])[0]
    rewards = (0.60, 0.64, 0.65)
    some = [dataclasses.replace(row, seed=i, judged_reward=r) for i, r in enumerate(rewards)]
    (summary,) = summaries(some)
    assert (summary.seeds, summary.reward_worst) == (3, 0.60)
    assert summary.reward == pytest.approx(0.63)
    # Deviations -0.03, 0.01, 0.02: variance 0.0014 / 2.
    assert summary.reward_std == pytest.approx(0.0007**0.5)
    assert summaries(some[:1])[0].reward_std == 0.0


def test_files_and_table(finished, tmp_path):
    _, outcomes = finished
    found = rows(SMALL, outcomes)
    means = summaries(found)
    write_csv(tmp_path / "runs.csv", found)
    with open(tmp_path / "runs.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 and float(lines[0]["judged_reward"]) == found[0].judged_reward
    heads, table = summary_table(SMALL, means)
    assert heads[1:3] == ["4 samples", "8 samples"]
    assert [line[0] for line in table] == ["exact", "noisy"]
    assert table[0][1].startswith(f"{means[0].reward:.4f} ± {means[0].reward_std:.4f}")
    write_study_report(SMALL, outcomes, found, means, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == 2 and table[1][1] in page


def test_two_workers_find_what_one_does(finished, tmp_path):
    _, outcomes = finished
    others = drive(SMALL, tmp_path, workers=2)
    plain = [[(r["hash"], r["reward"]) for r in o.results] for o in outcomes]
    assert plain == [[(r["hash"], r["reward"]) for r in o.results] for o in others]


def test_a_stopped_study_goes_on_where_it_was(finished, tmp_path):
    whole, outcomes = finished
    seen = []

    def stop(variant, seed):
        seen.append((variant, seed))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drive(SMALL, tmp_path, workers=1, done=stop)
    half = tmp_path / "exact" / "seed-1"
    assert not half.exists()
    half.mkdir()  # and the third was killed after three results
    source = whole / "exact" / "seed-1"
    (half / "experiment.json").write_bytes((source / "experiment.json").read_bytes())
    lines = (source / "journal.jsonl").read_text().splitlines(keepends=True)
    (half / "journal.jsonl").write_text("".join(lines[:5]))
    before = (tmp_path / "exact" / "seed-0" / "journal.jsonl").read_bytes()
    again = drive(SMALL, tmp_path, workers=1)
    assert (tmp_path / "exact" / "seed-0" / "journal.jsonl").read_bytes() == before
    assert [[r["hash"] for r in o.results] for o in again] == [
        [r["hash"] for r in o.results] for o in outcomes
    ]


def test_resized():
    longer = STUDIES["ablate-controller"].resized(seeds=3, trials=600)
    assert (longer.seeds, longer.trials, longer.marks) == (3, 600, (250, 500, 600))
    assert all(v.search.trials == 600 for v in longer.variants.values())
    assert longer.variants["evolution, batch 1"].search.batch == 1


def run_search(*arguments):
    return main(["search", *arguments])


@pytest.fixture
def small(monkeypatch):
    register(monkeypatch, "experiment", "small", SMALL)


def test_the_command_runs_and_resumes_a_study(small, tmp_path, capsys):
    out = tmp_path / "s"
    assert run_search("small", "--workers", "1", "--trials", "6", "--out", str(out)) == 0
    shown = capsys.readouterr().err
    assert "exact" in shown and "done: noisy, seed 1" in shown
    assert {"study.json", "runs.csv", "table.csv", "report.html"} <= {p.name for p in out.iterdir()}
    assert json.loads((out / "study.json").read_text())["trials"] == 6
    table = (out / "table.csv").read_text()
    assert run_search("--resume", str(out), "--workers", "1") == 0
    assert (out / "table.csv").read_text() == table


@pytest.mark.parametrize(
    "flags, expected",
    [
        (["--seeds", "0"], "study: seeds = 0; accepted: a whole number of at least 1"),
        (["--sedes", "2"], "--seeds"),
        (["--trials", "many"], "many"),
    ],
)
def test_mistakes_in_a_study(small, flags, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_search("small", *flags) == 2
    out, err = capsys.readouterr()
    assert expected in err and err.count("\n") == 1 and out == ""
    assert list(tmp_path.iterdir()) == []


def test_mistakes_in_resuming_a_study(small, tmp_path, capsys):
    (tmp_path / "study.json").write_text('{"name": "smal", "seeds": 1, "trials": 2}')
    assert run_search("--resume", str(tmp_path)) == 2
    assert "unknown experiment 'smal'; did you mean small?" in capsys.readouterr().err
    (tmp_path / "study.json").write_text('{"name": "small", "seeds": 1, "trials": 2}')
    assert run_search("--resume", str(tmp_path), "--seeds", "3") == 2
    assert "keeps its size and directory; accepted: --workers" in capsys.readouterr().err
    assert run_search("small", "--out", str(tmp_path)) == 2
    assert "is not empty" in capsys.readouterr().err


def test_a_search_that_fails_throughout_is_reported(small, monkeypatch, tmp_path, capsys):
    class Broken(SurrogateConfig):
        def build(self):
            return lambda architecture, seed, report=None: Evaluation(error="out of paper")

    broken = dataclasses.replace(RANDOM, evaluator=Broken())
    study = dataclasses.replace(SMALL, variants={"broken": broken}, judge=None)
    register(monkeypatch, "experiment", "small", study)
    assert run_search("small", "--workers", "1", "--out", str(tmp_path / "s")) == 1
    assert "out of paper" in capsys.readouterr().err


def test_studies_are_listed(capsys):
    assert run_search("--list") == 0
    shown = capsys.readouterr().out
    assert all(name.split("-")[0] in shown for name in EXPERIMENTS | STUDIES)
