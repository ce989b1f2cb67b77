"""Training of one network to the end: accuracy, resumption, files."""

import dataclasses
import json

import numpy as np
import pytest
import safetensors

from mnas import __main__ as mnas_command
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.sources import find
from mnas.architecture.spec import to_spec
from mnas.data.images import DataConfig, load
from mnas.nn.weights import load_weights
from mnas.training.blockwise import train
from mnas.training.config import TrainingConfig
from mnas.training.whole_network import Retraining

TINY = Architecture(
    (Block(kernel=3, stride=2, filters=16, expand_ratio=2, repeats=2),),
    resolution=8,
    stem=16,
    head=32,
    classes=10,
    name="tiny",
)
CONFIG = TrainingConfig(
    epochs=3,
    batch_size=16,
    learning_rate=0.02,
    ema_decay=0.9,
    drop_path=0.1,
    dropout=0.1,
    crop_padding=1,
)


@pytest.fixture(scope="module")
def images():
    return load(DataConfig(), TINY.resolution)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(images, directory):
    training = Retraining(TINY, images, CONFIG, 0, directory)
    training.run()
    return training


def leaves(variables, path=""):
    """Return {path: leaf} of nested dicts."""
    if not isinstance(variables, dict):
        return {path: variables}
    return {
        k: v for key, value in variables.items() for k, v in leaves(value, f"{path}/{key}").items()
    }


def assert_same(one, other):
    one, other = leaves(one), leaves(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_learns_the_digits(whole):
    assert [epoch.epoch for epoch in whole.history] == [1, 2, 3]
    assert whole.history[-1].loss < whole.history[0].loss
    assert whole.history[-1].accuracy > 0.5  # ten classes


def test_trains_to_the_same_weights_as_blockwise_training(images, tmp_path):
    config = TrainingConfig(epochs=1, batch_size=256, ema_decay=0.5, flip=True)
    whole = Retraining(TINY, images, config, 0, tmp_path)
    whole.run()
    held_out = (images.validation_images, images.validation_labels)
    labelled = (images.train_images, images.train_labels)
    expected = train(TINY, *labelled, config, 0, validation=held_out)
    assert whole.history[0].loss == pytest.approx(expected.loss, rel=1e-4)
    one, other = leaves(whole.variables), leaves(expected.variables)
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, other[name], rtol=2e-3, atol=2e-3, err_msg=name)


def test_resumed_training_reaches_the_weights_of_an_uninterrupted_one(whole, images, tmp_path):
    class Killed(Exception):
        pass

    def kill(epoch):
        raise Killed

    for _ in range(2):  # after the first epoch, and after the second
        with pytest.raises(Killed):
            Retraining(TINY, images, CONFIG, 0, tmp_path).run(kill)
    resumed = Retraining(TINY, images, CONFIG, 0, tmp_path)
    assert len(resumed.history) == 2
    assert resumed.run() == whole.history
    assert_same(resumed.variables, whole.variables)


@pytest.mark.usefixtures("whole")
def test_other_settings_in_the_same_directory_are_rejected(images, directory):
    other = dataclasses.replace(CONFIG, learning_rate=0.1)
    with pytest.raises(ValueError, match="training = "):
        Retraining(TINY, images, other, 0, directory)
    with pytest.raises(ValueError, match="seed = 0, now 1"):
        Retraining(TINY, images, CONFIG, 1, directory)


def test_weights_and_spec_can_be_read_back(whole, images, directory):
    architecture = find(str(directory / "spec.json"))
    assert architecture == TINY
    weights = directory / "weights.safetensors"
    assert_same(load_weights(weights, architecture), whole.variables)
    with safetensors.safe_open(weights, framework="np") as file:
        mean, std = (json.loads(file.metadata()[f"pixel_{name}"]) for name in ("mean", "std"))
    pixels = images.train_images.reshape(-1, 3)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-5)


def test_train_command_writes_weights_and_rejects_another_seed(tmp_path, capsys):
    spec = tmp_path / "tiny.json"
    block = Block(op="conv", kernel=1, stride=2, filters=8)
    spec.write_text(json.dumps(to_spec(TINY.replace(blocks=(block,), classes=3))))
    flags = ["--epochs", "1", "--batch-size", "64", "--out", str(tmp_path / "out"), "--json"]
    assert mnas_command.main(["train", str(spec), *flags]) == 0
    printed = capsys.readouterr()
    described = json.loads(printed.out)
    assert described["history"][0]["epoch"] == 1
    assert (tmp_path / "out" / "weights.safetensors").is_file()
    assert mnas_command.main(["train", str(spec), *flags, "--seed", "1"]) == 2
    assert "seed = 0" in capsys.readouterr().err
