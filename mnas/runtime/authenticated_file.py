"""Files that only holders of a secret key can have written: HMAC-SHA-256, then the content.

The HMAC also covers the file's name, so that one file can't be put in the place of another.
"""

import contextlib
import hmac
import logging
import os
import stat
import uuid
from pathlib import Path

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def write_authenticated(path: Path, content: bytes, key: bytes) -> bool:
    """Write a file atomically, creating its directory; return whether it was written."""
    # A unique name, since workers on many machines may write the same file.
    temporary = path.with_name(f"{path.name}-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_digest(path, content, key) + content)
        temporary.replace(path)
    except OSError:  # a full disk, or a file of another user
        with contextlib.suppress(OSError):
            temporary.unlink()
        return False
    return True


def read_authenticated(path: Path, key: bytes) -> bytes | None:
    """Return the content of a file; None if it is missing, or was not written with this key.

    The first file of the latter kind in a directory is reported on standard error.
    """
    try:
        # Without O_NONBLOCK, another user's named pipe would stop this process.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        _report(path.parent, f"{path.name} can't be read ({error.strerror})")
        return None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        # Checked before reading: what others wrote may be of any size.
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            _report(path.parent, f"{path.name} belongs to another user (uid {status.st_uid})")
            return None
        written = file.read()
    content = written[_DIGEST_BYTES:]
    if not hmac.compare_digest(written[:_DIGEST_BYTES], _digest(path, content, key)):
        _report(path.parent, f"{path.name} is damaged, or was written with another key")
        return None
    return content


def _digest(path: Path, content: bytes, key: bytes) -> bytes:
    authentication = hmac.new(key, path.name.encode(), "sha256")
    authentication.update(content)
    return authentication.digest()


_reported: set[Path] = set()


def _report(directory: Path, reason: str) -> None:
    """Log one warning for each directory and process."""
    if directory not in _reported:
        _reported.add(directory)
        logger.warning(
            "cache of compiled programs in %s: %s; it is not used, and the programs are compiled "
            "again",
            directory,
            reason,
        )
