"""`mnas evaluate`: the score of given weights, and mistakes."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from mnas.__main__ import main
from mnas.architecture.spec import from_spec
from mnas.cli import evaluate
from mnas.data import images
from mnas.data.teacher import Teacher
from mnas.nn.network import init_variables
from mnas.nn.weights import load_weights, save_weights, saved_normalisation
from mnas.training.step import infer
from tests.cli.commands import assert_one_line
from tests.cli.test_train import SPEC


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return a directory with a training in `out` on `x.npz`, not to be changed."""
    directory = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 10
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        Path("tiny.json").write_text(json.dumps(SPEC))
        np.savez("x.npz", x_train=pixels, y_train=labels, x_test=pixels[:11], y_test=labels[:11])
        np.savez("plain.npz", x_train=pixels, y_train=labels)
        np.savez("three.npz", x_train=pixels, y_train=labels % 3)
        words = ["--data", "x.npz", "--batch-size", "8", "--epochs", "3", "--out", "out"]
        assert main(["train", "tiny.json", *words]) == 0
    return directory


@pytest.fixture
def command(trained, monkeypatch):
    monkeypatch.chdir(trained)
    return ["evaluate", "out", "--weights", "out/weights.safetensors", "--data", "x.npz"]


def evaluated(command, capsys):
    assert main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_score_is_that_of_the_end_of_the_training(command, capsys):
    result = json.loads(Path("out/result.json").read_text())
    test = evaluated(command, capsys)
    assert {key: test[key] for key in result["test"]} == result["test"]
    validation = evaluated([*command, "--split", "validation"], capsys)
    assert (validation["n"], validation["top1"]) == (8, result["validation"]["top1"])
    assert main(command) == 0
    assert capsys.readouterr().out.startswith(f"test: top-1 {test['top1']:.2%} (")


def test_batch_size_that_does_not_divide_the_images_changes_nothing(command, capsys):
    one = evaluated(command, capsys)
    assert evaluated([*command, "--batch-size", "3"], capsys) == one


def test_weights_without_statistics_are_normalised_as_timms(command, tmp_path, capsys):
    architecture = from_spec(SPEC)
    statistics = [
        [value * 255 for value in v] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    ]
    variables = init_variables(architecture, 0)
    save_weights(tmp_path / "timm.safetensors", architecture, variables)
    save_weights(tmp_path / "ours.safetensors", architecture, variables, tuple(statistics))
    words = ["evaluate", "tiny.json", "--data", "x.npz", "--weights"]
    timms = evaluated([*words, str(tmp_path / "timm.safetensors")], capsys)
    ours = evaluated([*words, str(tmp_path / "ours.safetensors")], capsys)
    given = [str(tmp_path / "timm.safetensors"), "--mean", "0", "0.9", "0", "--std", "1", "9", "1"]
    assert (timms["top1"], timms["top5"]) == (ours["top1"], ours["top5"])
    assert evaluated([*words, *given], capsys)["top5"] != timms["top5"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"x.npz": "three.npz"}, ["out has 10 classes", "three.npz has 3 (0, 1, 2)"]),
        ({"x.npz": "plain.npz"}, ["plain.npz has no test images; accepted: --split validation"]),
        ({"out/weights.safetensors": "none"}, ["none can't be read"]),
        ({"out/weights.safetensors": "x.npz"}, ["x.npz is not a .safetensors file"]),
        ({"out": "efficientnet-b0"}, ["efficientnet-b0 has 1000 classes"]),
    ],
)
def test_what_does_not_fit_is_one_line(command, changes, expected, capsys):
    assert main([changes.get(word, word) for word in command]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("mnas evaluate: ")
    assert all(text in line for text in expected), line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--std", "1", "1", "1"], "std = (1.0, 1.0, 1.0); accepted: with --mean"),
        (["--mean", "1", "1", "1"], "mean = (1.0, 1.0, 1.0); accepted: with --std"),
        (["--mean", "1", "1", "1", "--std", "1", "0", "1"], "accepted: numbers above 0"),
        (["--mean", "nan", "1", "1", "--std", "1", "1", "1"], "mean = (nan, 1.0, 1.0)"),
        (["--mean", "1", "a", "1", "--std", "1", "1", "1"], "accepted: {FLOAT FLOAT FLOAT}"),
        (["--batch-size", "0"], "batch_size = 0"),
        (["--split", "train"], "--split"),
    ],
)
def test_settings_are_checked(command, words, expected, capsys):
    assert main([*command, *words]) == 2
    assert_one_line(capsys, "mnas evaluate: ", expected)


def test_weights_are_those_of_the_training_unless_given(command, capsys):
    without = [word for word in command if word not in ("--weights", "out/weights.safetensors")]
    assert evaluated(without, capsys) == evaluated(command, capsys)
    without[1] = "out/spec.json"
    assert main(without) == 2
    assert_one_line(capsys, "no weights given; accepted: with --weights FILE.safetensors")


@pytest.mark.parametrize(("words", "resolution"), [([], 8), (["--resolution", "12"], 12)])
def test_resolution_is_that_of_the_spec_unless_given(command, words, resolution, monkeypatch):
    resolutions = []

    def load(config, resolution, **options):
        resolutions.append(resolution)
        return images.load(config, resolution, **options)

    monkeypatch.setattr(evaluate, "load", load)
    assert main([*command, *words]) == 0
    assert resolutions == [resolution]


def test_predictions_are_those_of_all_training_images_in_their_order(command, tmp_path, capsys):
    path = tmp_path / "teacher.npz"
    score = evaluated(command, capsys)
    assert evaluated([*command, "--predictions", str(path), "--batch-size", "7"], capsys) == score
    teacher = Teacher.read(path)
    data = images.load(images.DataConfig("x.npz"), 8)
    teacher.require_images(data)
    network = from_spec(json.loads(Path("out/spec.json").read_text()))
    mean, std = saved_normalisation("out/weights.safetensors")
    pixels = np.load("x.npz")["x_train"].astype(np.float32)
    logits = infer(network, load_weights("out/weights.safetensors", network), (pixels - mean) / std)
    np.testing.assert_allclose(teacher.probabilities, jax.nn.softmax(logits), atol=1e-6)


def test_predictions_that_cannot_be_written_are_rejected_before_the_score(command, capsys):
    assert main([*command, "--predictions", "none/t.npz"]) == 2
    assert "none/t.npz can't be written: no such directory" in capsys.readouterr().err
