"""A training that ends within an epoch goes on from the same step to the same weights."""

import dataclasses
import os
import signal
import types

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.images import Images, Subset
from mnas.errors import UsageError
from mnas.nn.network import init_variables
from mnas.runtime.signals import Terminated
from mnas.training.checkpoint import CheckpointConfig
from mnas.training.config import TrainingConfig
from mnas.training.devices import Devices
from mnas.training.whole_network import Retraining
from tests.training.test_whole_network import assert_same

NETWORK = Architecture(
    (Block(kernel=3, stride=2, filters=8, expand_ratio=2, repeats=2),),
    resolution=8,
    stem=8,
    head=0,
    classes=6,
    activation="relu",
    name="small",
)
# Everything that draws random numbers.
CONFIG = TrainingConfig(
    epochs=2,
    batch_size=8,
    learning_rate=0.02,
    schedule="constant",
    ema_decay=0.9,
    drop_path=0.2,
    dropout=0.1,
    flip=True,
    crop_padding=1,
    mixup=0.2,
)
rng = np.random.default_rng(0)
LABELS = np.arange(40, dtype=np.int32) % 6
TRAIN = Subset.of(rng.integers(0, 256, (40, 8, 8, 3), np.uint8), LABELS)
HELD_OUT = Subset.of(rng.integers(0, 256, (13, 8, 8, 3), np.uint8), LABELS[:13])
SOURCE = types.SimpleNamespace(digest=lambda: "random pixels")
IMAGES = Images(TRAIN, HELD_OUT, HELD_OUT, tuple("012345"), SOURCE)


def training(directory, config=CONFIG, **options) -> Retraining:
    return Retraining(NETWORK, IMAGES, config, 0, directory, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    whole = training(tmp_path_factory.mktemp("whole"))
    whole.run()
    return whole


def test_a_signal_within_an_epoch_is_followed_by_the_same_weights(whole, tmp_path):
    # In the first step, at the last step of an epoch, and within the second epoch.
    for stops in ([1], [5], [3, 4]):
        directory = tmp_path / str(stops)
        directory.mkdir()

        def interrupt(step, stops=stops):
            if step in stops:
                stops.remove(step)
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(KeyboardInterrupt):
            training(directory).run(on_step=interrupt)
        resumed = training(directory)
        if stops:
            assert resumed.resumed == "resumed after epoch 0 and step 3 of 5"
            with pytest.raises(KeyboardInterrupt):
                resumed.run(on_step=interrupt)
            resumed = training(directory)
            assert (len(resumed.history), resumed.step) == (0, 4)
        assert resumed.run() == whole.history
        assert_same(resumed.variables, whole.variables)
        assert resumed.test == whole.test


class OneOfTwo(Devices):
    """Devices of a process whose only peer has received a signal."""

    processes = 2

    def any(self, *conditions):
        return True, conditions[1]


def test_a_signal_to_another_process_ends_this_one_even_in_short_epochs(whole, tmp_path):
    stopped = training(tmp_path, devices=OneOfTwo(1))
    with pytest.raises(Terminated):
        stopped.run()
    # Five steps: the processes agree after the last step of the epoch, at the latest.
    assert (len(stopped.history), stopped.step) == (0, 5)
    resumed = training(tmp_path)
    resumed.run()
    assert_same(resumed.variables, whole.variables)


def test_a_killed_training_goes_on_from_the_newest_checkpoint(whole, tmp_path):
    class Killed(Exception):
        pass

    def kill(step):
        if step == 4 and os.path.exists(tmp_path / "checkpoints" / "000001-000000000"):
            raise Killed

    every_second = CheckpointConfig(steps=2, keep=3)
    with pytest.raises(Killed):
        training(tmp_path, checkpoints=every_second).run(on_step=kill)
    kept = sorted(os.listdir(tmp_path / "checkpoints"))
    assert kept == ["000000-000000004", "000001-000000000", "000001-000000002"]
    resumed = training(tmp_path)
    assert resumed.resumed == "resumed after epoch 1 and step 2 of 5"
    assert resumed.run() == whole.history
    assert_same(resumed.variables, whole.variables)


def test_the_test_images_are_scored_once_after_training(whole):
    assert (whole.test.n, whole.test.top5 >= whole.test.top1) == (13, True)
    without = dataclasses.replace(IMAGES, test=None)
    resumed = Retraining(NETWORK, without, CONFIG, 0, whole._directory)
    resumed.run()
    assert resumed.test is None
    assert_same(resumed.variables, whole.variables)


def test_frozen_blocks_keep_the_initial_params_and_statistics(tmp_path):
    initial = init_variables(NETWORK, 7)
    initial["stem"]["batch_stats"]["norm"]["mean"] += np.float32(0.25)
    config = dataclasses.replace(CONFIG, epochs=1, optimizer="sgd")
    start = {"initial": initial, "rates": {"stem": 0.0, "stage1_layer1": 0.1}}
    frozen = training(tmp_path, config, **start)
    frozen.run()
    assert_same(frozen.variables["stem"], initial["stem"])
    head = frozen.variables["head"]["params"]["kernel"]
    assert not np.array_equal(head, initial["head"]["params"]["kernel"])
    with pytest.raises(UsageError, match=r"initial was '[0-9a-f]{64}' and is None now"):
        training(tmp_path, config, rates=start["rates"])
    with pytest.raises(UsageError, match=r"rates\.stem was 0\.0 and is None now"):
        training(tmp_path, config, initial=initial)


def test_parts_that_do_not_divide_a_batch_are_rejected(tmp_path):
    config = dataclasses.replace(CONFIG, accumulation=3)
    message = "accumulation = 3; accepted: a divisor of the 8 images of a batch"
    with pytest.raises(UsageError, match=message):
        training(tmp_path, config)
