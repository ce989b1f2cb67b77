"""Block-compiled training against whole-network `jax.grad` and Optax; determinism; accuracy."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.augmentation import Augmentation
from mnas.data.batches import calibration_batches
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.nn.network import (
    Network,
    block_variables,
    init_variables,
    network_blocks,
    network_variables,
)
from mnas.training.blockwise import accuracy, measure_latency_ms, train
from mnas.training.config import TrainingConfig
from mnas.training.precompile import compile_batches, compile_block
from tests.compiling import quick_jit

TINY = Architecture(
    (
        Block(kernel=3, stride=1, filters=8, se_ratio=0.25),
        Block(kernel=3, stride=2, filters=8, expand_ratio=2, repeats=2),
    ),
    resolution=8,
    stem=8,
    head=16,
    classes=4,
)
# Batch size, weight decay and averaging are the same in most tests, which then share programs.
CONFIG = TrainingConfig(
    epochs=2,
    batch_size=16,
    warmup_epochs=0.0,
    weight_decay=1e-3,
    ema_decay=0.9,
    calibration_batches=4,
)


def bars(count, seed=0):
    """Return noisy images with a bright bar in one of four columns, which is the label."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    images = rng.integers(0, 120, (count, 8, 8, 3))
    for image, label in zip(images, labels, strict=True):
        image[:, 2 * label : 2 * label + 2] += 100
    return images.astype(np.uint8), labels


IMAGES, LABELS = bars(64)
FEED = DeviceImages(Subset.of(IMAGES, LABELS))
HELD_OUT = DeviceImages(Subset.of(*bars(50, seed=1)), (FEED.mean, FEED.std))


def feeds(training, validation):
    """Return the feeds of (images, labels) to train and to validate on."""
    feed = DeviceImages(Subset.of(*training))
    return feed, DeviceImages(Subset.of(*validation), (feed.mean, feed.std))


def assert_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def normalized(images, training_images=IMAGES):
    pixels = training_images.astype(np.float64)
    mean, std = pixels.mean((0, 1, 2)), pixels.std((0, 1, 2))
    return ((images - mean) / std).astype(np.float32)


def predictions(architecture, variables, images):
    """Return labels predicted by the whole network for normalised images."""
    logits = quick_jit(Network(architecture).apply)(network_variables(variables), images)
    return np.argmax(logits, -1)


@pytest.fixture(scope="module")
def trained():
    return train(TINY, FEED, CONFIG, seed=5, validation=HELD_OUT)


def test_training_equals_whole_network_grad_with_optax():
    # Three steps on one batch of all images, so that their order does not matter.
    images, labels = IMAGES[:16], LABELS[:16]
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=0.02)
    result = train(TINY, DeviceImages(Subset.of(images, labels)), config, seed=5)
    assert result.epochs == 3

    initial = network_variables(init_variables(TINY, 5))["params"]
    kernels = jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", initial)
    # TensorFlow's RMSProp in Optax; cosine schedule from 0.02 over three steps.
    optimizer = optax.chain(
        optax.add_decayed_weights(1e-3, kernels),
        optax.rmsprop(
            lambda step: 0.02 * (1 + jnp.cos(jnp.pi * step / 3)) / 2,
            decay=0.9,
            eps=1e-3,
            initial_scale=1.0,
            momentum=0.9,
        ),
    )

    def loss(params, x, labels):
        logits, _ = Network(TINY).apply({"params": params}, x, True, mutable=["batch_stats"])
        targets = 0.9 * jax.nn.one_hot(labels, 4) + 0.1 / 4
        return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()

    @quick_jit
    def step(params, state, average, decay, x, labels):
        value, gradient = jax.value_and_grad(loss)(params, x, labels)
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, average, params)
        return params, state, average, value

    params, state, average = initial, optimizer.init(initial), initial
    x = normalized(images, images)
    for number in range(3):
        decay = min(0.9, (1 + number) / (10 + number))
        params, state, average, value = step(params, state, average, decay, x, labels)
    assert result.loss == pytest.approx(float(value), rel=1e-4)
    expected = block_variables({"params": average})
    for name, block in result.variables.items():
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-5),
            block["params"],
            expected[name]["params"],
        )
    # Nearly all weights have moved, so the comparison is not trivial. (A bias before a convolution
    # with BatchNorm has zero gradient.)
    moved = jax.tree.map(lambda a, b: bool(np.abs(a - b).max() > 1e-4), average, initial)
    assert np.mean(jax.tree.leaves(moved)) > 0.8


