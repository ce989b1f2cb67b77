"""The source that a name means: the embedded set, a file, a folder, or a Hugging Face data set.

Files are told by their names; folders by the names of the files in them, and taken for folders of
images if those are no other source's.
"""

import os
from pathlib import Path

from mnas.data import cifar, hub, idx, pack
from mnas.data.archive import directory_names
from mnas.data.arrays import ArraySource
from mnas.data.cifar import CifarSource
from mnas.data.digits import DigitsSource
from mnas.data.folders import FolderSource
from mnas.data.hugging_face import HuggingFaceSource
from mnas.data.idx import IdxSource
from mnas.data.source import ACCEPTED, Source
from mnas.errors import UsageError

# Name of the embedded data set.
EMBEDDED = "digits"
# Name of no data set, in experiments whose images users have.
REQUIRED = "required"


def open_source(name: str) -> Source:
    """Return the source of a name. Raises UsageError if it can't be read."""
    if name == EMBEDDED:
        return DigitsSource()
    if name == REQUIRED:
        raise UsageError(f"data: no images are named; accepted: --data with {ACCEPTED}")
    if name.startswith(hub.PREFIX):
        return HuggingFaceSource(name)
    path = Path(name)
    if os.path.isdir(path):
        names = {*directory_names(path)}
        if pack.is_pack(names):
            return pack.PackSource(path)
        if cifar.is_cifar(names):
            return CifarSource(path)
        if any(map(idx.is_idx, names)):
            return IdxSource(path)
        if hub.is_saved(names):
            return HuggingFaceSource(f"{hub.PREFIX}{name}")
        return FolderSource(path)
    if not os.path.isfile(path):
        what = "no regular file or folder" if os.path.lexists(path) else "no such file or folder"
        raise UsageError(f"data: {path}: {what}; accepted: {ACCEPTED}")
    if name.lower().endswith(".npz"):
        return ArraySource(path)
    if name.lower().endswith(cifar.SUFFIXES):
        return CifarSource(path)
    if idx.is_idx(path.name):
        return IdxSource(path)
    raise UsageError(f"data: {path} is no data set by its name; accepted: {ACCEPTED}")


def absolute_source(name: str) -> str:
    """Return the name with its path, if it is one, made absolute."""
    if name in (EMBEDDED, REQUIRED):
        return name
    if name.startswith(hub.PREFIX):
        return hub.absolute(name)
    return os.path.abspath(name)
