"""`--search.remeasure`: further measurements in search, resume, rescore and their output."""

import json

import pytest

from mnas.__main__ import main
from mnas.experiment.results import load_run
from tests.cli.commands import quick, run_search

NOISE = ["--evaluator", "noisy", "--evaluator.std-points", "3"]
AGAIN = ["--search.remeasure", "3", "--search.remeasure-seeds", "2"]


def summary_table(text):
    """Return the cells of the table of further measurements, its head included."""
    lines = text.splitlines()
    start = next(n for n, line in enumerate(lines) if "measured again" in line and "rank" in line)
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in lines[start : start + 4]
    ]


@pytest.mark.parametrize("selection", ["measured", "model"])
def test_search_shows_the_further_measurements_and_exports_by_them(selection, tmp_path, capsys):
    directory = tmp_path / "run"
    flags = [*NOISE, *AGAIN, "--search.selection", selection]
    assert run_search(*quick(directory, *flags)) == 0
    err = capsys.readouterr().err
    assert "measuring the best 3 networks again: 6 evaluations" in err
    assert "measured again 6/6" in err
    head, *rows = summary_table(err)
    assert head[:3] == ["rank", "trial", "accuracy"] and ("by the model" in head) == (
        selection == "model"
    )
    networks = load_run(directory).ranked[:3]
    assert [row[1] for row in rows] == [str(network.result.trial) for network in networks]
    for row, network in zip(rows, networks, strict=True):
        remeasured = network.remeasured
        text = f"{remeasured.mean:.4f} ± {remeasured.half_interval:.4f}"
        assert text in " ".join(row) and row[-1] == f"{network.score:.4f}"
        assert row[-3:-1] == ["2", "0"]
    best = json.loads((directory / "best.json").read_text())["search"]
    assert (best["trial"], best["selection"]) == (networks[0].result.trial, selection)
    assert best["remeasured"]["n"] == 2 and best["smoothed_accuracy"] is not None
    assert f"trial {best['trial']}, reward" in err


def test_a_run_that_was_stopped_among_them_is_resumed(tmp_path, capsys):
    directory, whole = tmp_path / "run", tmp_path / "whole"
    for path in (directory, whole):
        assert run_search(*quick(path, *NOISE, *AGAIN)) == 0
    journal = directory / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-4]))
    expected = (whole / "best.json").read_bytes()
    (directory / "best.json").unlink()
    capsys.readouterr()
    assert main(["resume", str(directory)]) == 0
    assert "measured again 6/6" in capsys.readouterr().err
    assert (directory / "best.json").read_bytes() == expected


def test_a_finished_run_is_measured_again_by_resume(run, capsys):
    assert main(["resume", str(run), "--search.remeasure", "2"]) == 0
    assert "measuring the best 2 networks again: 6 evaluations" in capsys.readouterr().err
    assert len(load_run(run).remeasured) == 6
    assert main(["resume", str(run)]) == 0
    assert "measuring" not in capsys.readouterr().err


def test_rescore_ranks_networks_that_were_measured_again_first(tmp_path, capsys):
    directory = tmp_path / "run"
    assert run_search(*quick(directory, *NOISE, *AGAIN)) == 0
    capsys.readouterr()
    assert main(["rescore", str(directory), "--w", "0", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    found = [row["remeasured"] for row in rows]
    assert None not in found[:3] and found[3:] == [None] * len(rows[3:])
    assert found[:3] == sorted(found[:3], reverse=True)
    means = {n.result.trial: n.remeasured.mean for n in load_run(directory).ranked[:3]}
    assert {row["trial"]: row["remeasured"] for row in rows[:3]} == pytest.approx(means)
    assert main(["rescore", str(directory)]) == 0
    heads = capsys.readouterr().out.splitlines()[1].split()
    assert heads == [*("rank", "was", "trial", "again", "reward", "was"), *heads[6:]]


def test_trials_show_the_further_measurements(tmp_path, capsys):
    directory = tmp_path / "run"
    assert run_search(*quick(directory, *NOISE, *AGAIN)) == 0
    capsys.readouterr()
    networks = {n.result.trial: n.remeasured for n in load_run(directory).ranked[:3]}
    assert main(["trials", str(directory), "--sort", "remeasured_reward"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "measured again  n" in head and all(len(line) <= 80 for line in [head, *lines])
    assert [int(line.split()[0]) for line in lines[:3]] == list(networks)
    for line, again in zip(lines, networks.values(), strict=False):
        assert f"{again.mean:.4f} ± {again.half_interval:.4f}  2  " in line
    assert lines[3].split()[3:5] == ["-", "-"]
    words = ["--where", "remeasured>=2", "--json"]
    assert main(["trials", str(directory), *words]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["trial"]: row["remeasured_accuracy"] for row in rows} == {
        trial: again.mean for trial, again in networks.items()
    }
    frame = load_run(directory).trials
    assert frame.remeasured_reward.idxmax() == next(iter(networks))
    assert frame.remeasured.isna().sum() == 9
