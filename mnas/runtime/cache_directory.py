"""Directory and key of the compiled programs that this user's processes share.

Compiled programs are code. JAX runs whatever lies in its persistent cache, so its directory must
be one that only this user may write. Our own entries (`mnas.runtime.program_cache`) are also
authenticated with a secret key, since programs that use this package may set any directory in JAX.
"""

import atexit
import contextlib
import functools
import logging
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

logger = logging.getLogger(__name__)

KEY_BYTES = 32
_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def compilation_cache() -> str:
    """Return the directory of JAX's persistent compilation cache.

    `JAX_COMPILATION_CACHE_DIR` where set, else `mnas/xla` in the user's cache directory. If others
    may write there, or it can't be created, a temporary directory for this process and those that
    it starts; one line on standard error says so.
    """
    named = os.environ.get(_VARIABLE)
    if named and "://" in named:
        return named  # JAX's other file systems have permissions of their own
    user_cache = _user_cache()
    directory = Path(named) if named else user_cache and user_cache / "xla"
    if directory is None:
        reason = "no home directory"
    else:
        refusal = _created(directory) or writable_by_others(directory)
        if refusal is None:
            return str(directory)
        reason = f"{directory} is not used: {refusal}"
    # Child processes find it by the variable, and do not report it again.
    os.environ[_VARIABLE] = _temporary_directory()
    _report(f"compiled programs are kept in {os.environ[_VARIABLE]} until the end; {reason}")
    return os.environ[_VARIABLE]


def replace_shared_cache() -> None:
    """Check the directory that `JAX_COMPILATION_CACHE_DIR` names, as `compilation_cache` does.

    For a process that uses JAX's cache only if the user has named one; before JAX is imported.
    """
    if os.environ.get(_VARIABLE):
        compilation_cache()


def writable_by_others(directory: Path) -> str | None:
    """Return why users other than this one and root may write to a directory; None if they may not.

    They may also if they can replace the directory, in a parent that all may write and that is not
    sticky.
    """
    directory = directory.resolve()
    for level in (directory, *directory.parents):
        try:
            status = level.stat()
        except OSError as error:
            return f"{level}: {error.strerror}"
        if level == directory:
            if status.st_uid not in (0, os.geteuid()):
                return f"it belongs to another user (uid {status.st_uid})"
            open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        else:
            open_to_others = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
        if open_to_others:
            mode = stat.S_IMODE(status.st_mode)
            return f"others may write to {level} (mode {mode:03o}); accepted: chmod go-w {level}"
    return None


@functools.cache
def cache_key(directory: Path) -> bytes | None:
    """Return the secret key that authenticates entries in `directory`; None if it can't be kept.

    It lies beside the entries where only this user may write, else in the user's cache directory,
    readable by this user only. It is created where it is missing.
    """
    places = [directory, *filter(None, [_user_cache()])]
    for place in places:
        if _created(place) is None and writable_by_others(place) is None:
            with contextlib.suppress(OSError):
                return _read_or_create_key(place / "blocks.key")
    return None


def user_key() -> bytes | None:
    """Return the secret key of the user's cache directory; None if it can't be kept there."""
    place = _user_cache()
    return None if place is None else cache_key(place)


def _read_or_create_key(path: Path) -> bytes:
    """Return the key in a file, a new one where it is missing, damaged, or known to others.

    Raises OSError if it can be neither read nor written.
    """
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            status = os.fstat(file.fileno())
            key = file.read(KEY_BYTES + 1)
            if (
                status.st_uid == os.geteuid()
                and not status.st_mode & 0o077
                and len(key) == KEY_BYTES
            ):
                return key
            path.unlink(missing_ok=True)
        temporary = path.with_name(f"{path.name}-{secrets.token_hex(8)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
            try:  # unlike a renaming, it fails where another process has created the key meanwhile
                os.link(temporary, path)
            except FileExistsError:
                continue
            except OSError:  # a file system without hard links
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    raise OSError(f"{path} can't be created")


def _user_cache() -> Path | None:
    """Return `mnas` in the user's cache directory; None for a user without a home directory."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # The specification has a relative path ignored: each directory would get a cache.
        base = named if named.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "mnas"


def _created(directory: Path) -> str | None:
    """Create what is missing of a path, for this user only; return why it can't be, else None."""
    try:
        for level in (*reversed(directory.parents), directory):
            if not level.is_dir():
                level.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        return error.strerror
    return None


@functools.cache
def _temporary_directory() -> str:
    directory = tempfile.mkdtemp(prefix="mnas-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@functools.cache
def _report(message: str) -> None:
    """Log a warning, once."""
    logger.warning("%s", message)
