"""Counters of compilations, reads of compiled programs from disk, and tracing in this process."""

import functools
import operator
from typing import Any, NamedTuple

import jax


class Compilations(NamedTuple):
    """Programs that were not in memory when first needed, and seconds spent on them.

    compiles            programs compiled by XLA
    compile_seconds     compiling them, including writes to JAX's persistent cache
    cache_reads         programs read from disk: from JAX's persistent cache or `program_cache`
    cache_read_seconds  reading them
    trace_seconds       tracing and lowering blocks before compilation
    """

    compiles: int = 0
    compile_seconds: float = 0.0
    cache_reads: int = 0
    cache_read_seconds: float = 0.0
    trace_seconds: float = 0.0

    def __add__(self, other: "Compilations") -> "Compilations":  # type: ignore[override]
        return jax.tree.map(operator.add, self, other)

    def __sub__(self, other: "Compilations") -> "Compilations":
        return jax.tree.map(operator.sub, self, other)


class Recording:
    """Compilations since this object was created."""

    def __init__(self) -> None:
        self._before = _log().total

    @property
    def compilations(self) -> Compilations:
        """Counts up to now; may be read repeatedly."""
        return _log().total - self._before


def record_tracing(seconds: float) -> None:
    """Add tracing time. JAX's own tracing events count nested functions twice."""
    _log().total += Compilations(trace_seconds=seconds)


def record_reading(programs: int, seconds: float) -> None:
    """Add programs read from disk without JAX's persistent cache."""
    _log().total += Compilations(cache_reads=programs, cache_read_seconds=seconds)


class _Log:
    """Listener for JAX's monitoring events that sums compilations from its registration on."""

    def __init__(self) -> None:
        self.total = Compilations()

    def __call__(self, event: str, duration_secs: float, **_: Any) -> None:
        # Every program has a compile event, whose duration includes the cache lookup; on a cache
        # hit, a retrieval event comes before it.
        if event == "/jax/core/compile/backend_compile_duration":
            self.total += Compilations(1, duration_secs)
        elif event == "/jax/compilation_cache/cache_retrieval_time_sec":
            self.total += Compilations(-1, -duration_secs, 1, duration_secs)


@functools.cache
def _log() -> _Log:
    log = _Log()
    jax.monitoring.register_event_duration_secs_listener(log)
    return log
