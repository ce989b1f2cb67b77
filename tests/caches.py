"""Where programs are found: nowhere but in memory, or in an empty directory."""

import contextlib
from collections.abc import Iterator

import jax
from jax.experimental import compilation_cache

from mnas.training.programs import forget_programs


@contextlib.contextmanager
def cache_in(directory: str | None) -> Iterator[None]:
    """As if this process had just started, with this directory for JAX's cache; or with none."""
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
