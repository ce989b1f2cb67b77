"""Repair of JAX's persistent compilation cache.

JAX writes an entry in place, so a process killed while writing leaves a truncated one. JAX then
warns and compiles, but never overwrites an existing entry: every later process would do the same.

This is the only module that uses a private function of JAX; `tests/runtime/test_cache_repair.py`
fails with an explanation where a new version of JAX no longer has it.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

# JAX makes its settings' attributes as it starts, unknown to type checkers.
_config: Any = jax.config

_UNREADABLE = "Error reading persistent compilation cache entry"


@contextlib.contextmanager
def repaired_cache() -> Iterator[None]:
    """Delete corrupt cache entries as soon as JAX warns about one; JAX then writes a new entry.

    Replaces `warnings.showwarning`, a global setting of the process, within the context. All other
    warnings are shown as usual.
    """
    with warnings.catch_warnings():
        show = warnings.showwarning

        def delete_or_show(message: Any, *location: Any, **options: Any) -> None:
            corrupt = str(message).startswith(_UNREADABLE)
            if not corrupt or not delete_corrupt_entries(_config.jax_compilation_cache_dir):
                show(message, *location, **options)

        # Shown, also where warnings are errors or were shown before.
        warnings.filterwarnings("always", message=_UNREADABLE)
        warnings.showwarning = delete_or_show
        yield


def delete_corrupt_entries(directory: str | Path) -> int:
    """Delete entries of a persistent cache that cannot be decompressed; return their number.

    An entry that another process is still writing may be among them; it is compiled once more.
    """
    # The compression (zstandard or zlib) depends on the installed packages, which JAX checks here.
    from jax._src.compilation_cache import decompress_executable

    count = 0
    for entry in Path(directory).glob("*-cache"):
        try:
            decompress_executable(entry.read_bytes())
        except FileNotFoundError:  # deleted by another process meanwhile
            continue
        except Exception:  # each compression library raises its own errors
            entry.unlink(missing_ok=True)
            count += 1
    return count
