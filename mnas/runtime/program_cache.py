"""Compiled programs on disk, found by what they are made of, and in memory while they are used.

JAX's own cache on disk can be asked for a program only when it is traced and written out for XLA,
which takes several times as long as reading it. And what came from there can't be written again:
XLA's CPU client gives up the machine code as it loads it. So the programs of blocks are kept out of
that cache, but in its directory:

    <jax_compilation_cache_dir>/blocks/<SHA-256 of the signature>

Found there, a program is read in some milliseconds; so it needs no place in memory while it is not
used. Ready to run, those of a block take 4 to 6 MB, as XLA keeps what it compiled and its analyses
beside the machine code.

Entries are pickles, and machine code: like JAX's own, they are for directories that are trusted.
"""

import collections
import contextlib
import functools
import hashlib
import importlib.metadata
import os
import pickle
import platform
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

import mnas
from mnas.runtime.compile_stats import Recording, count_reading

Program = jax.stages.Compiled

# Sets of programs that stay ready to run, of those that are on disk too. A child has some twenty
# blocks; random children around EfficientNet-B0, which have 170 different ones, read five again
# for every child.
READY = 96


class Stored:
    """Programs that are used together, say those that train a block.

    signature   what they are made of, whose `repr` tells it from all others; beside it counts
                whatever else could make other programs of it
    make        traces and compiles them, if they are not on disk: they, and what else is to be
                known of them, to be pickled
    """

    def __init__(
        self, signature: tuple[Any, ...], make: Callable[[], tuple[Sequence[Program], Any]]
    ) -> None:
        self._signature, self._make = signature, make
        self._programs: tuple[tuple[Program, ...], Any] | None = None
        self._on_disk = False

    def ready(self) -> tuple[tuple[Program, ...], Any]:
        """The programs and what else is known. Who has them may use them for good."""
        with _lock:
            if self._programs is None:
                self._find_or_make()
            _ready[self] = None
            _ready.move_to_end(self)
            if len(_ready) > READY:
                oldest, _ = _ready.popitem(last=False)
                if oldest._on_disk:
                    oldest._programs = None
            return self._programs

    def _find_or_make(self) -> None:
        path = _path(self._signature)
        if path is not None and (found := _read(path)):
            self._programs, self._on_disk = found, True
            return
        recording = Recording()
        with _kept_out_of_the_cache() if path else contextlib.nullcontext():
            programs, known = self._make()
        self._programs = tuple(programs), known
        # JAX's cache may have them all the same, from elsewhere.
        if path is not None and not recording.compilations.cache_reads:
            self._on_disk = _write(path, self._programs)


def forget_ready() -> None:
    """No program is kept ready any longer, except by those who have it."""
    with _lock:
        _ready.clear()


_ready: collections.OrderedDict[Stored, None] = collections.OrderedDict()  # the latest used last
_lock = threading.Lock()


# --- entries ------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[tuple[Program, ...], Any] | None:
    """None where there is no entry, or a broken one, which will be written over."""
    began = time.perf_counter()
    try:
        packed, known = pickle.loads(zlib.decompress(path.read_bytes()))
        programs = tuple(
            serialize_executable.deserialize_and_load(*program, execution_devices=[_device()])
            for program in packed
        )
    except Exception:  # whatever the system, zlib, pickle and XLA find wrong with it
        return None
    count_reading(len(programs), time.perf_counter() - began)
    return programs, known


def _write(path: Path, programs: tuple[tuple[Program, ...], Any]) -> bool:
    """Whether it could be written; whole, or not at all."""
    try:
        packed = [serialize_executable.serialize(program) for program in programs[0]]
        entry = zlib.compress(pickle.dumps((packed, programs[1])), 1)
    except (NotImplementedError, ValueError, jax.errors.JaxRuntimeError):
        return False  # JAX can't, for some devices
    # Of its own name, for workers of many machines may write the same entry; and not by `tempfile`,
    # whose files other users of the cache could not read.
    temporary = path.with_name(f"{path.name}-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(entry)
        temporary.replace(path)
    except OSError:  # as with JAX's own: a full disk stops no search
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True


@contextlib.contextmanager
def _kept_out_of_the_cache() -> Iterator[None]:
    """What is compiled inside isn't written to JAX's cache, whose programs we couldn't write."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, float("inf"))
    try:
        yield
    finally:
        jax.config.update(name, before)


# --- what an entry is found by ------------------------------------------------------------------


def _path(signature: tuple[Any, ...]) -> Path | None:
    """None where JAX has no cache, or one that is no directory of a file system."""
    directory = jax.config.jax_compilation_cache_dir
    if not directory or "://" in directory or not jax.config.jax_enable_compilation_cache:
        return None
    what = repr((signature, _settings(), _versions(), _code(), _processor()))
    return Path(directory) / "blocks" / hashlib.sha256(what.encode()).hexdigest()


def _device() -> jax.Device:
    return jax.config.jax_default_device or jax.local_devices()[0]


def _settings() -> tuple[Any, ...]:
    """Of JAX and XLA, all but those that can't matter."""
    device = _device()
    apart = ("cache", "log", "platform", "traceback", "visible")
    values = sorted(
        (name, repr(value))
        for name, value in jax.config.values.items()
        if not any(part in name for part in apart)
    )
    environment = [os.environ.get(name) for name in ("XLA_FLAGS", "NPROC")]
    return device.platform, device.device_kind, device.id, values, environment


@functools.cache
def _versions() -> tuple[str, ...]:
    packages = ("jax", "jaxlib", "flax", "optax")
    plugins = [
        name
        for distribution in importlib.metadata.distributions()
        if (name := distribution.metadata["Name"] or "").startswith("jax-")
    ]
    found = (f"{name} {importlib.metadata.version(name)}" for name in (*packages, *sorted(plugins)))
    return (platform.python_version(), *found)


@functools.cache
def _code() -> str:
    """Of this package, whatever blocks are made by."""
    root = Path(mnas.__file__).parent
    files = [
        f
        for folder in ("architecture", "nn", "training")
        for f in sorted((root / folder).glob("*.py"))
    ]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@functools.cache
def _processor() -> tuple[str, ...]:
    """XLA compiles for the very processor it runs on."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        wanted = ("model name", "flags", "Features", "CPU part")
        return tuple(sorted({line for line in lines if line.startswith(wanted)}))
    return platform.machine(), platform.processor()
