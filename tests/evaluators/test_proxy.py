"""Proxy training: images found unreadable before a search, streamed images, settings."""

import dataclasses
import types

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluation import BlockCompiler
from mnas.evaluators.proxy import ProxyConfig
from mnas.runtime.backends import Backend
from mnas.training import blockwise
from mnas.training.blockwise import SCORES
from mnas.training.config import TrainingConfig, resolution_epochs
from tests.data.sets import save_classes

TINY = Architecture(
    (Block(kernel=3, stride=1, filters=8),), resolution=8, stem=8, head=16, classes=10, name="tiny"
)
CONFIG = ProxyConfig(
    data=DataConfig(train_images=64, validation=40),
    training=TrainingConfig(epochs=2, batch_size=16, flip=True, crop_padding=1, mixup=0.2),
)

RESULTS = [field.name for field in dataclasses.fields(blockwise.TrainingResult)]


def test_streamed_images_give_the_same_evaluation():
    data = dataclasses.replace(CONFIG.data, feeding="stream")
    stream = dataclasses.replace(CONFIG, data=data).build()
    found, expected = stream(TINY, 3), CONFIG.build()(TINY, 3)
    assert found.accuracy == expected.accuracy
    assert stream(TINY, 3).accuracy == expected.accuracy


def test_where_workers_keep_images_is_said_for_their_backend(monkeypatch):
    network, auto = TINY.replace(resolution=16), "79.9 kB of images on the device"
    assert dataclasses.replace(CONFIG, resolution=8).describe_images(network, "cpu") == (
        "20.0 kB of images on the device"
    )
    assert CONFIG.describe_images(network, "cpu") == auto
    assert CONFIG.describe_images(network, "gpu") == f"{auto}, or streamed if they do not fit"
    monkeypatch.setattr("mnas.data.feeds.room", lambda: 0)
    assert CONFIG.describe_images(network, "cpu") == "79.9 kB of images streamed by threads"
    asked = dataclasses.replace(CONFIG.data, feeding="device")
    assert dataclasses.replace(CONFIG, data=asked).describe_images(network, "gpu") == auto


@pytest.mark.parametrize("program", ["blocks", "whole"])
def test_children_are_trained_as_the_settings_say(program, monkeypatch):
    asked = []
    result = types.SimpleNamespace(**dict.fromkeys(RESULTS, 0.5))

    def train(*arguments, **options):
        asked.append((options["program"], arguments[2].precision))
        return result

    def measure_latency_ms(architecture, trained, *, program):
        asked.append(program)
        return 3.0

    monkeypatch.setattr(blockwise, "train", train)
    monkeypatch.setattr(blockwise, "measure_latency_ms", measure_latency_ms)
    training = dataclasses.replace(CONFIG.training, precision="bfloat16")
    config = dataclasses.replace(CONFIG, program=program, training=training, measure_latency=True)
    found = config.build()(TINY, 3)
    assert asked == [(program, "bfloat16"), program]
    assert (found.accuracy, found.latency_ms) == (0.5, 3.0)
    assert isinstance(config.build(), BlockCompiler) == (program == "blocks")


def test_automatic_settings_follow_the_backend_and_others_stay(monkeypatch):
    table = {"cpu": Backend("blocks", "float32", 1), "gpu": Backend("whole", "bfloat16", 2)}
    monkeypatch.setattr("mnas.runtime.backends.BACKENDS", table)
    config = ProxyConfig()
    chosen = {
        name: (found.program, found.training.precision)
        for name in ("cpu", "gpu", "unknown")
        for found in [config.for_backend(name)]
    }
    assert chosen == {
        "cpu": ("blocks", "float32"),
        "gpu": ("whole", "bfloat16"),
        "unknown": ("blocks", "float32"),
    }
    given = ProxyConfig(program="blocks", training=TrainingConfig(precision="float32"))
    assert given.for_backend("gpu") == given
    assert config.build().config == config.for_backend("cpu")  # of this process


def test_children_in_bfloat16_compile_nothing_after_their_programs_were_compiled():
    training = dataclasses.replace(CONFIG.training, precision="bfloat16", drop_path=0.2)
    evaluator = dataclasses.replace(CONFIG, training=training).build()
    evaluator.compile_batches(TINY)
    for index in range(3):
        evaluator.compile_block(TINY, index)
    assert evaluator(TINY, 0).timings["compiles"] == 0


def test_children_of_rising_resolution_compile_nothing_after_their_programs():
    training = dataclasses.replace(CONFIG.training, progressive=8, epochs=3, precision="bfloat16")
    network, evaluator = TINY.replace(resolution=24), dataclasses.replace(CONFIG, training=training)
    assert [*resolution_epochs(training, 24)] == [8, 16, 24]
    evaluator = evaluator.build()
    evaluator.compile_batches(network)
    for index in range(3):
        evaluator.compile_block(network, index)
    found = evaluator(network, 0)
    assert found.timings["compiles"] == 0