@pytest.mark.usefixtures("trained")
def test_child_of_known_blocks_compiles_nothing():
    # More layers and another schedule, but the same set of blocks.
    deeper = TINY.replace(
        blocks=(TINY.blocks[0], dataclasses.replace(TINY.blocks[1], repeats=4)), name="deeper"
    )
    config = dataclasses.replace(CONFIG, epochs=1, learning_rate=0.005, schedule="exponential")
    result = train(deeper, FEED, config, seed=1, validation=HELD_OUT)
    assert (result.compiles, result.compile_seconds, result.trace_seconds) == (0, 0.0, 0.0)
    # A new head is compiled.
    wider = train(TINY.replace(head=24), FEED, config, seed=1)
    assert wider.compiles >= 2 and wider.compile_seconds > 0 and wider.trace_seconds > 0


def test_equal_seeds_give_equal_weights(trained):
    again = train(TINY, FEED, CONFIG, seed=5, validation=HELD_OUT)
    assert_equal(again.variables, trained.variables)
    assert (again.loss, again.accuracy) == (trained.loss, trained.accuracy)
    other = train(TINY, FEED, CONFIG, seed=6)
    kernels = [r.variables["stem"]["params"]["conv"]["kernel"] for r in (trained, other)]
    assert not np.array_equal(*kernels)


def test_augmentation_and_dropping_are_deterministic():
    config = dataclasses.replace(
        CONFIG, epochs=1, flip=True, crop_padding=1, drop_path=0.5, dropout=0.5
    )
    first, second = (train(TINY, FEED, config, seed=2) for _ in range(2))
    assert_equal(first.variables, second.variables)
    plain = dataclasses.replace(config, drop_path=0.0, dropout=0.0)
    other = train(TINY, FEED, plain, seed=2)
    assert other.loss != first.loss


def test_reports_do_not_change_training(trained):
    reports = []
    result = train(
        TINY,
        FEED,
        CONFIG,
        seed=5,
        validation=HELD_OUT,
        report=lambda epoch, value: reports.append((epoch, value)),
    )
    assert_equal(result.variables, trained.variables)
    assert result.history == tuple(reports)
    assert [epoch for epoch, _ in reports] == [1, 2]
    assert result.accuracy == reports[-1][1] == trained.accuracy
    assert trained.history == ()


def test_report_can_stop_training():
    config = dataclasses.replace(CONFIG, epochs=5)
    answers = iter([None, "stop"])
    result = train(
        TINY,
        FEED,
        config,
        seed=5,
        validation=FEED,
        report=lambda *_: next(answers),
    )
    assert result.epochs == len(result.history) == 2


def test_training_learns_and_accuracy_is_the_whole_networks():
    images, labels = bars(512, seed=2)
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=0.02)
    held_out = bars(101, seed=3)  # not a multiple of the batch size
    feed, validation = feeds((images, labels), held_out)
    result = train(TINY, feed, config, seed=0, validation=validation)
    assert result.accuracy > 0.9  # chance is 0.25
    assert result.accuracy == accuracy(TINY, result, *held_out, batch_size=16)
    assert result.accuracy == accuracy(TINY, result, *held_out, batch_size=1)
    predicted = predictions(TINY, result.variables, normalized(held_out[0], images))
    assert result.accuracy == (predicted == held_out[1]).mean()


