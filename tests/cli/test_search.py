"""`mnas search`: usage errors, parts exchanged by name, files and summary of a run."""

import json
import os

import pytest

from tests.cli.commands import assert_one_line, quick, run_search

MISTAKES = [
    ("--reward.target-mads 1", ["--reward.target-mads", "--reward.target-madds"]),
    ("digit", ["'digit'", "digits"]),
    ("no-such-thing", ["'no-such-thing'", "digits"]),
    ("--reward.target-madds -5", ["target_madds = -5.0", "1 to 1e+18"]),
    ("--reward.form sofft", ["sofft", "soft"]),
    ("--search.selection luck", ["luck", "measured", "model"]),
    ("--search.remeasure -1", ["remeasure = -1", "at least 0 and at most 1,000"]),
    ("--search.remeasure-seeds 0", ["remeasure_seeds = 0", "at least 1"]),
    ("--search.trials many", ["--search.trials", "many"]),
    ("--search.batch 0", ["batch = 0", "at least 1"]),
    ("--search.stopping.quantile 1", ["stopping: quantile = 1.0", "below 1"]),
    ("--evaluator.data.source nowhere", ["nowhere", "digits"]),
    ("--evaluator.data.source nowhere.npz", ["nowhere.npz", "digits"]),
    ("--evaluator.data.validation 0", ["validation = 0"]),
    ("--space.classes 7", ["classes = 7", "digits has 10", "--space.classes 10"]),
    ("--reference b0", ["reference = 'b0'", "efficientnet-b0"]),
    ("--engine.kind spark", ["spark", "ray"]),
    ("--engine.kind tune --engine.time-limit-seconds 5", ["time_limit_seconds = 5", "engine ray"]),
    ("--engine.address 127.0.0.1:1", ["'127.0.0.1:1'", "Connection refused", "auto"]),
    ("--controller.learning-rate -1", ["learning_rate = -1", "accepted"]),
    ("--evaluator.training.epochs 0", ["epochs = 0", "accepted"]),
    ("--controller evolutoin", ["unknown controller 'evolutoin'", "did you mean evolution"]),
    ("b0-imagenet --controller", ["unknown controller ''", "accepted"]),
    ("b0-imagenet --space efficientnet", ["surrogate", "blocks[0].filters", "never measured"]),
    ("b0-imagenet --evaluator.fit gp", ["gp", "ridge"]),
    ("b0-imagenet --evaluator noisy --evaluator.std-points -1", ["std_points = -1", "0 to 100"]),
    ("b0-imagenet --evaluator.device abacus", ["abacus", "vck190"]),
    ("b0-imagenet --name other", ["--name"]),
    ("flop-budget", ["'flop-budget'", "flop-budgets"]),
    ("--warm-up --blocks 0", ["blocks = 0", "at least 1"]),
    ("--warm-up b0-imagenet", ["evaluator = surrogate", "--evaluator proxy"]),
    ("--latency-table --networks 2", ["--latency-table needs a file"]),
    ("--list flop-budgets", ["flop-budgets"]),
    ("--resume", ["no directory given", "mnas resume DIR"]),
    ("--resume nowhere", ["nowhere", "holds no run"]),
]


@pytest.mark.parametrize(("line", "expected"), MISTAKES, ids=[line for line, _ in MISTAKES])
def test_a_usage_error_is_one_line_and_writes_nothing(
    line, expected, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert run_search(*line.split()) == 2
    assert_one_line(capsys, *expected)
    assert list(tmp_path.iterdir()) == []


def test_help_lists_the_forms_of_the_command(capsys):
    assert run_search("--help") == 0
    out = capsys.readouterr().out
    for form in ("--list", "--resume DIR", "--warm-up", "--latency-table FILE"):
        assert f"mnas search {form}" in out


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("b0-imagenet", ["Takes: half a min", "Expect: ", "Example: mnas search b0-imagenet --"]),
        ("flop-budgets", ["100M, 200M", "Takes: ", "Example: mnas search flop-budgets --seeds"]),
        ("--warm-up digits", ["Compile the blocks", "Example: mnas search --warm-up digits --"]),
        ("--latency-table a.json digits", ["Time the blocks", "--latency-table a.json digits --"]),
    ],
)
def test_help_of_an_experiment_says_what_it_does_with_an_example(words, named, capsys):
    with pytest.raises(SystemExit):
        run_search(*words.split(), "--help")
    out = capsys.readouterr().out
    for text in named:
        assert text in out


