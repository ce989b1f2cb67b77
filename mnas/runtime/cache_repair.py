"""Repair of JAX's persistent compilation cache."""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax

_UNREADABLE = "Error reading persistent compilation cache entry"


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