RESNET = Architecture(
    (
        Block(op="basic", kernel=3, stride=1, filters=8, skip="projection"),
        Block(
            op="bottleneck", kernel=3, stride=2, filters=16, expand_ratio=4, repeats=2,
            skip="projection",
        ),
    ),
    resolution=8,
    stem=8,
    stem_kernel=7,
    stem_pool=True,
    head=0,
    classes=4,
    activation="relu",
    padding="symmetric",
    bn_epsilon=1e-5,
)  # fmt: skip
MOBILENET_V1 = Architecture(
    (
        Block(op="separable", kernel=3, stride=1, filters=16, skip="none"),
        Block(op="separable", kernel=3, stride=2, filters=24, repeats=2, skip="none"),
    ),
    resolution=8,
    stem=8,
    head=0,
    classes=4,
    activation="relu6",
)


@pytest.mark.parametrize("architecture", [RESNET, MOBILENET_V1], ids=["resnet", "mobilenet-v1"])
def test_precompiled_networks_of_other_blocks_learn(architecture):
    images, labels = bars(256, seed=2)
    config = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.01, drop_path=0.1, dropout=0.1)
    held_out = bars(100, seed=3)
    feed, validation = feeds((images, labels), held_out)
    compile_batches(architecture, feed, config, validation)
    for index in range(len(network_blocks(architecture))):
        compile_block(architecture, index, config, config.batch_size)
    result = train(architecture, feed, config, seed=0, validation=validation)
    assert result.compiles == 0
    assert result.accuracy > 0.7  # chance is 0.25
    # Padding and BatchNorm's epsilon are those of the whole network.
    predicted = predictions(architecture, result.variables, normalized(held_out[0], images))
    assert result.accuracy == (predicted == held_out[1]).mean()


@pytest.mark.parametrize("padding", [0, 2])
def test_calibration_gives_statistics_over_all_pixels_of_images_as_trained(padding):
    # Four batches; the stem's BatchNorm, whose input depends on no other statistics.
    config = dataclasses.replace(CONFIG, epochs=1, crop_padding=padding)
    result = train(TINY, FEED, config, seed=5)
    stem = result.variables["stem"]
    images = normalized(IMAGES)
    if padding:
        moved = calibration_batches(FEED, CONFIG.batch_size, 5, 4, Augmentation(padding=padding))
        images = np.concatenate(list(moved))
        assert not np.allclose(images.mean(), normalized(IMAGES).mean(), atol=1e-3)
    y = jax.lax.conv_general_dilated(
        images,
        stem["params"]["conv"]["kernel"],
        (2, 2),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    y = np.asarray(y, np.float64)
    statistics = stem["batch_stats"]["norm"]
    np.testing.assert_allclose(statistics["mean"], y.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(statistics["var"], y.var((0, 1, 2)), rtol=1e-4)


def test_non_finite_loss_is_an_error():
    config = dataclasses.replace(CONFIG, learning_rate=1e30)
    # The first step's loss is finite; the second step has weights of about 1e30.
    with pytest.raises(FloatingPointError, match=r"loss is not finite at step [23] \(epoch 1"):
        train(TINY, FEED, config, seed=0)


def test_batch_is_limited_to_the_number_of_images():
    shallow = TINY.replace(blocks=TINY.blocks[:1])
    feed = DeviceImages(Subset.of(IMAGES[:5], LABELS[:5]))
    result = train(shallow, feed, dataclasses.replace(CONFIG, epochs=1), seed=0)
    assert math.isfinite(result.loss)
    assert result.accuracy is None


def test_latency_is_positive(trained):
    assert 0 < measure_latency_ms(TINY, trained, repeats=3) < 1000


def test_unsuitable_images_and_labels_are_rejected():
    with pytest.raises(ValueError, match="resolution 8; accepted: 16"):
        train(TINY.replace(resolution=16), FEED, CONFIG, seed=0)
    with pytest.raises(ValueError, match=r"0 to 3; accepted: 0 to 2"):
        train(TINY.replace(classes=3), FEED, CONFIG, seed=0)
    with pytest.raises(ValueError, match="validation = None"):
        train(TINY, FEED, CONFIG, seed=0, report=print)
