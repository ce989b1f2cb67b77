"""`mnas train`: files, resumption, interruption, two trainings in one directory."""

import json
import os
import shlex
from pathlib import Path

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.files import locked_directory
from mnas.training.whole_network import Retraining
from tests.cli.commands import assert_one_line

SPEC = {
    **{"format": "mnas-spec/1", "name": "tiny", "resolution": 8, "stem": 8, "head": 0},
    **{"blocks": ["r1_k3_s22_e1_i8_o8"], "classes": 10, "activation": "relu"},
}


def train(spec, data, out) -> list[str]:
    return ["train", spec, "--data", data, "--epochs", "2", "--batch-size", "8", "--out", out]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return arguments of a training in `out` of two epochs on `x.npz`, both in the directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.json").write_text(json.dumps(SPEC))
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3), np.uint8)
    np.savez("x.npz", x_train=pixels, y_train=np.arange(24)[:, None] % 3)
    return train("tiny.json", "x.npz", "out")


def test_files_and_epochs_are_written(command, capsys):
    assert main([*command, "--precision", "auto", "--json"]) == 0
    out, err = capsys.readouterr()
    described = json.loads(out)
    assert described["training"]["precision"] == "float32"  # on a CPU
    assert [epoch["epoch"] for epoch in described["history"]] == [1, 2]
    assert {"checkpoints", "spec.json", "weights.safetensors"} <= {*os.listdir("out")}
    assert json.loads(Path("out/spec.json").read_text())["classes"] == 3
    assert err.startswith("data: 24 images, 3 classes (0, 1, 2), 8×8\nrecipe proxy: 2 ep")


def test_training_goes_on_with_moved_data_from_another_directory(command, tmp_path, capsys):
    assert main(command) == 0
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "x.npz").rename(tmp_path / "elsewhere" / "y.npz")
    os.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert main(train("../tiny.json", "y.npz", "../out")) == 0
    assert "resumed after epoch 2" in capsys.readouterr().err


def last_line(capsys) -> str:
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    return err.splitlines()[-1]


def test_other_settings_and_images_are_named(command, capsys):
    assert main(command) == 0
    capsys.readouterr()
    head = "mnas train: out/checkpoints/000002-000000000: "
    assert main([*command, "--seed", "1"]) == 2
    assert last_line(capsys) == f"{head}seed was 0 and is 1 now; accepted: 0, or another directory"
    assert main([*command, "--epochs", "4"]) == 2
    line = (
        "training.epochs was 2 and is 4 now; accepted: 2, since the cosine schedule depends on it, "
        "or another directory"
    )
    assert last_line(capsys) == head + line
    np.savez("x.npz", x_train=np.zeros((24, 8, 8), np.uint8), y_train=np.arange(24) % 3)
    assert main(command) == 2
    assert "x.npz are not those of the training; accepted: the same images" in last_line(capsys)


def test_a_damaged_checkpoint_is_named(command, capsys):
    assert main(command) == 0
    with open("out/checkpoints/000002-000000000/state/manifest.ocdbt", "r+b") as file:
        file.seek(20)
        file.write(b"damage")
    capsys.readouterr()
    assert main(command) == 2
    assert last_line(capsys).startswith("mnas train: out/checkpoints/000002-000000000 is damaged")


def test_a_second_training_in_the_same_directory_is_rejected(command, tmp_path, capsys):
    with locked_directory(tmp_path / "out", "is training in this directory"):
        assert main(command) == 2
    assert last_line(capsys) == "mnas train: out: another process is training in this directory"
    assert os.listdir("out") == []


def test_an_interrupted_training_says_how_to_continue(command, capsys, monkeypatch):
    def interrupted(self, on_epoch, on_step):
        raise KeyboardInterrupt

    spaced = [*command[:-1], "a directory"]
    with monkeypatch.context() as patch:
        patch.setattr(Retraining, "run", interrupted)
        assert main(spaced) == 130
    line = last_line(capsys)
    assert line == f"mnas train: stopped; to continue: mnas {shlex.join(spaced)}"
    assert main(shlex.split(line.partition("continue: mnas ")[2])) == 0


def test_divergence_is_one_line_without_advice_to_continue(command, capsys):
    assert main([*command, "--learning-rate", "1e30", "--warmup-epochs", "0"]) == 1
    line = last_line(capsys)
    assert line.startswith(
        "mnas train: diverged: the loss is not finite in epoch 1; try a learning"
    )
    assert "continue" not in line


def test_a_directory_that_cannot_be_written_is_rejected_before_training(command, capsys):
    Path("out").write_text("")
    assert main(command) == 2
    assert last_line(capsys) == "mnas train: out can't be created: File exists"
    os.unlink("out")
    os.symlink("nowhere/at/all", "out")
    assert main(command) == 2
    assert "out can't be created" in last_line(capsys)


def test_a_read_only_directory_is_rejected_before_training(command, capsys, monkeypatch):
    monkeypatch.setattr("mnas.files.os.access", lambda path, mode: False)
    assert main(command) == 2
    assert last_line(capsys).startswith("mnas train: out can't be written: no permission")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("none.npz", ["none.npz", "no such file", "accepted: digits"]),
        ("nowhere", ["nowhere", "no such file or folder", "accepted: digits"]),
        ("x" * 300, ["no such file or folder", "accepted: digits"]),
    ],
)
def test_data_that_cannot_be_read_leave_no_directory(command, data, expected, capsys):
    command[command.index("x.npz")] = data
    assert main(command) == 2
    assert_one_line(capsys, "mnas train: data: ", *expected)
    assert not os.path.exists("out")


@pytest.mark.parametrize(("resolution", "told"), [("224", True), ("64", False)])
def test_digits_that_are_enlarged_for_a_network_of_large_images_are_told(
    tmp_path, monkeypatch, capsys, resolution, told
):
    monkeypatch.chdir(tmp_path)
    flags = ["--resolution", resolution, "--init", "none.safetensors"]  # ends before it trains
    assert main(["train", "efficientnet-b0", *flags]) == 2
    assert ("are enlarged to 224×224; --data" in capsys.readouterr().err) == told
