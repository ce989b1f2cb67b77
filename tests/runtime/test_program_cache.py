"""Programs are found on disk by everything they depend on, and kept in memory while in use."""

import pickle
import zlib
from pathlib import Path

import jax
import numpy as np
import pytest

from mnas.architecture.block import Layer
from mnas.nn.blocks import layer_block
from mnas.nn.network import block_shapes
from mnas.runtime import authenticated_file, program_cache
from mnas.runtime.compile_stats import Compilations, Recording
from mnas.runtime.program_cache import entry_of, source_digest
from mnas.training.optimizer import Optimizer
from mnas.training.programs import forget_programs, inference_program, training_programs

SHAPE = (2, 6, 6, 4)
# Few operations: these tests compile it often.
LAYER = Layer(
    op="conv",
    in_filters=4,
    filters=4,
    kernel=1,
    stride=1,
    expand_ratio=1,
    se_ratio=0.0,
    skip="identity",
)
OPTIMIZER = Optimizer()


def block_entries(directory):
    return list(directory.glob("blocks/*"))


def jax_entries(directory):
    return list(directory.glob("*-cache"))


def training(activation="swish", optimizer=OPTIMIZER):
    block = layer_block(LAYER, activation)
    return training_programs(block, SHAPE, optimizer, averaged=False)


def compilations(load) -> Compilations:
    recording = Recording()
    load()
    return recording.compilations


def compiled_and_read(load) -> tuple[int, int]:
    """Return how many programs a call compiles, and how many it reads from disk."""
    counts = compilations(load)
    return counts.compiles, counts.cache_reads


def step(programs) -> list[np.ndarray]:
    """Return all results of one training step of the block."""
    rng = np.random.default_rng(0)
    shapes = block_shapes(layer_block(LAYER, "swish"), SHAPE)[0]["params"]
    params = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes)
    x, gradient = rng.standard_normal((2, *SHAPE), np.float32)
    y, residuals, statistics = programs.forward(params, x, None, None)
    donated, state = jax.device_put((params, OPTIMIZER.init(params)))
    rate, ema_decay = np.float32(0.1), np.float32(0)
    updated = programs.backward(donated, x, residuals, gradient, state, None, rate, ema_decay)
    return list(map(np.array, jax.tree.leaves((y, statistics, updated))))


def assert_same_step(programs, expected):
    for value, expected_value in zip(step(programs), expected, strict=True):
        np.testing.assert_array_equal(value, expected_value)


def test_programs_on_disk_are_read_without_tracing(cache):
    assert compiled_and_read(training) == (2, 0)
    expected, output = step(training()), training().output
    forget_programs()  # as in a new process
    again = compilations(training)
    assert (again.compiles, again.cache_reads, again.trace_seconds) == (0, 2, 0)
    assert again.cache_read_seconds > 0
    assert_same_step(training(), expected)
    assert training().output == output
    assert (len(block_entries(cache)), len(jax_entries(cache))) == (1, 0)


def test_inference_programs_are_on_disk_too(cache):
    block = layer_block(LAYER, "swish")
    variables = block_shapes(block, SHAPE)[0]

    def load():
        return inference_program(block, variables, SHAPE)

    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), variables)
    x = np.ones(SHAPE, np.float32)
    expected = np.array(load()(zeros, x))
    forget_programs()
    assert compiled_and_read(load) == (0, 1)
    np.testing.assert_array_equal(load()(zeros, x), expected)
    assert load().out_info.shape == SHAPE


@pytest.mark.parametrize("dependency", ["package_versions", "processor_features"])
def test_key_depends_on_versions_and_processor(cache, monkeypatch, dependency):
    before = entry_of(("signature",))
    assert entry_of(("signature",)) == before
    monkeypatch.setattr(program_cache, dependency, lambda: ("another",))
    assert entry_of(("signature",)) != before


def test_key_depends_on_signature_and_environment(cache, monkeypatch):
    before = entry_of(("signature",))
    assert entry_of(("another",)) != before
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert entry_of(("signature",)) != before


def test_key_depends_on_settings_of_jax_except_for_logging(cache):
    before = entry_of(("signature",))
    with jax.default_matmul_precision("highest"):
        assert entry_of(("signature",)) != before
    with jax.log_compiles():
        assert entry_of(("signature",)) == before


def test_another_key_is_another_entry(cache):
    training()
    forget_programs()
    with jax.default_matmul_precision("highest"):
        assert compiled_and_read(training) == (2, 0)
    assert len(block_entries(cache)) == 2


def test_source_digest_depends_on_every_python_file(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "code.py").write_text("x = 1\n")
        (tmp_path / name / "notes.txt").write_text("notes")
    folders = [tmp_path / "a", tmp_path / "b"]
    before = source_digest(folders)
    (tmp_path / "a" / "notes.txt").write_text("other notes")
    assert source_digest(folders) == before
    (tmp_path / "b" / "code.py").write_text("x = 2\n")
    assert source_digest(folders) != before