def test_a_directory_with_a_run_is_rejected_and_unchanged(run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert run_search(*quick(run)) == 2
    assert_one_line(capsys, str(run), "holds a run already")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_run_has_all_its_files(finished):
    names = {path.name for path in finished.iterdir()}
    assert {"experiment.json", "journal.jsonl", "best.json", "top.json", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert "<svg" in (finished / "report.html").read_text()


def test_the_summary_and_the_report_compare_with_b0_by_both_fits(tmp_path, capsys):
    size = ["--search.trials", "12", "--search.batch", "4", "--controller", "random"]
    assert run_search("b0-imagenet", *size, "--out", str(tmp_path / "run")) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "reward by mlp: best 0." in err and "reward by ridge: best 0." in err
    page = (tmp_path / "run" / "report.html").read_text()
    assert "best network beside efficientnet-b0" in page and "reward by ridge" in page
    assert "16 epochs" in page and "favours small networks" in page


def test_a_run_with_exchanged_parts_resumes_to_the_same_journal(tmp_path, capsys):
    flags = ["--controller", "evolution", "--controller.population", "8", "--seed=3"]
    flags += ["--controller.tournament", "4", "--space=single-cell", "--evaluator.fit", "ridge"]
    assert run_search(*quick(tmp_path / "run", *flags)) == 0
    assert "36 networks" in capsys.readouterr().err
    settings = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert settings["kinds"] == {
        "space": "SingleCellSpace", "controller": "Evolution", "evaluator": "SurrogateConfig"
    }  # fmt: skip
    assert settings["controller"] == {"population": 8, "tournament": 4}
    assert settings["evaluator"]["fit"] == "ridge" and settings["search"]["seed"] == 3
    whole = (tmp_path / "run" / "journal.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "journal.jsonl").write_text("".join(whole[:9]))
    assert run_search("--resume", str(tmp_path / "run")) == 0
    again = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    facts = [json.loads(line) for line in again], [json.loads(line) for line in whole]
    for fact in (*facts[0], *facts[1]):
        for name in ("time", "seconds", "sum"):
            fact.pop(name, None)
    assert facts[0] == facts[1]


def test_naming_the_part_of_the_experiment_keeps_its_settings(tmp_path):
    assert run_search(*quick(tmp_path / "default")) == 0
    assert run_search(*quick(tmp_path / "named", "--evaluator", "surrogate")) == 0
    default, named = (
        json.loads((tmp_path / name / "experiment.json").read_text())
        for name in ("default", "named")
    )
    for settings in (named, default):
        settings.pop("sessions")  # times of the processes
    assert named == default


def test_a_wrapping_evaluator_is_placed_around_that_of_the_experiment(tmp_path):
    flags = ["--evaluator", "noisy", "--evaluator.std-points", "2", "--evaluator.evaluator.fit=mlp"]
    assert run_search(*quick(tmp_path / "run", *flags)) == 0
    settings = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert settings["kinds"]["evaluator"] == "NoisyConfig"
    assert settings["evaluator"]["std_points"] == 2
    assert settings["evaluator"]["evaluator"]["fit"] == "mlp"


def test_files_of_a_run_have_the_permissions_of_the_umask(tmp_path):
    before = os.umask(0o002)
    try:
        assert run_search(*quick(tmp_path / "run")) == 0
    finally:
        os.umask(before)
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "run").iterdir()}
    assert modes == {"0o664"}
    assert oct((tmp_path / "run").stat().st_mode & 0o777) == "0o775"
