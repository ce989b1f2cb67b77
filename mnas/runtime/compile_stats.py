"""What JAX compiled and what it read from its cache on disk; broken entries of the cache deleted.

JAX writes an entry of its persistent cache in place, so a process that is killed while it writes
leaves half an entry. That breaks no run: JAX warns and compiles. But it never overwrites an entry,
so every process from then on would warn and compile again.
"""

import functools
from typing import Any, NamedTuple

import jax


class Compilations(NamedTuple):
    """Programs that there were none of in memory.

    compiles            by XLA's compiler
    compile_seconds     of it, with writing JAX's cache on disk
    cache_reads         read from disk instead: JAX's cache, or blocks' own (`mnas.runtime.program_cache`)
    cache_read_seconds  of reading them
    trace_seconds       of tracing blocks before that, and of writing out what XLA is to compile
    """

    compiles: int = 0
    compile_seconds: float = 0.0
    cache_reads: int = 0
    cache_read_seconds: float = 0.0
    trace_seconds: float = 0.0

    def __add__(self, other: "Compilations") -> "Compilations":
        return Compilations(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: "Compilations") -> "Compilations":
        return Compilations(*(a - b for a, b in zip(self, other, strict=True)))


class _Log:
    """All compilations of this process from its first use on, by JAX's monitoring events."""

    def __init__(self) -> None:
        self.total = Compilations()

    def __call__(self, event: str, duration: float, **_: Any) -> None:
        # An event for every program, whose time includes that of trying the cache; and another one
        # before it where the cache had the program.
        if event == "/jax/core/compile/backend_compile_duration":
            self.total += Compilations(1, duration)
        elif event == "/jax/compilation_cache/cache_retrieval_time_sec":
            self.total += Compilations(-1, -duration, 1, duration)


@functools.cache
def _log() -> _Log:
    log = _Log()
    jax.monitoring.register_event_duration_secs_listener(log)
    return log


def count_tracing(seconds: float) -> None:
    """For who compiles ahead: JAX's own events of tracing count programs within programs twice."""
    _log().total += Compilations(trace_seconds=seconds)


def count_reading(programs: int, seconds: float) -> None:
    """For who reads programs from disk without JAX's cache."""
    _log().total += Compilations(cache_reads=programs, cache_read_seconds=seconds)


class Recording:
    """Compilations since it was made, as often as `compilations` is asked for."""

    def __init__(self) -> None:
        self._before = _log().total

    @property
    def compilations(self) -> Compilations:
        return _log().total - self._before
