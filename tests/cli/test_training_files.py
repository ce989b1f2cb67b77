"""`mnas train`: files about a training, equal after a resumption, and the test score."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.training.whole_network import Retraining
from tests.cli.test_train import SPEC, train


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return arguments of a training of two epochs in `out`, on images with a test set.

    24 images, of which 5 are held out, in batches of 8 are 2 steps an epoch.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(SPEC))
    rng = np.random.default_rng(0)
    pixels, test = (rng.integers(0, 256, (n, 8, 8, 3), np.uint8) for n in (24, 9))
    labels = np.arange(24) % 6
    np.savez("x.npz", x_train=pixels, y_train=labels, x_test=test, y_test=labels[:9])
    np.savez("plain.npz", x_train=pixels, y_train=labels)
    return train("tiny.json", "x.npz", "out")


def history(directory="out"):
    with open(f"{directory}/history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_history_and_picture_are_written(command):
    assert main(command) == 0
    rows = history()
    assert [(row["epoch"], row["step"]) for row in rows] == [("1", "2"), ("2", "4")]
    assert float(rows[-1]["learning_rate"]) < float(rows[0]["learning_rate"])
    assert all(float(row["images_per_second"]) > 0 for row in rows)
    files = sorted(os.listdir("out"))
    assert files[:2] == ["checkpoints", "curves.svg"]
    assert files[2].startswith("events.out.tfevents.")
    assert files[3:] == ["history.csv", "result.json", "spec.json", "weights.safetensors"]


def test_test_images_are_scored_once_with_interval_and_n(command, capsys, monkeypatch):
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    printed, written = json.loads(out), json.loads(Path("out/result.json").read_text())
    assert written == {key: value for key, value in printed.items() if key != "history"}
    test = written["test"]
    assert test["n"] == 9
    assert test["top1"] in [n / 9 for n in range(10)]
    assert test["top1_interval"][0] <= test["top1"] <= test["top1_interval"][1]
    assert test["top5"] >= test["top1"]
    assert written["validation"]["n"] == 5
    assert written["validation"]["top1"] == pytest.approx(
        printed["history"][-1]["validation_accuracy"]
    )
    assert "test: top-1 " in err and "n = 9" in err


def test_data_without_test_images_are_said_to_have_none(command, capsys):
    command[command.index("x.npz")] = "plain.npz"
    assert main(command) == 0
    assert "no test images in plain.npz" in capsys.readouterr().err
    assert json.loads(Path("out/result.json").read_text())["test"] is None


def test_resumed_training_has_the_files_of_an_uninterrupted_one(command, monkeypatch):
    assert main([*command[:-1], "whole"]) == 0
    run = Retraining.run

    def killed(self, on_epoch, on_step):
        def kill(epoch):
            raise KeyboardInterrupt  # the checkpoint of the epoch is on disk, its row is not

        return run(self, kill, on_step)

    with monkeypatch.context() as patch:
        patch.setattr(Retraining, "run", killed)
        assert main(command) == 130
    assert not Path("out/history.csv").exists()
    assert main(command) == 0
    timeless = [
        [
            {k: v for k, v in row.items() if k not in ("images_per_second", "seconds")}
            for row in rows
        ]
        for rows in (history("whole"), history("out"))
    ]
    assert timeless[0] == timeless[1]
    for name in ("curves.svg", "spec.json", "weights.safetensors"):
        assert Path("whole", name).read_bytes() == Path("out", name).read_bytes()
    results = [json.loads(Path(name, "result.json").read_text()) for name in ("whole", "out")]
    assert results[0] == {**results[1], "weights": "whole/weights.safetensors"}


def test_recipe_and_its_learning_rate_are_shown(command, capsys):
    assert main([*command, "--recipe", "cifar"]) == 0
    line = "recipe cifar: 2 epochs, batches of 8, learning rate 0.003125 (0.05 per 128 images)\n"
    assert line in capsys.readouterr().err


def test_training_continues_from_weights_of_other_classes(command, capsys):
    assert main(command) == 0
    pixels = np.zeros((24, 8, 8, 3), np.uint8)
    np.savez("other.npz", x_train=pixels, y_train=np.arange(24) % 3)
    command[command.index("x.npz")], command[-1] = "other.npz", "fine"
    capsys.readouterr()
    words = ["--init", "out/weights.safetensors", "--freeze", "stem", "--layer-decay", "0.5"]
    assert main([*command, *words]) == 0
    line = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("init: "))
    assert line.startswith("init: 15 arrays taken") and "1 of 3 blocks frozen" in line
    assert json.loads(Path("fine/result.json").read_text())["transfer"]["freeze"] == "stem"


def test_streamed_images_give_the_same_weights(command):
    assert main([*command, "--feeding", "stream"]) == 0
    assert main([*command[:-1], "device", "--feeding", "device"]) == 0
    streamed, kept = (Path(name, "weights.safetensors") for name in ("out", "device"))
    assert streamed.read_bytes() == kept.read_bytes()
    assert "grain" in sys.modules
