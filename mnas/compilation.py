"""What JAX compiled and what it read from its cache on disk; broken entries of the cache deleted.

JAX writes an entry of its persistent cache in place, so a process that is killed while it writes
leaves half an entry. That breaks no run: JAX warns and compiles. But it never overwrites an entry,
so every process from then on would warn and compile again.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

_UNREADABLE = "Error reading persistent compilation cache entry"


class Compilations(NamedTuple):
    """Programs that there were none of in memory.

    compiles            by XLA's compiler
    compile_seconds     of it, with writing JAX's cache on disk
    cache_reads         read from disk instead: JAX's cache, or blocks' own (`mnas.nn.stored`)
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


@contextlib.contextmanager
def cache_mended() -> Iterator[None]:
    """Where JAX can't read an entry of its cache, broken entries are deleted on the spot.

    JAX then compiles the program, and writes a whole entry. (`warnings.showwarning` is exchanged
    meanwhile, which is a setting of the whole process; other warnings are shown as ever.)
    """
    with warnings.catch_warnings():
        show = warnings.showwarning

        def delete_broken(message, *place, **options) -> None:
            unreadable = str(message).startswith(_UNREADABLE)
            if not unreadable or not delete_broken_entries(jax.config.jax_compilation_cache_dir):
                show(message, *place, **options)

        warnings.showwarning = delete_broken
        yield


def delete_broken_entries(directory: str | Path) -> int:
    """How many entries of a persistent cache could not be unpacked, and were deleted.

    One that another process is writing just now may be among them; it is compiled once more.
    """
    # JAX's own, because it depends on the installation which compression that is.
    from jax._src.compilation_cache import decompress_executable

    count = 0
    for entry in Path(directory).glob("*-cache"):
        try:
            decompress_executable(entry.read_bytes())
        except FileNotFoundError:  # another process was faster
            continue
        except Exception:  # of whichever compression it is
            entry.unlink(missing_ok=True)
            count += 1
    return count
