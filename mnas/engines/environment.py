"""Environments of the driver and of the processes that evaluate children."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from mnas.engines.config import EngineConfig
from mnas.runtime import memory


def child_environment(config: EngineConfig) -> dict[str, str]:
    """Environment variables for a process that evaluates children; JAX reads them as it starts."""
    environment = {
        # XLA's CPU client makes its thread pool of this size; OMP_NUM_THREADS does nothing to it.
        "NPROC": str(config.threads),
        # Blocks compiled by one worker, or in an earlier search, are read back by all.
        "JAX_COMPILATION_CACHE_DIR": compilation_cache(),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **memory.environment(),
    }
    if config.gpus_per_worker:
        # Ray shares out GPUs by count, not by memory; each process must leave room for the others.
        environment["XLA_CLIENT_MEM_FRACTION"] = f"{0.9 * min(1.0, config.gpus_per_worker):.3f}"
    else:
        environment["JAX_PLATFORMS"] = "cpu"
    return environment


def pinned_cores(config: EngineConfig) -> int:
    """How many cores a worker pins itself to; 0 where the system places it."""
    return config.threads if config.pin and not config.gpus_per_worker else 0


def prepare_driver(config: EngineConfig) -> None:
    """Readies this process, which steers the search; before JAX's first use, after its import.

    The controller, too, computes with the experiment's number of threads, and on the CPU: the
    accelerators are the children's, who live here only with the inline engine.
    """
    import jax

    os.environ["NPROC"] = str(config.threads)
    if config.kind == "inline":
        memory.keep_freed_memory()
        jax.config.update("jax_compilation_cache_dir", compilation_cache())
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    else:
        jax.config.update("jax_platforms", "cpu")


def compilation_cache() -> str:
    """Directory of JAX's persistent compilation cache: the user's own, where one is set."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(base / "mnas" / "xla")


@contextlib.contextmanager
def process_environment(engine: EngineConfig) -> Iterator[None]:
    """Processes that are started meanwhile have the environment of a search's workers."""
    variables = child_environment(engine)
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
