"""`mnas retrain`: the table, its files, resumption, mistakes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.evaluators import whole_network
from mnas.training.whole_network import Retraining
from tests.runs import head, proposals, result, settings, write_run

FLAGS = ["--engine.kind", "inline", "--batch-size", "8"]


def tiny(filters, kernel=3):
    blocks = (Block(kernel=kernel, stride=2, filters=filters),)
    return Architecture(blocks, resolution=8, stem=filters, head=filters, classes=10)


def write_tiny_run(path, evaluator):
    """Write a run of three networks of one block, the second of which is the best."""
    records = [proposals([[0], [1], [2]])]
    for trial, (filters, accuracy) in enumerate([(8, 0.3), (16, 0.5), (24, 0.4)]):
        network = tiny(filters)
        records.append(
            result(trial, accuracy, architecture=network.to_dict(), hash=network.canonical_hash())
        )
    described = {**settings(), "evaluator": evaluator}
    write_run(path, records, head(settings=described), {"name": "hand", **described})


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return arguments that retrain the best two of a run on `x.npz` and a tiny reference."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 3
    np.savez("x.npz", x_train=pixels, y_train=labels, x_test=pixels[:20], y_test=labels[:20])
    data = {"source": str(tmp_path / "x.npz"), "train_images": 8, "validation": 0.25}
    write_tiny_run(tmp_path / "run", {"data": data})
    reference = {"format": "mnas-spec/1", **tiny(32, 5).replace(name="reference").to_dict()}
    (tmp_path / "reference.json").write_text(json.dumps(reference))
    words = ["--top", "2", "--seeds", "2", "--epochs", "1", "--reference", "reference.json"]
    return ["retrain", "run", *words, "--out", "out", *FLAGS]


def written():
    return json.loads(Path("out/retrained.json").read_text())


def test_best_networks_and_scaled_reference_are_in_one_table(command, capsys):
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found == written()
    best, _, reference = found["networks"]
    assert [row["trial"] for row in found["networks"]] == [1, 2, None]
    assert [row["proxy_accuracy"] for row in found["networks"]] == [0.5, 0.4, None]
    assert reference["network"].startswith("reference-w0.")
    assert abs(reference["mult_adds"] / best["mult_adds"] - 1) < 0.3
    for row in found["networks"]:
        accuracies = found["accuracies"][row["network"]]
        assert row["accuracy"] == pytest.approx(np.mean(accuracies))
        assert row["half_interval"] == pytest.approx(12.7062 * np.std(accuracies), rel=1e-4)
    assert found["kendall"] is None  # of fewer than five networks
    assert found["measured_on"] == "20 test images"
    assert "reference-w0." in err and "mean ± half of its 95% interval over n seeds" in err
    with open("out/retrained.csv", newline="") as file:
        assert [row["network"] for row in csv.DictReader(file)] == [*found["accuracies"]]


def test_trainings_use_all_images_but_those_of_validation(command):
    assert main(command) == 0
    trainings = written()["trainings"]
    results = [
        json.loads(Path(training["directory"], "result.json").read_text()) for training in trainings
    ]
    assert len(results) == 6
    # 30 of the 40 images, not the 8 of the search: 3 steps in batches of 8
    assert {(r["steps"], r["validation"]["n"], r["classes"]) for r in results} == {(3, 10, 3)}


def test_each_training_has_the_files_of_the_train_command(command):
    assert main([*command, "--top", "1", "--seeds", "1", "--reference", "none"]) == 0
    (training,) = written()["trainings"]
    directory = Path(training["directory"])
    words = ["--data", "x.npz", "--validation", "0.25", "--seed", str(training["seed"])]
    words += ["--epochs", "1", "--batch-size", "8", "--out", "alone"]
    assert main(["train", str(directory / "spec.json"), *words]) == 0
    named = [{path.name for path in place.iterdir()} for place in (directory, Path("alone"))]
    events = [{name for name in names if name.startswith("events")} for names in named]
    assert named[0] - events[0] == named[1] - events[1] >= {"history.csv", "curves.svg"}
    assert [len(names) for names in events] == [1, 1]
    weights = [place / "weights.safetensors" for place in (directory, Path("alone"))]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert json.loads(Path("alone/result.json").read_text())["test"]["top1"] == training["accuracy"]


def test_killed_retraining_continues_within_a_training(command, monkeypatch, capsys):
    assert main([*command, "--out", "whole"]) == 0
    run, trained = Retraining.run, []

    def counting(self, *callbacks):
        trained.append(self.architecture.name)
        if len(trained) == 4:
            raise KeyboardInterrupt
        return run(self, *callbacks)

    monkeypatch.setattr(whole_network.Retraining, "run", counting)
    capsys.readouterr()
    assert main(command) == 130
    assert "to continue: mnas retrain run" in capsys.readouterr().err
    assert main(command) == 0
    assert "resumed after 3 of 6 trainings" in (log := capsys.readouterr().err)
    assert "4/6  " in log and "6/6  " in log
    assert len(trained) == 4 + 3
    whole = Path("whole/retrained.json").read_text().replace("whole/", "out/")
    assert written() == json.loads(whole)
    assert main([*command, "--seeds", "3"]) == 0
    assert len(trained) == 4 + 3 + 3
    assert [row["n"] for row in written()["networks"]] == [3, 3, 3]


def test_failed_trainings_are_counted_and_named(command, capsys, monkeypatch):
    run = Retraining.run

    def failing(self, *callbacks):
        if self.architecture.name == "reference":
            raise FloatingPointError("diverged")
        return run(self, *callbacks)

    monkeypatch.setattr(whole_network.Retraining, "run", failing)
    assert main([*command, "--no-scale-reference"]) == 0
    found = [(row["n"], row["failed"]) for row in written()["networks"]]
    assert found == [(2, 0), (2, 0), (0, 2)]
    assert written()["networks"][2]["accuracy"] is None
    assert "failed: FloatingPointError: diverged" in capsys.readouterr().err


def test_retraining_ends_where_most_trainings_fail(command, capsys):
    assert main([*command, "--learning-rate", "1e30", "--warmup-epochs", "0"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "3 of the first 3 children failed; most often" in line and "diverged" in line
    assert not Path("out/retrained.json").exists()


def test_reference_may_be_left_as_it_is_or_be_one_of_the_best(command, capsys):
    one = ["--seeds", "1"]
    assert main([*command, *one, "--no-scale-reference"]) == 0
    assert written()["networks"][2]["network"] == "reference"
    text = json.dumps({"format": "mnas-spec/1", **tiny(16).to_dict()})
    Path("reference.json").write_text(text)
    assert main([*command, *one, "--out", "same"]) == 0
    assert "is one of the run's best networks" in capsys.readouterr().err
    assert len(json.loads(Path("same/retrained.json").read_text())["networks"]) == 2


def test_other_networks_in_the_directory_are_rejected(command, capsys):
    assert main([*command, "--seeds", "1"]) == 0
    assert main([*command, "--seeds", "1", "--top", "3"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "out/networks.json has other networks than these" in line
    assert len(written()["networks"]) == 3


def test_run_without_images_needs_them(command, tmp_path, capsys):
    write_tiny_run(tmp_path / "surrogate", {"fit": "ridge"})
    command[1] = "surrogate"
    assert main(command) == 2
    line = "mnas retrain: surrogate is a run without images; accepted: with --data"
    assert capsys.readouterr().err.splitlines()[-1] == line
    assert not Path("out").exists()
    assert main([*command, "--seeds", "1", "--reference", "none", "--data", "x.npz"]) == 0


def test_reference_that_cannot_be_scaled_is_named(command, capsys):
    command[command.index("reference.json")] = "resnet-50"
    assert main(command) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "width of resnet-50 to " in line and line.endswith(", or --no-scale-reference")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--top", "0"], "top = 0"),
        (["--seeds", "0"], "seeds = 0"),
        (["--recipe", "cifr"], "unknown recipe 'cifr'; did you mean cifar?"),
        (["--reference", "efficientnet-b9"], "no spec 'efficientnet-b9'"),
        (["--data", "none.npz"], "none.npz"),
    ],
)
def test_mistakes_leave_nothing(command, words, expected, capsys):
    assert main([*command, *words]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]
    assert not Path("out").exists()


def test_missing_run_is_named(command, capsys):
    command[1] = "nowhere"
    assert main(command) == 2
    assert "nowhere holds no run" in capsys.readouterr().err


def test_finished_retrainings_are_compared_in_one_table(command, capsys):
    assert main(command) == 0
    other = ["--top", "1", "--reference", "none", "--out", "other"]
    assert main([*command, *other]) == 0
    capsys.readouterr()
    assert main(["retrain", "--report", "out", "other/", "--json"]) == 0
    printed, err = capsys.readouterr()
    groups = json.loads(printed)["groups"]
    (best, second, reference) = written()["networks"]
    assert [group["name"] for group in groups] == ["out", f"out: {reference['network']}", "other"]
    assert groups[0]["accuracy"] == pytest.approx((best["accuracy"] + second["accuracy"]) / 2)
    assert groups[1]["half_interval"] == pytest.approx(reference["half_interval"])
    assert (groups[2]["networks"], groups[2]["trainings"]) == (1, 2)
    assert "best networks of" in err and "20 test images" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "no DIR; accepted: the directory of a run, or --report DIR ..."),
        (["run", "--report", "out"], "both DIR and --report"),
        (["--report", "nowhere"], "nowhere/retrained.json"),
    ],
)
def test_comparison_and_training_exclude_each_other(command, words, expected, capsys):
    assert main(["retrain", *words]) == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_reference_has_the_stem_s_stride_of_the_best_network(tmp_path, monkeypatch, command):
    network = tiny(16).replace(stem_stride=1)
    described = network.to_dict()
    evaluated = result(0, 0.5, architecture=described, hash=network.canonical_hash())
    records = [proposals([[0]]), evaluated]
    described = {**settings(), "evaluator": {"data": {"source": str(tmp_path / "x.npz")}}}
    write_run(tmp_path / "one", records, head(settings=described), {"name": "hand", **described})
    command[1] = "one"
    assert main([*command, "--top", "1", "--seeds", "1"]) == 0
    _, reference = json.loads(Path("out/networks.json").read_text())
    assert reference["stem_stride"] == 1
