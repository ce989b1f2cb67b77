"""Children as one program against chains of blocks; both in bfloat16."""

import dataclasses

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.training.blockwise import measure_latency_ms, train
from mnas.training.config import TrainingConfig
from tests.caches import cache_in

# Two equal layers, of which the second may be dropped: one compilation.
TINY = Architecture(
    (Block(kernel=3, stride=1, filters=8, repeats=2),),
    resolution=8,
    stem=8,
    head=16,
    classes=4,
)
CONFIG = TrainingConfig(
    epochs=2,
    batch_size=16,
    warmup_epochs=0.0,
    weight_decay=1e-3,
    ema_decay=0.9,
    drop_path=0.3,
    dropout=0.3,
    mixup=0.2,
    calibration_batches=3,
    zero_residual=True,
    norm_bias_rate=2.0,
)


def feeds():
    """Return feeds of random images, brighter by class, to train and to validate on."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 114)
    noise = rng.integers(0, 120, (114, 8, 8, 3)) + 40 * labels[:, None, None, None]
    images = noise.clip(0, 255).astype(np.uint8)
    training = DeviceImages(Subset.of(images[:64], labels[:64]))
    held_out = Subset.of(images[64:], labels[64:])
    return training, DeviceImages(held_out, (training.mean, training.std))


FEED, HELD_OUT = feeds()


def reported(program, precision="float32"):
    """Return the result of a training, and what it reported."""
    reports = []
    config = dataclasses.replace(CONFIG, precision=precision)
    result = run(program, config, lambda *pair: reports.append(pair))
    return result, np.array(reports)


@pytest.fixture(scope="module")
def blocks():
    return reported("blocks")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def whole(blocks, cache):
    """Return the same as `blocks`, which has compiled the batches, of a whole child."""
    with cache_in(cache):
        return reported("whole")


def run(program, config=CONFIG, report=None):
    return train(TINY, FEED, config, 3, report=report, validation=HELD_OUT, program=program)


def assert_close(variables, others, tolerance):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        variables,
        others,
    )


def assert_equal(variables, others):
    jax.tree.map(np.testing.assert_array_equal, variables, others)


def test_a_whole_child_is_the_chain_of_blocks_up_to_rounding(blocks, whole):
    (chain, expected), (found, reports) = blocks, whole
    assert found.loss == pytest.approx(chain.loss, rel=1e-5)
    assert_close(found.variables, chain.variables, 1e-4)
    assert reports[:, 0].tolist() == [1, 2] and found.epochs == 2
    np.testing.assert_allclose(reports, expected, atol=1 / len(HELD_OUT))
    assert found.accuracy == reports[-1, 1]


def test_programs_of_a_network_are_compiled_once_and_read_from_disk_later(whole, cache):
    first, reports = whole
    # Update, statistics and inference, although two epochs were evaluated.
    assert (first.compiles, first.cache_reads) == (3, 0)
    stopped = []

    def stop(epoch, accuracy):
        stopped.append(epoch)
        return "stop"

    with cache_in(cache):
        again, same = reported("whole")
        assert (again.compiles, again.cache_reads) == (0, 3)
        assert_equal((again.variables, same), (first.variables, reports))
        assert run("whole", report=stop).epochs == 1 and stopped == [1]


def test_latency_of_the_whole_network_is_measured(whole):
    assert 0 < measure_latency_ms(TINY, whole[0], 2, program="whole") < 1000


def test_bfloat16_differs_by_its_rounding_and_keeps_float32_weights(blocks):
    single, _ = blocks
    half = [reported(program, "bfloat16")[0] for program in ("blocks", "whole")]
    for result in half:
        assert result.loss != single.loss
        assert result.loss == pytest.approx(single.loss, rel=0.02)
        leaves = jax.tree.leaves(result.variables)
        assert {leaf.dtype for leaf in leaves} == {np.dtype(np.float32)}
        assert_close(result.variables, single.variables, 0.1)
    assert half[1].loss == pytest.approx(half[0].loss, rel=0.01)


def test_the_automatic_precision_is_float32_on_the_cpu(blocks):
    automatic = dataclasses.replace(CONFIG, precision="auto")
    assert_equal(run("blocks", automatic).variables, blocks[0].variables)
    assert automatic.for_backend("cpu") == CONFIG
    assert CONFIG.for_backend("gpu") is CONFIG
