"""Sizes of a source's images, and the images that can't be read."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from mnas.data.folders import FileSplit
from mnas.data.hugging_face import TableSplit
from mnas.data.pack import LeftOut
from mnas.data.parts import Reading, parts_of, run_parts, split_of
from mnas.data.pixels import image_header
from mnas.data.source import Source, Split
from mnas.errors import UsageError

Size = tuple[int, int]
"""(height, width), pixels."""

# Images that are only tried are decoded to this size.
TRIED_RESOLUTION = 8
TRIED_ROWS = 256


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Smallest, median and largest size by number of pixels."""

    smallest: Size
    median: Size
    largest: Size

    @classmethod
    def of(cls, sizes: list[Size]) -> "Sizes | None":
        """Return those of a list; None of an empty one."""
        ordered = sorted(sizes, key=lambda size: (size[0] * size[1], size))
        return cls(ordered[0], ordered[len(ordered) // 2], ordered[-1]) if ordered else None


def headers(split: Split, name: str) -> Iterator[Size | LeftOut]:
    """Yield the size of each image of a split in files, or why its header can't be read.

    Yields nothing where images are not in files of their own.
    """
    if not isinstance(split, FileSplit | TableSplit):
        return
    for index in range(len(split.labels)):
        try:
            if isinstance(split, FileSplit):
                size, _ = image_header(split.files[index])
            else:
                size, _ = image_header(*split.file(index))
        except UsageError as error:
            yield LeftOut(name, index, str(error).removeprefix("data: "))
        else:
            yield size


def unreadable_images(
    name: str,
    source: Source,
    splits: Sequence[str],
    processes: int,
    observe: Callable[[int], None],
) -> list[LeftOut]:
    """Decode all images of splits, in parallel; return those that can't be, in order.

    name     of the source
    observe  is called with a number of images that were decoded
    """
    found = []
    counts = {split: len(split_of(source, split).labels) for split in splits}
    parts = [part for split in splits for part in parts_of(split, counts[split], TRIED_ROWS)]
    for part, _ in run_parts(Reading(name, TRIED_RESOLUTION), source, parts, processes):
        found += [LeftOut(part.split, index, cause) for index, cause in part.unreadable]
        observe(len(part))
    return sorted(found, key=lambda item: (splits.index(item.split), item.index))
