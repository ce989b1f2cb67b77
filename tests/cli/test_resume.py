"""`mnas resume`: settings that may change, damaged files, and the search afterwards."""

import json

from mnas.__main__ import main
from mnas.cli.run import resume_command
from tests.cli.commands import assert_one_line, quick, run_search


def test_a_resumed_run_keeps_its_settings(run, capsys):
    assert main(["resume", str(run), "--reward.w", "-0.1"]) == 2
    assert_one_line(capsys, "reward.w was -0.07 and is -0.1 now")
    for flags in (["--reference", "mnasnet-a1"], ["--seed", "1"], ["--out", "elsewhere"]):
        assert main(["resume", str(run), *flags]) == 2
        assert_one_line(capsys, "mnas resume: ", "keeps its directory, seed and reference")


def test_a_resumed_run_keeps_its_early_stopping(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert run_search(*quick(tmp_path / "run", "--search.stopping.quantile", "0.5")) == 0
    capsys.readouterr()
    assert main(["resume", run, "--search.stopping.quantile", "0"]) == 2
    assert_one_line(capsys, "search.stopping.quantile was 0.5 and is 0.0 now")
    assert main(["resume", run, "--search.stopping.min-curves", "9"]) == 2
    assert_one_line(capsys, "search.stopping.min_curves was 8 and is 9 now")
    assert main(["resume", run]) == 0


def test_a_resumed_run_keeps_its_controller(tmp_path, capsys):
    assert run_search(*quick(tmp_path / "run", "--controller", "random")) == 0
    path = tmp_path / "run" / "experiment.json"
    path.write_text(path.read_text().replace("RandomSearch", "Evolution"))
    capsys.readouterr()
    assert main(["resume", str(tmp_path / "run")]) == 2
    assert_one_line(capsys, "kinds.controller was 'RandomSearch' and is 'Evolution' now")


def test_an_unreadable_line_of_the_journal_is_named(run, capsys):
    journal = run / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([lines[0], "not JSON\n", *lines[1:]]))
    assert main(["resume", str(run)]) == 2
    assert_one_line(capsys, "journal.jsonl, line 2", "not JSON")


def test_an_unreadable_experiment_file_is_named(run, capsys):
    (run / "experiment.json").write_text("{")
    assert main(["resume", str(run)]) == 2
    assert_one_line(capsys, "experiment.json", "not JSON")


def test_an_unknown_setting_in_the_experiment_file_is_named(run, capsys):
    path = run / "experiment.json"
    settings = json.loads(path.read_text())
    settings["search"]["trails"] = 3
    path.write_text(json.dumps(settings))
    assert main(["resume", str(run)]) == 2
    assert_one_line(capsys, "'trails'", "did you mean trials")


def test_resuming_a_finished_run_changes_nothing(run, capsys):
    journal = (run / "journal.jsonl").read_bytes()
    best = (run / "best.json").read_bytes()
    assert main(["resume", str(run)]) == 0
    assert (run / "journal.jsonl").read_bytes() == journal
    assert (run / "best.json").read_bytes() == best


def test_a_finished_run_is_extended_batch_by_batch(tmp_path):
    run = tmp_path / "run"
    assert run_search(*quick(run)) == 0
    assert main(["resume", str(run), "--search.trials", "20"]) == 0
    records = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    trials = [r["trial"] for r in records if r["kind"] == "result"]
    batches = [sorted(trials[start : start + 4]) for start in range(0, 20, 4)]
    assert batches == [list(range(start, start + 4)) for start in range(0, 20, 4)]
    assert json.loads((run / "experiment.json").read_text())["search"]["trials"] == 20


def test_a_resumed_run_may_export_by_another_selection(run, capsys):
    assert json.loads((run / "best.json").read_text())["search"]["selection"] == "measured"
    journal = (run / "journal.jsonl").read_text()
    assert main(["resume", str(run), "--search.selection", "model"]) == 0
    assert "best by the model: trial " in capsys.readouterr().err
    assert json.loads((run / "best.json").read_text())["search"]["selection"] == "model"
    assert (run / "journal.jsonl").read_text() == journal


def test_an_interrupted_search_prints_the_command_that_continues_it(tmp_path, monkeypatch, capsys):
    def interrupted(search, evaluator, config):
        raise KeyboardInterrupt

    directory = tmp_path / "a run"
    with monkeypatch.context() as patch:
        patch.setattr("mnas.experiment.run.drive_engine", interrupted)
        assert run_search(*quick(directory)) == 130
    command = f"mnas resume '{directory}'"
    assert resume_command(directory) == command
    assert f"stopped; to continue: {command}\n" in capsys.readouterr().err
    assert main(["resume", str(directory)]) == 0
    assert json.loads((directory / "best.json").read_text())["search"]["experiment"]
