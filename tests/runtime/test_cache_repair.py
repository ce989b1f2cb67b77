"""Repair of JAX's persistent cache, and the private function of JAX that it uses."""

import importlib
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnas.runtime.cache_repair import delete_corrupt_entries, repaired_cache
from mnas.runtime.compile_stats import Recording


def run_program() -> np.ndarray:
    """Run one program that JAX has not in memory."""
    return np.asarray(jax.jit(lambda x: jnp.cos(x) + 2)(np.arange(3, dtype=np.float32)))


def entries(directory):
    return list(directory.glob("*-cache"))


def test_jax_has_the_private_function_that_unpacks_cache_entries():
    module = importlib.import_module("jax._src.compilation_cache")
    assert callable(getattr(module, "decompress_executable", None)), (
        f"JAX {jax.__version__} has no jax._src.compilation_cache.decompress_executable: "
        "mnas/runtime/cache_repair.py must find corrupt cache entries in another way"
    )


def test_truncated_entry_is_replaced_within_the_context(cache):
    expected = run_program()
    (entry,) = entries(cache)
    content = entry.read_bytes()
    entry.write_bytes(content[: len(content) // 2])
    # JAX by itself warns, compiles, and keeps the truncated entry.
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        np.testing.assert_array_equal(run_program(), expected)
    assert len(entry.read_bytes()) == len(content) // 2
    with warnings.catch_warnings(record=True) as shown, repaired_cache():
        np.testing.assert_array_equal(run_program(), expected)
    assert not shown
    assert len(entry.read_bytes()) > len(content) // 2
    recording = Recording()
    run_program()
    assert recording.compilations.cache_reads == 1


def test_other_warnings_are_shown():
    with pytest.warns(UserWarning, match="something else"), repaired_cache():
        warnings.warn("something else", stacklevel=1)


def test_only_corrupt_entries_are_deleted(cache):
    run_program()
    (intact,) = entries(cache)
    (cache / "empty-cache").write_bytes(b"")
    (cache / "notes").write_text("not an entry")
    assert delete_corrupt_entries(cache) == 1
    assert sorted(cache.iterdir()) == sorted([intact, cache / "notes"])