@pytest.fixture(autouse=True)
def _nothing_reported(monkeypatch):
    monkeypatch.setattr(authenticated_file, "_reported", set())


@pytest.mark.parametrize("size", [0, 100])
def test_truncated_entry_is_replaced(cache, size):
    training()
    (entry,) = block_entries(cache)
    entry.write_bytes(entry.read_bytes()[:size])
    forget_programs()
    assert compiled_and_read(training) == (2, 0)
    forget_programs()
    assert compiled_and_read(training) == (0, 2)


class Planted:
    """An object whose unpickling writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "code of somebody else has run")


@pytest.mark.parametrize("key", [None, b"k" * 32])
def test_planted_entry_is_not_unpickled_but_replaced(cache, tmp_path, caplog, key):
    training()
    (entry,) = block_entries(cache)
    planted = zlib.compress(pickle.dumps(([], Planted(tmp_path / "proof"))))
    assert authenticated_file.write_authenticated(entry, planted, key or b"")
    if key is None:
        entry.write_bytes(planted)
    forget_programs()
    assert compiled_and_read(training) == (2, 0)
    assert not (tmp_path / "proof").exists()
    assert "was written with another key" in caplog.text
    forget_programs()
    assert compiled_and_read(training) == (0, 2)


def test_entry_with_damaged_machine_code_is_replaced(cache):
    """LLVM would end the process."""
    expected = step(training())
    (entry,) = block_entries(cache)
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 255
    entry.write_bytes(content)
    forget_programs()
    assert_same_step(training(), expected)
    forget_programs()
    assert compiled_and_read(training) == (0, 2)


def test_entry_in_the_place_of_another_is_not_read(cache):
    """Its HMAC is right, but its programs are those of another block."""
    training("relu")
    (relu,) = block_entries(cache)
    expected = step(training("swish"))
    (swish,) = {*block_entries(cache)} - {relu}
    swish.write_bytes(relu.read_bytes())
    forget_programs()
    assert_same_step(training("swish"), expected)


def test_entries_of_users_with_other_keys_have_other_names(cache, monkeypatch):
    path = entry_of(("signature",)).path
    monkeypatch.setattr(program_cache, "cache_key", lambda directory: b"k" * 32)
    assert entry_of(("signature",)).path != path


def test_least_recently_used_programs_are_evicted_and_read_again(cache, monkeypatch):
    monkeypatch.setattr(program_cache, "MAX_RESIDENT", 2)
    held = training("swish")
    expected = step(held)
    training("relu")
    assert compiled_and_read(lambda: training("swish")) == (0, 0)
    training("relu6")
    assert compiled_and_read(lambda: training("swish")) == (0, 0)
    assert compiled_and_read(lambda: training("relu")) == (0, 2)
    assert compiled_and_read(lambda: training("relu6")) == (0, 2)
    reloaded = training("swish")
    assert reloaded.forward is not held.forward
    for programs in (held, reloaded):  # callers may keep programs after eviction
        assert_same_step(programs, expected)


def test_programs_are_never_evicted_without_a_cache_directory(no_cache, monkeypatch):
    monkeypatch.setattr(program_cache, "MAX_RESIDENT", 1)
    held = training("swish")
    training("relu")
    assert training("swish").forward is held.forward


@pytest.mark.parametrize("directory", ["gs://bucket/cache", None])
def test_entries_need_a_local_directory(cache, directory):
    jax.config.update("jax_compilation_cache_dir", directory)
    assert entry_of(("training",)) is None


def test_programs_read_from_jaxs_cache_are_not_written_again(cache, monkeypatch):
    """XLA's CPU client would write them without their machine code."""
    with monkeypatch.context() as patched:
        patched.setattr(program_cache, "entry_of", lambda signature: None)
        expected = step(training())
    assert (len(block_entries(cache)), len(jax_entries(cache))) == (0, 2)
    forget_programs()
    monkeypatch.setattr(program_cache, "MAX_RESIDENT", 1)
    held = training()
    assert block_entries(cache) == []
    training("relu")
    assert training().forward is held.forward  # not evicted, since no entry could be read
    assert_same_step(training(), expected)


def test_failed_write_leaves_no_file(cache, monkeypatch):
    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(authenticated_file.Path, "replace", full)
    assert compiled_and_read(training) == (2, 0)
    assert block_entries(cache) == []  # nor a temporary file


def test_programs_work_without_a_writable_directory(cache):
    (cache / "blocks").write_text("a file in place of the directory")
    assert compiled_and_read(training) == (2, 0)
    assert len(step(training())) > 3


def test_other_programs_still_use_jaxs_cache(cache):
    training()
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    jax.jit(lambda x: x * 3)(np.ones(3, np.float32))
    assert len(jax_entries(cache)) == 1
