"""LRU cache of compiled programs, on disk and in memory.

JAX's persistent cache can look a program up only after tracing and lowering it, which takes several
times as long as reading it. Here an entry's key is a signature known beforehand:

    <jax_compilation_cache_dir>/blocks/<HMAC-SHA-256 of signature, settings, versions, processor>

An entry is read in a few milliseconds, so a program needs no memory while it is not in use (4 to
6 MB for those of a block: XLA keeps analyses beside the machine code). Programs read from JAX's own
cache cannot be serialised again on CPUs, since XLA's client drops the machine code when loading it;
programs compiled here are therefore kept out of that cache.

Entries are pickles and machine code: whoever writes one runs code in the process that reads it, and
damaged machine code ends that process. So entries are authenticated with a secret key of the user's
own (`mnas.runtime.cache_directory`) before anything in them is used. An entry that is damaged or
was written by somebody else is compiled again and overwritten. Users with other keys have entries
of other names.
"""

import collections
import contextlib
import hashlib
import hmac
import os
import pickle
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import serialize_executable

from mnas.runtime.authenticated_file import read_authenticated, write_authenticated
from mnas.runtime.cache_directory import cache_key
from mnas.runtime.compile_stats import Recording, record_reading
from mnas.runtime.machine import package_versions, processor_features

# JAX makes its settings' attributes as it starts, unknown to type checkers.
_config: Any = jax.config

Program = jax.stages.Compiled

# Program sets kept in memory, of those on disk. A child has some twenty blocks. Random children
# around EfficientNet-B0 have 170 different ones, of which each child then reads five from disk.
MAX_RESIDENT = 96


class ProgramSet:
    """Programs used together, such as the forward and backward program of a block.

    signature     everything the programs are compiled from; equal signatures have equal `repr`.
                  Must include the sources they are traced from (`source_digest`)
    compile_all   traces and compiles the programs if they are not on disk; returns them together
                  with picklable metadata
    """

    def __init__(
        self, signature: tuple[Any, ...], compile_all: Callable[[], tuple[Sequence[Program], Any]]
    ) -> None:
        self._signature, self._compile_all = signature, compile_all
        self._contents: tuple[tuple[Program, ...], Any] | None = None
        self._on_disk = False

    def load(self) -> tuple[tuple[Program, ...], Any]:
        """Return the programs and their metadata, from memory, disk or the compiler.

        Makes this set the most recently used one, and evicts the least recently used one beyond
        `MAX_RESIDENT` unless it is not on disk. Callers may keep programs after eviction.
        """
        with _lock:
            if self._contents is None:
                self._contents = self._read_or_compile()
            contents = self._contents
            _resident[self] = None
            _resident.move_to_end(self)
            if len(_resident) > MAX_RESIDENT:
                oldest, _ = _resident.popitem(last=False)
                if oldest._on_disk:
                    oldest._contents = None
            return contents

    def _read_or_compile(self) -> tuple[tuple[Program, ...], Any]:
        entry = entry_of(self._signature)
        if entry is not None and (contents := entry.read()):
            self._on_disk = True
            return contents
        recording = Recording()
        with _outside_jax_cache() if entry else contextlib.nullcontext():
            programs, metadata = self._compile_all()
        contents = tuple(programs), metadata
        # JAX's cache may contain them nevertheless, written by other code.
        if entry is not None and not recording.compilations.cache_reads:
            self._on_disk = entry.write(contents)
        return contents


def evict_all() -> None:
    """Remove all program sets from the LRU list; callers' programs stay usable."""
    with _lock:
        _resident.clear()


_resident: collections.OrderedDict[ProgramSet, None] = collections.OrderedDict()  # latest last
_lock = threading.Lock()


# --- entries ------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """A program set on disk: its file, and the key that authenticates it."""

    path: Path
    key: bytes

    def read(self) -> tuple[tuple[Program, ...], Any] | None:
        """Return the contents; None if they are missing or not usable, and to be overwritten."""
        began = time.perf_counter()
        compressed = read_authenticated(self.path, self.key)
        if compressed is None:
            return None
        packed, metadata = pickle.loads(zlib.decompress(compressed))
        try:
            programs = tuple(
                serialize_executable.deserialize_and_load(
                    executable, arguments, results, execution_devices=[_device()]
                )
                for executable, arguments, results in packed
            )
        except (ValueError, jax.errors.JaxRuntimeError):
            return None  # a driver or device that the key does not tell from another
        record_reading(len(programs), time.perf_counter() - began)
        return programs, metadata

    def write(self, contents: tuple[tuple[Program, ...], Any]) -> bool:
        """Write the contents atomically; return whether they were written."""
        programs, metadata = contents
        try:
            packed = [serialize_executable.serialize(program) for program in programs]
        except (NotImplementedError, ValueError, jax.errors.JaxRuntimeError):
            return False  # not every device can serialise programs
        compressed = zlib.compress(pickle.dumps((packed, metadata)), 1)
        return write_authenticated(self.path, compressed, self.key)


@contextlib.contextmanager
def _outside_jax_cache() -> Iterator[None]:
    """Keep programs compiled within the context out of JAX's persistent cache."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, float("inf"))
    try:
        yield
    finally:
        jax.config.update(name, before)


# --- keys ---------------------------------------------------------------------------------------


def entry_of(signature: tuple[Any, ...]) -> Entry | None:
    """Return the entry of a signature; None if JAX's cache is off or not in a local directory."""
    directory = _config.jax_compilation_cache_dir
    if not directory or "://" in directory or not _config.jax_enable_compilation_cache:
        return None
    key = cache_key(Path(directory))
    if key is None:
        return None
    identity = repr((signature, _settings(), package_versions(), processor_features()))
    name = hmac.new(key, identity.encode(), "sha256").hexdigest()
    return Entry(Path(directory) / "blocks" / name, key)


def source_digest(folders: Iterable[Path]) -> str:
    """Return the SHA-256 of all Python files directly in `folders`, in order of folder and name."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _device() -> jax.Device:
    return _config.jax_default_device or jax.local_devices()[0]


def _settings() -> tuple[Any, ...]:
    """Return all settings of JAX and XLA that may affect a program."""
    device = _device()
    irrelevant = ("cache", "log", "platform", "traceback", "visible")
    values = sorted(
        (name, repr(value))
        for name, value in jax.config.values.items()
        if not any(part in name for part in irrelevant)
    )
    environment = [os.environ.get(name) for name in ("XLA_FLAGS", "NPROC")]
    return device.platform, device.device_kind, device.id, values, environment
