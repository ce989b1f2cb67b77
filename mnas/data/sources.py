"""The source that a name means: the embedded set, a file or a folder."""

import os
from pathlib import Path

from mnas.data.arrays import ArraySource
from mnas.data.digits import DigitsSource
from mnas.data.folders import FolderSource
from mnas.data.source import Source

# Name of the embedded data set.
EMBEDDED = "digits"


def open_source(name: str) -> Source:
    """Return the source of a name. Raises UsageError if it can't be read."""
    if name == EMBEDDED:
        return DigitsSource()
    if name.lower().endswith(".npz"):
        return ArraySource(Path(name))
    return FolderSource(Path(name))


def absolute_source(name: str) -> str:
    """Return the name with its path, if it is one, made absolute."""
    return name if name == EMBEDDED else os.path.abspath(name)
