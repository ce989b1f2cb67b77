"""Environment variables and JAX settings of the driver and of worker processes.

The driver is the process that holds the search and its controller.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

from mnas.engines.config import EngineConfig
from mnas.runtime import memory
from mnas.runtime.cache_directory import compilation_cache
from mnas.runtime.jax_settings import without_shell_variables


def child_environment(config: EngineConfig) -> dict[str, str]:
    """Return the environment variables of a worker process; JAX and XLA read them at start."""
    environment = {
        # The size of XLA's CPU thread pool; OMP_NUM_THREADS does not affect it.
        "NPROC": str(config.threads),
        # Workers, and later searches, share compiled programs through this cache.
        "JAX_COMPILATION_CACHE_DIR": compilation_cache(),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        **memory.environment(),
    }
    if config.gpus_per_worker:
        # Ray assigns fractions of a GPU but does not divide its memory.
        environment["XLA_CLIENT_MEM_FRACTION"] = f"{0.9 * min(1.0, config.gpus_per_worker):.3f}"
    else:
        environment["JAX_PLATFORMS"] = "cpu"
    return environment


def pinned_cores(config: EngineConfig) -> int:
    """Return the number of cores that each worker is pinned to; 0 for no pinning."""
    return config.threads if config.pin and not config.gpus_per_worker else 0


def prepare_driver(config: EngineConfig) -> None:
    """Configure JAX in the driver; call it before JAX first computes.

    The controller computes with the experiment's number of threads. It runs on the CPU, because
    accelerators belong to the workers, unless the engine is inline and this process evaluates the
    children.
    """
    import jax

    os.environ["NPROC"] = str(config.threads)
    # For the controller's programs, JAX has read the variable as it was imported.
    if config.kind == "inline" or jax.config.values["jax_compilation_cache_dir"]:
        jax.config.update("jax_compilation_cache_dir", compilation_cache())
    if config.kind == "inline":
        memory.retain_freed_memory()
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    else:
        jax.config.update("jax_platforms", "cpu")


@contextlib.contextmanager
def process_environment(config: EngineConfig) -> Iterator[None]:
    """Give processes that are started within the context the environment of a worker."""
    with without_shell_variables(), environment_variables(child_environment(config)):
        yield


@contextlib.contextmanager
def environment_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process; restore the previous values at exit."""
    previous = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in previous.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
