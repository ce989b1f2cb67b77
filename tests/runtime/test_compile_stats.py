"""Counters of compilations and of reads from the persistent cache."""

import jax
import jax.numpy as jnp
import numpy as np

from mnas.runtime.compile_stats import Compilations, Recording, record_reading, record_tracing


def run_program():
    """Run one program that JAX has not in memory."""
    return jax.jit(lambda x: jnp.cos(x) + 2)(np.arange(3, dtype=np.float32))


def test_compilations_and_cache_reads_are_counted_separately(cache):
    recording = Recording()
    run_program()
    first = recording.compilations
    assert (first.compiles, first.cache_reads, first.cache_read_seconds) == (1, 0, 0)
    assert first.compile_seconds > 0
    assert len(list(cache.glob("*-cache"))) == 1
    recording = Recording()
    run_program()
    second = recording.compilations
    assert (second.compiles, second.cache_reads) == (0, 1)
    assert second.cache_read_seconds > 0
    # JAX's compile time includes reading, which must have been subtracted.
    assert second.compile_seconds >= 0


def test_tracing_and_reading_outside_jax_are_added():
    recording = Recording()
    record_tracing(0.5)
    record_reading(2, 0.25)
    total = recording.compilations
    assert (total.cache_reads, total.compiles) == (2, 0)
    assert np.allclose([total.trace_seconds, total.cache_read_seconds], [0.5, 0.25])


def test_compilations_are_added_and_subtracted_by_field():
    a, b = Compilations(1, 2.0, 3, 4.0, 5.0), Compilations(1, 0.5, 1, 1.0, 0.5)
    assert a + b == Compilations(2, 2.5, 4, 5.0, 5.5)
    assert a - b == Compilations(0, 1.5, 2, 3.0, 4.5)
