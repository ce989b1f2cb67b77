"""Settings of JAX that change what programs compute, at their defaults in all our programs.

Users set them in their shell (`JAX_ENABLE_X64=1`) or in their process (`jax.config`), for work of
their own. A search, its workers and a training give the same results whatever they are. Settings of
devices, caches, logging and profiling, and `XLA_FLAGS`, stay as the user has chosen.
"""

import concurrent.futures
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

# Parts of names of variables that start with "JAX_" and do not change results.
KEPT = (
    *("CACHE", "LOG", "PLATFORM", "VISIBLE", "TRACEBACK", "DUMP", "PGLE", "PROFIL", "EXPLAIN"),
    *("COORDINATOR", "PROCESS_ID", "NUM_PROCESSES", "DISTRIBUTED", "CROSS_HOST", "BACKEND"),
    *("PJRT", "CPU_", "NUM_CPU", "DEFAULT_DEVICE", "COLLECTIVES", "TIMEOUT", "GPU"),
)

DEFAULTS: dict[str, Any] = {
    "jax_allow_f16_reductions": True,
    "jax_check_static_indices": False,
    "jax_check_tracer_leaks": False,
    "jax_debug_infs": False,
    "jax_debug_key_reuse": False,
    "jax_debug_nans": False,
    "jax_default_matmul_precision": None,
    "jax_default_prng_impl": "threefry2x32",
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_enable_checks": False,
    "jax_enable_custom_prng": False,
    "jax_enable_x64": False,
    "jax_error_checking_behavior_divide": "ignore",
    "jax_error_checking_behavior_nan": "ignore",
    "jax_error_checking_behavior_oob": "ignore",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_legacy_prng_key": "allow",
    "jax_memory_fitting_effort": 0.0,
    "jax_no_execution": False,
    "jax_no_tracing": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_optimization_level": "UNKNOWN",
    "jax_random_seed_offset": 0,
    "jax_softmax_custom_jvp": False,
    "jax_threefry_partitionable": True,
    "jax_transfer_guard": "allow",
    "jax_transfer_guard_device_to_device": "allow",
    "jax_transfer_guard_device_to_host": "allow",
    "jax_transfer_guard_host_to_device": "allow",
}
"""Settings of a process and their defaults, in the versions of JAX that this project accepts."""


def shell_variables() -> list[str]:
    """Return the names of the environment variables that change programs of JAX or Flax."""
    return [
        name
        for name in os.environ
        if name.startswith("FLAX_")
        or (name.startswith("JAX_") and not any(part in name for part in KEPT))
    ]


@contextlib.contextmanager
def without_shell_variables() -> Iterator[None]:
    """Remove `shell_variables` from the environment within the context."""
    removed = {name: os.environ.pop(name) for name in shell_variables()}
    try:
        yield
    finally:
        os.environ.update(removed)


def reset_process() -> None:
    """Remove `shell_variables` and set the defaults in this process: call it in a new worker.

    Does not import JAX; where that is imported already, sets its options.
    """
    for name in shell_variables():
        del os.environ[name]
    if "jax" in sys.modules:
        import jax

        for name, value in _deviating(jax.config.values).items():
            jax.config.update(name, value)


@contextlib.contextmanager
def default_settings(other_threads: bool = False) -> Iterator[None]:
    """Set the defaults within the context; the user's settings apply again after it.

    other_threads  set them in this process's other threads too, for code that starts threads
    """
    deviating = _deviating(_values())
    by_thread = {name: _context(name) for name in deviating if _context(name) is not None}
    with contextlib.ExitStack() as stack:
        if other_threads or len(by_thread) < len(deviating):
            stack.enter_context(_default_globals())
        for name, context in by_thread.items():
            stack.enter_context(context(deviating[name]))
        yield


def _context(name: str) -> Any:
    """Return JAX's context manager for a setting that may differ by thread, else None."""
    import jax

    return getattr(jax, name.removeprefix("jax_"), None)


@contextlib.contextmanager
def _default_globals() -> Iterator[None]:
    """Set the defaults in all threads that have no setting of their own."""
    import jax

    # A new thread has the values of the process, whatever contexts this one has entered.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        before = thread.submit(_values).result()
    changed = _deviating(before)
    for name, default in changed.items():
        jax.config.update(name, default)
    try:
        yield
    finally:
        for name in changed:
            jax.config.update(name, before[name])


def _values() -> dict[str, Any]:
    """Return this thread's values of the settings that the installed JAX has."""
    import jax

    return {name: getattr(jax.config, name) for name in DEFAULTS if hasattr(jax.config, name)}


def _deviating(values: dict[str, Any]) -> dict[str, Any]:
    """Return the defaults of the settings that are not at their defaults."""
    return {
        name: default
        for name, default in DEFAULTS.items()
        if name in values and not _is_default(values[name], default)
    }


def _is_default(value: Any, default: Any) -> bool:
    # JAX has some values as enumerations; a guard that is not set allows everything.
    return getattr(value, "value", value) in ((None, "allow") if default == "allow" else (default,))
