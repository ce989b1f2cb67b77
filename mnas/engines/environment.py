"""Environment variables and JAX settings of the driver and of worker processes.

The driver is the process that holds the search and its controller.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
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
    if config.gpu_share:
        # Ray assigns fractions of a GPU but does not divide its memory.
        environment["XLA_CLIENT_MEM_FRACTION"] = f"{0.9 * min(1.0, config.gpu_share):.3f}"
    else:
        environment["JAX_PLATFORMS"] = "cpu"
    return environment


def backend_of(config: EngineConfig) -> str:
    """Return JAX's name of the backend on which children are evaluated: 'cpu', 'gpu' or 'tpu'.

    Of the engine inline it is this process's own, which JAX starts then.
    """
    if config.kind != "inline":
        return "gpu" if config.gpu_share else "cpu"
    import jax

    return jax.default_backend()


def require_backend(backend: str) -> None:
    """Raise UsageError where this process, a worker, does not compute on the backend.

    JAX without a plug-in for GPUs computes on the CPU, and says so in its log only.
    """
    if backend == "cpu":  # by its environment
        return
    import jax

    found = jax.default_backend()
    if found != backend:
        raise UsageError(
            f"engine: gpus_per_worker is above 0, but JAX in the workers computes on the {found}; "
            "accepted: 0, or a number above 0 after pip install 'mnas[cuda]'"
        )


def pinned_cores(config: EngineConfig) -> int:
    """Return the number of cores that each worker is pinned to; 0 for no pinning."""
    return config.threads if config.pin and not config.gpu_share else 0


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
