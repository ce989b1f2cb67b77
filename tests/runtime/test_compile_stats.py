"""Counts of compilations, told from reads of the cache on disk; a broken cache mends itself."""

import warnings

import jax
import jax.numpy as jnp
import pytest
from jax.experimental import compilation_cache

from mnas.runtime.cache_repair import cache_mended, delete_broken_entries
from mnas.runtime.compile_stats import Compilations, Recording


@pytest.fixture
def cache(tmp_path):
    """An empty persistent cache of JAX's, for a test."""
    settings = {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    x = jnp.arange(3.0)  # compiled before the cache is used
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.compilation_cache.reset_cache()
    yield tmp_path, x
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.compilation_cache.reset_cache()


def call(x):
    """One program, which JAX has none of in memory, as in a new process."""
    return jax.jit(lambda x: jnp.cos(x) + 2)(x)


def entries(directory):
    return list(directory.glob("*-cache"))


def test_compiling_is_told_from_reading(cache):
    directory, x = cache
    recording = Recording()
    call(x)
    first = recording.compilations
    assert (first.compiles, first.cache_reads, first.cache_read_seconds) == (1, 0, 0)
    assert first.compile_seconds > 0
    assert len(entries(directory)) == 1
    recording = Recording()
    call(x)
    second = recording.compilations
    assert (second.compiles, second.cache_reads) == (0, 1)
    assert second.cache_read_seconds > 0
    # Of the time that JAX calls compiling, hardly any is left beside the reading.
    assert second.compile_seconds >= 0


def test_compilations_add_up():
    a, b = Compilations(1, 2.0, 3, 4.0, 5.0), Compilations(1, 0.5, 1, 1.0, 0.5)
    assert a + b == Compilations(2, 2.5, 4, 5.0, 5.5)
    assert a - b == Compilations(0, 1.5, 2, 3.0, 4.5)


def test_a_truncated_entry_is_replaced(cache):
    directory, x = cache
    expected = call(x)
    (entry,) = entries(directory)
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    # JAX by itself warns, goes on, and leaves the entry as it is.
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        assert (call(x) == expected).all()
    assert len(entry.read_bytes()) == len(whole) // 2
    with warnings.catch_warnings(record=True) as shown, cache_mended():
        assert (call(x) == expected).all()
    assert not shown
    assert len(entry.read_bytes()) > len(whole) // 2
    recording = Recording()
    call(x)
    assert recording.compilations.cache_reads == 1


def test_other_warnings_are_shown():
    with pytest.warns(UserWarning, match="something else"), cache_mended():
        warnings.warn("something else", stacklevel=1)


def test_only_broken_entries_are_deleted(cache):
    directory, x = cache
    call(x)
    (whole,) = entries(directory)
    (directory / "empty-cache").write_bytes(b"")
    (directory / "notes").write_text("not an entry")
    assert delete_broken_entries(directory) == 1
    assert sorted(directory.iterdir()) == sorted([whole, directory / "notes"])