def test_children_are_trained_at_rising_resolutions_by_either_program():
    def likelihood(**settings):
        rates = {"learning_rate": 0.1, "epochs": 4}
        training = dataclasses.replace(CONFIG.training, **rates, **settings.pop("training", {}))
        config = dataclasses.replace(CONFIG, training=training, score="likelihood", **settings)
        return config.build()(TINY.replace(resolution=16), 0).accuracy

    rising = {"progressive": 8}
    blocks = likelihood(training=rising)
    assert blocks == pytest.approx(likelihood(training=rising, program="whole"), rel=2e-4)
    assert blocks != pytest.approx(likelihood(), rel=1e-3)


def test_a_first_resolution_above_the_network_s_is_rejected_before_a_search():
    training = dataclasses.replace(CONFIG.training, progressive=9)
    with pytest.raises(UsageError, match=r"progressive = 9; accepted: .*8"):
        dataclasses.replace(CONFIG, training=training).check(TINY)


def test_children_compile_nothing_after_their_programs_were_compiled():
    training = dataclasses.replace(
        CONFIG.training, random_crop=0.5, randaugment=1, erasing=0.5, cutmix=1.0
    )
    evaluator = dataclasses.replace(CONFIG, training=training).build()
    evaluator.compile_batches(TINY)
    for index in range(3):
        evaluator.compile_block(TINY, index)
    first, again = evaluator(TINY, 0), evaluator(TINY, 0)
    assert first.timings["compiles"] == 0
    assert first.accuracy == again.accuracy


@pytest.mark.parametrize("room", [10**9, 0], ids=["on the device", "streamed"])
def test_an_unreadable_image_is_found_before_a_search(tmp_path, monkeypatch, room):
    monkeypatch.setattr("mnas.data.feeds.room", lambda: room)
    save_classes(tmp_path, count=10)
    config = ProxyConfig(data=DataConfig(str(tmp_path), validation=5))
    config.check(TINY.replace(classes=2))
    (tmp_path / "dog" / "7.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match=r"7\.png can't be read as an image"):
        config.check(TINY.replace(classes=2))


def test_large_data_without_grain_are_rejected_before_a_search(monkeypatch):
    monkeypatch.setattr("mnas.data.feeds.room", lambda: 0)
    monkeypatch.setattr("mnas.data.streaming.is_installed", lambda: False)
    with pytest.raises(UsageError, match=r"pip install 'mnas\[stream\]'"):
        CONFIG.check(TINY)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"accumulation": 2}, "accumulation = 2; accepted: 1 in a search"),
    ],
)
def test_settings_of_whole_networks_are_rejected_in_a_search(setting, message):
    with pytest.raises(UsageError, match=rf"^training: {message}"):
        ProxyConfig(training=TrainingConfig(**setting))


def test_children_may_be_narrower_and_smaller_than_their_networks():
    network = TINY.replace(stem=16, head=32, resolution=16)
    reduced = dataclasses.replace(CONFIG, width=0.5, resolution=8)
    assert reduced.trained(network) == TINY.replace(stem=8, head=16)
    evaluator = reduced.build()
    evaluator.compile_batches(network)
    for index in range(3):
        evaluator.compile_block(network, index)
    found = evaluator(network, 3)
    assert found.timings["compiles"] == 0
    assert found.accuracy == CONFIG.build()(TINY, 3).accuracy


def test_the_score_that_the_settings_name_is_the_accuracy_of_evaluations():
    scores = {}
    for score in SCORES:
        reports = []
        found = dataclasses.replace(CONFIG, score=score).build()(
            TINY, 3, lambda epoch, value, reports=reports: reports.append((epoch, value))
        )
        assert reports[-1] == (2, found.accuracy)
        scores[score] = found.accuracy
    assert scores["accuracy"] * 40 == round(scores["accuracy"] * 40)  # of 40 images
    # An untrained network's, of ten classes, is about 0.1.
    assert 0.05 < scores["likelihood"] < 0.5
    assert 0.05 < scores["training-likelihood"] < 0.5
    assert len(set(scores.values())) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"program": "block"}, "program = 'block'; accepted: auto, blocks, whole"),
        ({"score": "loss"}, "score = 'loss'; accepted: accuracy, likelihood, training-likelihood"),
        ({"width": 2.0}, "width = 2.0; accepted: "),
        ({"resolution": 0}, "resolution = 0; accepted: "),
        ({"width": 0.5, "measure_latency": True}, "measure_latency = True with width"),
    ],
)
def test_settings_of_the_reduction_are_checked(settings, message):
    with pytest.raises(UsageError, match=rf"^proxy: {message}"):
        ProxyConfig(**settings)


def test_images_are_read_once_for_all_children(monkeypatch):
    evaluator = CONFIG.build()
    first, again = evaluator.feeds_for(TINY), evaluator.feeds_for(TINY)
    assert first is again
    np.testing.assert_array_equal(first[0].mean, first[1].mean)
