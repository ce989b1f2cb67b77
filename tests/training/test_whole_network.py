"""Training of one network to the end: accuracy, resumption, files."""

import dataclasses
import json
import os
import resource
import signal
import types

import numpy as np
import pytest
import safetensors

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.sources import find
from mnas.data.feeds import DeviceImages
from mnas.data.images import DataConfig, load
from mnas.errors import UsageError
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
    feed = DeviceImages(images.train)
    held_out = DeviceImages(images.validation, (feed.mean, feed.std))
    expected = train(TINY, feed, config, 0, validation=held_out)
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
    with pytest.raises(UsageError, match=r"training\.learning_rate was 0\.02 and is 0\.1 now"):
        Retraining(TINY, images, other, 0, directory)
    with pytest.raises(UsageError, match="seed was 0 and is 1 now; accepted: 0, or another dir"):
        Retraining(TINY, images, CONFIG, 1, directory)
    # The cosine schedule depends on the number of epochs.
    with pytest.raises(UsageError, match=r"training\.epochs was 3 and is 4 now; accepted: 3"):
        Retraining(TINY, images, dataclasses.replace(CONFIG, epochs=4), 0, directory)


@pytest.mark.usefixtures("whole")
def test_changed_images_are_rejected_and_their_path_does_not_matter(images, directory):
    other_source = types.SimpleNamespace(digest=lambda: "another")
    first, *others = images.train.positions
    swapped = dataclasses.replace(images.train, positions=np.array([*others, first]))
    for changed in ({"source": other_source}, {"train": swapped}):
        changed = dataclasses.replace(images, **changed)
        with pytest.raises(UsageError, match=r"the images of here\.npz are not those of the train"):
            Retraining(TINY, changed, CONFIG, 0, directory, "here.npz")
    resumed = Retraining(TINY, images, CONFIG, 0, directory, "there.npz")
    assert len(resumed.history) == 3


def test_exponential_schedule_can_be_continued_with_more_epochs(images, tmp_path):
    config = dataclasses.replace(CONFIG, schedule="exponential", epochs=1)
    longer = dataclasses.replace(config, epochs=2)
    for name in ("resumed", "whole"):
        (tmp_path / name).mkdir()
    Retraining(TINY, images, config, 0, tmp_path / "resumed").run()
    resumed = Retraining(TINY, images, longer, 0, tmp_path / "resumed")
    assert len(resumed.history) == 1
    assert resumed.resumed == "resumed after epoch 1; 2 epochs instead of 1"
    resumed.run()
    uninterrupted = Retraining(TINY, images, longer, 0, tmp_path / "whole")
    assert resumed.history == uninterrupted.run()
    assert_same(resumed.variables, uninterrupted.variables)
    with pytest.raises(UsageError, match="epochs = 1; accepted: at least 2, as trained"):
        Retraining(TINY, images, config, 0, tmp_path / "resumed")


def test_divergence_keeps_the_checkpoint_of_the_epoch_before(images, tmp_path, monkeypatch):
    # A schedule that explodes in the second epoch.
    monkeypatch.setattr(
        "mnas.training.whole_network.learning_rate",
        lambda config, step, steps: 0.01 if step < steps else 1e30,
    )
    training = Retraining(TINY, images, CONFIG, 0, tmp_path)
    with pytest.raises(
        FloatingPointError, match=r"not finite in epoch 2; .*has the steps before; "
    ):
        training.run()
    assert [epoch.epoch for epoch in Retraining(TINY, images, CONFIG, 0, tmp_path).history] == [1]
    assert not (tmp_path / "weights.safetensors").exists()


def test_a_full_disk_is_named_and_the_checkpoint_before_remains(images, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(epoch):  # in effect: no file may grow beyond 4 kB
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))

    training = Retraining(TINY, images, CONFIG, 0, tmp_path)
    try:
        with pytest.raises(UsageError, match=r"000002-000000000 can't be written: File too large"):
            training.run(fill_the_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path) == ["checkpoints"]
    assert len(Retraining(TINY, images, CONFIG, 0, tmp_path).history) == 1


def test_weights_and_spec_can_be_read_back(whole, images, directory):
    architecture = find(str(directory / "spec.json"))
    assert architecture == TINY
    weights = directory / "weights.safetensors"
    assert_same(load_weights(weights, architecture), whole.variables)
    with safetensors.safe_open(weights, framework="np") as file:
        mean, std = (json.loads(file.metadata()[f"pixel_{name}"]) for name in ("mean", "std"))
    pixels = images.train.read().reshape(-1, 3)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_training_after_the_step(whole, images, tmp_path, number):
    def interrupt(epoch):
        os.kill(os.getpid(), number)

    training = Retraining(TINY, images, CONFIG, 0, tmp_path)
    # A shell starts background jobs with SIGINT ignored, which stays so.
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            training.run(interrupt)
    finally:
        signal.signal(number, before)
    resumed = Retraining(TINY, images, CONFIG, 0, tmp_path)
    assert len(resumed.history) == 1
    assert resumed.run() == whole.history
    assert_same(resumed.variables, whole.variables)
