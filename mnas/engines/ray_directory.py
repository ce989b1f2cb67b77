"""Directory of a local Ray: its logs and sockets, which no other user may reach.

Ray makes its directories writable by all (mode 0777) whatever the umask. They are kept in a parent
of mode 0700, `mnas-UID` in the directory of temporary files.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from mnas.errors import UsageError, shown
from mnas.runtime.cache_directory import writable_by_others

SOCKET_PATH_BYTES = 107  # of AF_UNIX
SOCKET_OF_RAY = "/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"


def local_directory() -> str:
    """Return the directory for the logs and sockets of a local Ray, in a parent of mode 0700.

    The parent is in `RAY_TMPDIR` or the directory of temporary files, or, where that does not exist
    or has too long a path for sockets below it, or the parent is not private, in one of the
    system's. Raises: UsageError where there is none.
    """
    name = f"mnas-{os.geteuid()}"
    longest = SOCKET_PATH_BYTES - len(f"/{name}{SOCKET_OF_RAY}")
    named = os.environ.get("RAY_TMPDIR")
    for place in [*filter(None, [named]), tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"]:
        parent = Path(place, name)
        if len(os.fsencode(place)) <= longest and _is_private(parent):
            return str(parent / "ray")
    raise UsageError(
        f"TMPDIR = {shown(os.environ.get('TMPDIR'))}: no directory for Ray's sockets; accepted: a "
        f"writable one with a path of at most {longest} bytes, in which {name} is missing or of "
        "mode 0700"
    )


def _is_private(directory: Path) -> bool:
    """Create a directory where it is missing; return whether only this user may use it."""
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700)
    try:
        status = directory.lstat()  # of a link, not of what another user may exchange behind it
    except OSError:
        return False
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        and os.access(directory, os.W_OK | os.X_OK)
        and writable_by_others(directory) is None
    )
