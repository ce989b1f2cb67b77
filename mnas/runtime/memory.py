"""Settings of glibc's allocator: memory freed by a training step is kept for the next one.

By default glibc returns large freed blocks to the system, and blocks above 32 MiB regardless of its
thresholds, although every step allocates the same sizes again. It also keeps an arena per thread,
none of which can use what another one freed. Memory freed after compilation, by contrast, is not
needed again and is released explicitly. Measurements: `docs/results/memory.md`.

Settings are those of mallopt(3). Other allocators ignore them.
"""

import contextlib
import ctypes

# Environment variable, number in <malloc.h>, value.
_SETTINGS = (
    ("MALLOC_MMAP_MAX_", -4, 0),  # never map a block by itself
    ("MALLOC_TRIM_THRESHOLD_", -1, 1 << 30),
    ("MALLOC_ARENA_MAX", -8, 1),
)


def environment() -> dict[str, str]:
    """Return the settings as environment variables, which glibc reads when a process starts."""
    return {name: str(value) for name, _, value in _SETTINGS}


def retain_freed_memory() -> None:
    """Apply the settings to this process; without glibc, do nothing.

    Call it before JAX starts its threads, best before it is imported: a thread keeps the arena that
    it has, and large blocks of other arenas are mapped one by one, whatever the settings.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # TypeError: Windows
        mallopt = ctypes.CDLL(None).mallopt
        for _, number, value in _SETTINGS:
            mallopt(number, value)


def release_freed_memory() -> None:
    """Return all freed memory to the system, in a few milliseconds; without glibc, do nothing."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
