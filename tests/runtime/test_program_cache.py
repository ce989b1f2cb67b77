"""Programs of blocks are found on disk, by all that they are made of, and ready while in use."""

import jax
import numpy as np
import pytest

from mnas.architecture.block import Layer
from mnas.nn.blocks import layer_block
from mnas.nn.network import block_shapes
from mnas.runtime import program_cache
from mnas.runtime.compile_stats import Compilations, Recording
from mnas.training.optimizer import Optimizer
from mnas.training.programs import forget_programs, inference_program, training_programs

SHAPE = (2, 6, 6, 4)
LAYER = Layer(
    **{"op": "mbconv", "in_filters": 4, "filters": 4, "kernel": 3, "stride": 1},
    **{"expand_ratio": 2, "se_ratio": 0.25, "skip": "identity"},
)
OPTIMIZER = Optimizer()


def entries(directory):
    """Of blocks, and in JAX's own cache."""
    return list(directory.glob("blocks/*")), list(directory.glob("*-cache"))


def training(activation="swish", optimizer=OPTIMIZER):
    block = layer_block(LAYER, activation)
    return training_programs(block, SHAPE, optimizer, averaged=False)


def compilations(make) -> Compilations:
    recording = Recording()
    make()
    return recording.compilations


def step(programs) -> list[np.ndarray]:
    """What one step of the block gives, all of it."""
    rng = np.random.default_rng(0)
    shapes = block_shapes(layer_block(LAYER, "swish"), SHAPE)[0]["params"]
    params = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)
    x, gradient = rng.standard_normal((2, *SHAPE), np.float32)
    y, residuals, statistics = programs.forward(params, x, None, None)
    given = jax.device_put((params, OPTIMIZER.init(params)))
    numbers = np.float32(0.1), np.float32(0)
    updated = programs.backward(given[0], x, residuals, gradient, given[1], None, *numbers)
    return list(map(np.array, jax.tree.leaves((y, statistics, updated))))


def test_what_is_on_disk_is_not_traced_again(cache):
    first = compilations(training)
    assert (first.compiles, first.cache_reads) == (2, 0)
    expected, output = step(training()), training().output
    forget_programs()  # as in a new process
    again = compilations(training)
    assert (again.compiles, again.cache_reads, again.trace_seconds) == (0, 2, 0)
    assert again.cache_read_seconds > 0
    for a, b in zip(step(training()), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert training().output == output
    assert tuple(map(len, entries(cache))) == (1, 0)


def test_programs_of_inference_are_on_disk_too(cache):
    block = layer_block(LAYER, "swish")
    variables = block_shapes(block, SHAPE)[0]
    make = lambda: inference_program(block, variables, SHAPE)  # noqa: E731
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
    x = np.ones(SHAPE, np.float32)
    expected = np.array(make()(zeros, x))
    forget_programs()
    assert compilations(make)[:3:2] == (0, 1)
    np.testing.assert_array_equal(make()(zeros, x), expected)
    assert make().out_info.shape == SHAPE


@pytest.mark.parametrize("what", ["_settings", "_versions", "_code", "_processor"])
def test_whatever_makes_another_program_is_another_entry(cache, monkeypatch, what):
    training()
    forget_programs()
    monkeypatch.setattr(program_cache, what, lambda: "another")
    assert compilations(training).compiles == 2
    assert len(entries(cache)[0]) == 2


def test_settings_of_jax_count_but_those_of_its_logs(cache):
    before = program_cache._settings()
    with jax.default_matmul_precision("highest"):
        assert program_cache._settings() != before
    with jax.log_compiles():
        assert program_cache._settings() == before


@pytest.mark.parametrize("left", [0, 100])
def test_a_broken_entry_is_replaced(cache, left):
    training()
    ((entry,), _) = entries(cache)
    whole = entry.read_bytes()
    entry.write_bytes(whole[:left])
    forget_programs()
    assert compilations(training).compiles == 2
    forget_programs()
    assert compilations(training).cache_reads == 2


def test_those_used_longest_ago_are_read_again(cache, monkeypatch):
    monkeypatch.setattr(program_cache, "READY", 2)
    held = training("swish")
    expected = step(held)
    training("relu")
    assert compilations(lambda: training("swish")).cache_reads == 0
    training("relu6")
    assert compilations(lambda: training("swish")).cache_reads == 0
    assert compilations(lambda: training("relu"))[:3:2] == (0, 2)
    assert compilations(lambda: training("relu6"))[:3:2] == (0, 2)
    assert training("swish").forward is not held.forward
    for programs in (held, training("swish")):  # who has them may go on
        for a, b in zip(step(programs), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_without_a_disk_all_stay_ready(no_cache, monkeypatch):
    monkeypatch.setattr(program_cache, "READY", 1)
    held = training("swish")
    training("relu")
    assert training("swish").forward is held.forward


@pytest.mark.parametrize("directory", ["gs://bucket/cache", None])
def test_only_directories_hold_entries(cache, directory):
    jax.config.update("jax_compilation_cache_dir", directory)
    assert program_cache._path(("training",)) is None


def test_what_came_from_the_cache_of_jax_is_not_written(cache, monkeypatch):
    """XLA's CPU client could not write it whole: it would miss its machine code."""
    with monkeypatch.context() as patched:
        patched.setattr(program_cache, "_path", lambda signature: None)
        expected = step(training())
    assert tuple(map(len, entries(cache))) == (0, 2)
    forget_programs()
    monkeypatch.setattr(program_cache, "READY", 1)
    held = training()
    assert entries(cache)[0] == []
    training("relu")
    assert training().forward is held.forward  # stays ready, as it is nowhere else
    for a, b in zip(step(training()), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_entry_is_for_whoever_may_read_the_directory(cache):
    (cache / "other").write_text("")
    training()
    ((entry,), _) = entries(cache)  # and nothing beside it
    assert entry.stat().st_mode == (cache / "other").stat().st_mode


def test_an_entry_that_can_not_be_put_in_place_leaves_nothing(cache, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(program_cache.Path, "replace", full)
    assert compilations(training).compiles == 2
    assert entries(cache)[0] == []


def test_a_disk_that_can_not_be_written_stops_nothing(cache):
    (cache / "blocks").write_text("in the way")
    assert compilations(training).compiles == 2
    assert len(step(training())) > 3


def test_the_setting_for_other_programs_is_as_before(cache):
    training()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    jax.jit(lambda x: x * 3)(np.ones(3, np.float32))
    assert len(entries(cache)[1]) == 1
