"""Compilation caches of tests: in memory only, or in an empty directory."""

import contextlib
from collections.abc import Iterator

import jax
from jax.experimental import compilation_cache

from mnas.training.programs import forget_programs


@contextlib.contextmanager
def cache_in(directory: str | None) -> Iterator[None]:
    """Use `directory` for JAX's persistent cache, None for none, with no program in memory."""
    settings = {
        "jax_compilation_cache_dir": directory,
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}

    def use(settings):
        for name, value in settings.items():
            jax.config.update(name, value)
        compilation_cache.compilation_cache.reset_cache()
        forget_programs()

    use(settings)
    try:
        yield
    finally:
        use(before)
