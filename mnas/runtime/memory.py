"""Memory that a training step gives back is kept for the next one, which asks for the same again.

Left to itself, glibc gives large blocks back to the system at once, and maps those above 32 MiB
anew every time, whatever its thresholds; the programs of a large network ask for more. A fifth of a
step's time went into fresh pages so, for large networks a quarter. And what one thread gave back,
another one's arena has no use of: with a single arena a worker with B0 takes 642 MB, not 695.

What compiling took is another matter: it is given back once a child's programs are there. Compiled
40 children on, a worker takes 140 MB less for it.

mallopt(3) tells what the settings are. No other allocator knows them.
"""

import contextlib
import ctypes

# Name in the environment, number in <malloc.h>, value.
_SETTINGS = (
    ("MALLOC_MMAP_MAX_", -4, 0),  # no block is mapped by itself
    ("MALLOC_TRIM_THRESHOLD_", -1, 1 << 30),
    ("MALLOC_ARENA_MAX", -8, 1),
)


def environment() -> dict[str, str]:
    """Variables for processes to come; glibc reads them as a process starts."""
    return {name: str(value) for name, _, value in _SETTINGS}


def keep_freed_memory() -> None:
    """The same for this process, from now on; nothing happens where there is no glibc."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # TypeError: Windows
        mallopt = ctypes.CDLL(None).mallopt
        for _, number, value in _SETTINGS:
            mallopt(number, value)


def give_back_freed_memory() -> None:
    """All of it, at once; for when a step did not free it. Takes a few milliseconds."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
