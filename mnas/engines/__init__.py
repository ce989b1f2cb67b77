"""Engines evaluate the trials of a search: each a function `run(search, evaluator, config)`.

All drive the same `mnas.loop.search.Search`; none changes what it finds. Modules are imported where an
engine is chosen, so that Ray is needed only by those who use it.
"""

import importlib
import os
import socket
from pathlib import Path
from typing import Any

from mnas.evaluation import EvaluatorConfig
from mnas.experiment import EngineConfig
from mnas.loop.search import Search
from mnas.runtime import memory


class UnusableEngine(ValueError):
    """An engine that can't run as configured; the message says what would be accepted."""


ENGINES = {
    "inline": "mnas.engines.inline",
    "ray": "mnas.engines.ray",
    "tune": "mnas.engines.tune",
}


def run(search: Search, evaluator: EvaluatorConfig, config: EngineConfig, **options: Any) -> None:
    """Drives `search` to its end. UnusableEngine where it can't run as configured."""
    try:
        engine = importlib.import_module(ENGINES[config.kind])
    except ModuleNotFoundError as error:
        raise UnusableEngine(
            f"engine: kind = {config.kind!r} needs {error.name}, which is not installed; "
            "accepted here: inline"
        ) from None
    engine.run(search, evaluator, config, **options)


def check(config: EngineConfig) -> None:
    """Finds what can be found wrong before anything is started; UnusableEngine names it.

    Ray would wait many minutes for a cluster at a HOST:PORT where nobody listens.
    """
    if config.kind == "tune" and config.time_limit_seconds is not None:
        raise UnusableEngine(
            f"engine: time_limit_seconds = {config.time_limit_seconds:g}: Ray Tune has no time "
            "limit for a child; accepted with engine ray"
        )
    host, _, port = (config.address or "").removeprefix("ray://").rpartition(":")
    if config.kind == "inline" or not (host and port.isdigit()):
        return  # 'auto', say, which Ray answers at once
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise UnusableEngine(
            f"engine: address = {config.address!r}: {error.strerror or error}; "
            "accepted: the address of a running Ray cluster, or auto"
        ) from None


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
