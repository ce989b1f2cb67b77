"""Small packs and their files_of, for tests."""

from pathlib import Path

from mnas.data.packing import pack_source


class Log:
    """Observer that keeps what a packing reports."""

    def __init__(self):
        self.total, self.parts, self.causes = None, [], []

    def start(self, total):
        self.total = total

    def part(self, images, resumed):
        self.parts.append((images, resumed))

    def unreadable(self, cause):
        self.causes.append(cause)


def packed(source: Path, out: Path, resolution=8, log=None, **options):
    """Pack a source and return the description."""
    return pack_source(str(source), out, resolution, log or Log(), **options)


def files_of(directory: Path) -> dict[str, bytes]:
    """Return the files of a pack by name, without that of the lock."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != ".lock"}
