"""Settings from a file: `mnas search --config FILE`, and overrides of studies."""

import json

import pytest

from mnas.__main__ import main
from mnas.cli.config_file import read_config
from mnas.errors import UsageError
from mnas.experiment.results import load_run
from tests.cli.commands import assert_one_line
from tests.registered import register
from tests.studies import SMALL

YAML = """\
name: b0-imagenet
kinds: {controller: random}
reward: {target_madds: 300M}
search:
  trials: 12
  batch: 4
"""


def searched(directory, *words):
    assert main(["search", *words, "--out", str(directory)]) == 0
    return load_run(directory)


def test_yaml_names_experiment_parts_and_settings(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(YAML)
    run = searched(tmp_path / "run", "--config", str(file))
    assert run.experiment_name == "b0-imagenet" and len(run.results) == 12
    assert run.settings["kinds"]["controller"] == "RandomSearch"
    assert run.settings["reward"]["target_madds"] == 300e6
    assert run.settings["reward"]["w"] == -0.07  # what is left out keeps its value


def test_a_run_is_repeated_from_its_experiment_json(finished, tmp_path):
    run = searched(tmp_path / "run", "--config", str(finished / "experiment.json"))
    before = load_run(finished)
    assert [result.hash for result in run.results] == [result.hash for result in before.results]
    assert run.best.reward == before.best.reward


def test_flags_go_before_the_file(tmp_path):
    file = tmp_path / "c.yml"
    file.write_text(YAML)
    flags = [f"--config={file}", "--search.trials", "8", "--reward.target-madds", "200M"]
    run = searched(tmp_path / "run", *flags, "--seed", "5")
    assert len(run.results) == 8 and run.settings["search"]["seed"] == 5
    assert run.settings["reward"]["target_madds"] == 200e6


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("c.yaml", "reward: {target_mads: 3}", "unknown setting of reward 'target_mads'"),
        ("c.yaml", "reward: {target_madds: many}", "reward.target_madds = 'many'; accepted: float"),
        ("c.yaml", "search: {trials: 1.5}", "search.trials = 1.5; accepted: int"),
        ("c.yaml", "kinds: {controller: nobody}", "unknown controller 'nobody'"),
        ("c.yaml", "kinds: [1]", "kinds = [1]"),
        ("c.yaml", "rewards: {}", "unknown setting 'rewards'; did you mean reward"),
        ("c.yaml", "reward: 5", "reward = 5; accepted: settings by name"),
        ("c.yaml", "name: nowhere", "unknown experiment 'nowhere'"),
        ("c.yaml", "name: 5", "name = 5"),
        ("c.yaml", "- a", "accepted: settings by part"),
        ("c.yaml", "", "accepted: settings by part"),
        ("c.yaml", "a: &x [1]\nb: *x", "line 2: an alias"),
        ("c.yaml", "search: {}\nsearch: {}", "key search twice"),
        ("c.yaml", "1: 2", "key 1"),
        ("c.yaml", "? [a]\n: b", "key ['a']"),
        ("c.yaml", "a: [", "line 1: "),
        ("c.yaml", "a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("c.yaml", "[" * 5000, "nested too deeply"),
        ("c.yaml", "a: 2001-13-45", "month must be in 1..12"),
        ("c.yaml", "a: \x00", "special characters are not allowed"),
        ("c.json", "{", "is not JSON"),
        ("c.json", '{"reward": {"target_madds": NaN}}', "NaN"),
        ("c.toml", "", "accepted: a file named *.json, *.yaml or *.yml"),
    ],
)
def test_mistakes_in_a_file_are_one_line_and_start_nothing(
    name, text, expected, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    assert main(["search", "--config", name]) == 2
    assert_one_line(capsys, "mnas search: ", expected)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_long_and_missing_files_are_rejected(tmp_path):
    (tmp_path / "c.yaml").write_text("a: " + "x" * 1_000_000)
    with pytest.raises(UsageError, match="accepted: at most 1,000,000"):
        read_config(tmp_path / "c.yaml")
    with pytest.raises(UsageError, match="can't be read"):
        read_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("words", [["--config"], ["--config="], ["--config", "--seed", "1"]])
def test_a_flag_without_file_is_named(words, capsys):
    assert main(["search", *words]) == 2
    assert_one_line(capsys, "--config needs a file")


@pytest.fixture
def small(monkeypatch):
    register(monkeypatch, "experiment", "small", SMALL)


def test_settings_are_changed_in_all_variants_and_kept_for_resuming(small, tmp_path, capsys):
    file, out = tmp_path / "c.yaml", tmp_path / "s"
    file.write_text("name: small\nreward: {target_madds: 200M, w: -0.1}")
    flags = ["--seeds", "1", "--trials", "4", "--workers", "1", "--out", str(out)]
    settings = ["--reward.target-madds", "300M", "--controller", "exhaustive"]
    assert main(["search", "--config", str(file), *flags, *settings]) == 0
    for variant in ("exact", "noisy"):
        run = load_run(out / variant / "seed-0")
        assert run.settings["reward"]["target_madds"] == 300e6
        assert run.settings["reward"]["w"] == -0.1
        assert run.settings["kinds"]["controller"] == "Exhaustive"
    (out / "noisy" / "seed-0" / "best.json").unlink()  # as if it had not finished
    capsys.readouterr()
    assert main(["resume", str(out), "--workers", "1"]) == 0
    assert "written: " in capsys.readouterr().err
    assert json.loads((out / "study.json").read_text())["overrides"]["flags"] == settings


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--search.trials", "5"], "search.trials is the study's; accepted: --trials"),
        (["--search.seed=5"], "search.seed is the study's; accepted: --seeds"),
        (["--reward.target-mads", "1"], "variant exact: "),
        (["--evaluator.std-points", "1"], "variant exact: "),
        (
            ["--evaluator", "noisy", "--evaluator.std-points", "3"],
            "variants exact and noisy would be equal",
        ),
        (["--controller", "nobody"], "unknown controller 'nobody'"),
    ],
)
def test_settings_that_do_not_fit_a_study_are_one_line(
    words, expected, small, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["search", "small", *words]) == 2
    assert_one_line(capsys, "mnas search: ", expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "overrides", [5, {}, {"config": [], "flags": []}, {"config": {}, "flags": [1]}]
)
def test_damaged_overrides_of_a_study_are_rejected(overrides, small, tmp_path, capsys):
    head = {"name": "small", "seeds": 1, "trials": 4, "overrides": overrides}
    (tmp_path / "study.json").write_text(json.dumps(head))
    assert main(["resume", str(tmp_path)]) == 2
    assert_one_line(capsys, "study.json: study: overrides = ")


@pytest.mark.parametrize("words", [["--warm-up"], ["--latency-table", "table.json"]])
def test_preparations_read_the_file(tmp_path, monkeypatch, capsys, words):
    seen = []

    def check(experiment):
        seen.append(experiment)
        raise UsageError("that was it")

    monkeypatch.setattr("mnas.experiment.run.check", check)
    file = tmp_path / "c.yaml"
    file.write_text("name: digits\nspace: {resolution: 8, classes: 7}\nreward: {w: -0.1}\n")
    flags = ["--config", str(file), "--space.resolution", "16"]
    assert main(["search", *words, *flags]) == 2
    (experiment,) = seen
    assert (experiment.name, experiment.reward.w) == ("digits", -0.1)
    assert (experiment.space.resolution, experiment.space.classes) == (16, 7)
    file.write_text("space: {resolutio: 8}\n")
    capsys.readouterr()
    assert main(["search", *words, "b0-imagenet", "--config", str(file)]) == 2
    assert_one_line(capsys, f"{file}: unknown setting of space 'resolutio'")
    assert main(["search", *words, "flop-budgets"]) == 2
    assert_one_line(capsys, "flop-budgets is a study; accepted: an experiment")
