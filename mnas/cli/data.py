"""`mnas data`: what a data set holds; a pack of it."""

import dataclasses
import json
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console

from mnas.cli.arguments import parse, rows_table
from mnas.cli.command import stop_advice
from mnas.data.inspection import Sizes, headers, unreadable_images
from mnas.data.pack import LeftOut, Pack, PackSource, file_name
from mnas.data.packing import pack_source
from mnas.data.source import Source, counted
from mnas.data.sources import open_source
from mnas.errors import UsageError, printable, require_whole, unknown
from mnas.reports.data_progress import DataProgress
from mnas.reports.terminal import plain_console
from mnas.runtime.pinning import usable_cores

SHOWN_UNREADABLE = 20

Name = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="SOURCE",
        help="'digits', a .npz file, a folder with one folder per class, or another source as of "
        "mnas search.",
    ),
]


@dataclasses.dataclass(frozen=True)
class ShowArguments:
    """Describe a data set: its images, classes, sizes, and what can't be read or was left out.

    The headers of image files are read; with --verify, all images.

    Example: mnas data show photos
    """

    source: Name
    verify: bool = False
    """Decode every image; of a pack, compare the checksums of all files."""
    processes: int = usable_cores()
    """Processes that decode images."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_whole("data", "processes", self.processes, most=1000)


@dataclasses.dataclass(frozen=True)
class PackArguments:
    """Pack a data set into memory-mapped arrays, from which images are read without decoding.

    The directory is a source as any other, whose pages all processes of a machine share. The same
    command continues a packing that was stopped.

    Example: mnas data pack photos photos-64 --resolution 64
    """

    source: Name
    out: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Directory of the pack, new or empty."""
    resolution: int
    """Height and width of the packed images, pixels: the highest that will be used."""
    processes: int = usable_cores()
    """Processes that decode and resize images. The bytes of the pack don't depend on it."""
    skip_unreadable: bool = False
    """Leave out images that can't be read, and list them in pack.json; by default, there is no pack
    where there is one."""
    json: bool = False
    """Print one JSON object."""


HELP = """usage: mnas data {show,pack} ...

Describe a data set, or pack it into memory-mapped arrays.

  show  images, classes, sizes, what can't be read and was left out
  pack  a directory of arrays that is read without decoding

Arguments: mnas data show --help, mnas data pack --help
Example: mnas data pack photos photos-64 --resolution 64"""


def main(arguments: list[str]) -> None:
    """Run `mnas data`."""
    verb, *rest = arguments or [""]
    if verb in ("-h", "--help"):
        print(HELP)
    elif verb == "show":
        show(parse(ShowArguments, "mnas data show", rest))
    elif verb == "pack":
        advice = f"to continue: mnas data {shlex.join(arguments)}"
        options = parse(PackArguments, "mnas data pack", rest)
        with stop_advice(advice):
            pack(options)
    elif verb:
        raise unknown("verb of mnas data", verb, ("show", "pack"))
    else:
        raise UsageError("no verb of mnas data given; accepted: show, pack")


def pack(options: PackArguments) -> None:
    """Write a pack, or what is left of it, and tell what it holds."""
    console, directory = plain_console(stderr=True), Path(options.out)
    begun = time.monotonic()
    with DataProgress(console, "packing") as progress:
        written = pack_source(
            options.source,
            directory,
            options.resolution,
            progress,
            processes=options.processes,
            skip_unreadable=options.skip_unreadable,
        )
    seconds = time.monotonic() - begun
    if progress.total:
        rate = f"{progress.images:,} images in {seconds:,.1f} s"
        resumed = f", {progress.resumed:,} packed before" if progress.resumed else ""
        console.print(f"packed: {rate}{resumed}", soft_wrap=True)
    else:
        console.print(f"{directory} is finished already; nothing to do", soft_wrap=True)
    if written.left_out:
        left = counted(len(written.left_out), "unreadable image")
        console.print(f"left out: {left}, listed in {directory}/pack.json", soft_wrap=True)
    console.print(f"data: {PackSource(directory).describe()}", soft_wrap=True)
    console.print(f"written: {directory}", soft_wrap=True)
    if options.json:
        rate_of = progress.images / seconds if progress.images else None
        result = {
            **_pack_facts(directory, written),
            "packed": progress.images,
            "resumed": progress.resumed,
            "seconds": seconds,
            "images_per_second": rate_of,
        }
        print(json.dumps(result, indent=2, allow_nan=False))


def show(options: ShowArguments) -> None:
    """Print what a data set holds."""
    console = plain_console(stderr=True)
    source = open_source(options.source)
    splits, notes = _splits(source)
    with DataProgress(console, "reading") as progress:
        sizes, unreadable = _tried(options, source, splits, progress)
        damaged = []
        if options.verify and isinstance(source, PackSource):
            progress.start(sum(len(source_labels) for source_labels in splits.values()))
            damaged = source.damaged(lambda images: progress.part(images, False))
    facts: dict[str, Any] = {
        "source": options.source,
        "description": _description(source, unreadable),
        "notes": notes,
        "images": {split: len(labels) for split, labels in splits.items()},
        "classes": _balance(source, splits),
        "sizes": None if sizes is None else dataclasses.asdict(sizes),
        "verified": options.verify,
        "unreadable": [dataclasses.asdict(item) for item in unreadable],
    }
    if isinstance(source, PackSource):
        facts |= {"pack": _pack_facts(source.path, source.pack), "damaged": damaged}
    if options.json:
        print(json.dumps(facts, indent=2, allow_nan=False))
    else:
        _print(plain_console(), facts)
    if damaged:
        raise UsageError(
            f"data: {options.source}: {', '.join(damaged)} differ from their checksums; accepted: "
            "a pack as mnas data pack wrote it"
        )


def _splits(source: Source) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the labels of the splits that can be opened, and notes on the others."""
    splits, notes = {"train": source.train.labels}, []
    try:
        if source.test is not None:
            splits["test"] = source.test.labels
    except UsageError as error:
        notes.append(f"unusable test set: {str(error).removeprefix('data: ')}")
    return splits, notes


def _tried(
    options: ShowArguments,
    source: Source,
    splits: dict[str, np.ndarray],
    progress: DataProgress,
) -> tuple[Sizes | None, list[LeftOut]]:
    """Return the sizes of images in files, and the images that can't be read."""
    if isinstance(source, PackSource):
        return None, []
    names = [split for split in ("train", "test") if split in splits]
    read = [
        item
        for name in names
        for item in headers(source.train if name == "train" else source.test, name)  # type: ignore[arg-type]
    ]
    sizes = Sizes.of([item for item in read if not isinstance(item, LeftOut)])
    if not options.verify:
        return sizes, [item for item in read if isinstance(item, LeftOut)]
    progress.start(sum(len(splits[name]) for name in names))
    unreadable = unreadable_images(
        options.source,
        source,
        names,
        options.processes,
        lambda images: progress.part(images, False),
    )
    return sizes, unreadable


def _description(source: Source, unreadable: Sequence[LeftOut]) -> str | None:
    """Return the source's line; None where an image that can't be read is in the way."""
    try:
        return source.describe()
    except UsageError:
        if not unreadable:
            raise
        return None


def _balance(source: Source, splits: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return the number of images of each class by split."""
    counts = {
        split: np.bincount(labels, minlength=len(source.classes)).tolist()
        for split, labels in splits.items()
    }
    return [
        {"name": name, **{split: counts[split][index] for split in counts}}
        for index, name in enumerate(source.classes)
    ]


def _pack_facts(directory: Path, pack: Pack) -> dict[str, Any]:
    content = pack.to_json()
    names = [file_name("train", "images"), file_name("test", "images")]
    nbytes = {name: (directory / name).stat().st_size for name in names if name in pack.files}
    return {"directory": str(directory), "bytes": sum(nbytes.values())} | {
        key: content[key] for key in ("format", "resolution", "files", "origin", "left_out")
    }


def _print(console: Console, facts: dict[str, Any]) -> None:
    """Print what `--json` prints as text and a table."""
    if facts["description"]:
        console.print(facts["description"], soft_wrap=True)
    for note in facts["notes"]:
        console.print(note, soft_wrap=True)
    splits = [*facts["images"]]
    rows = []
    for row in facts["classes"]:
        share = row["train"] / facts["images"]["train"]
        rows.append(
            (printable(row["name"]), *(f"{row[s]:,}" for s in splits), f"{100 * share:.2f} %")
        )
    table = rows_table(("class", *splits, "of train"), rows)
    table.add_section()
    table.add_row("all", *(f"{facts['images'][split]:,}" for split in splits), "")
    console.print(table)
    counts = [row["train"] for row in facts["classes"]]
    console.print(f"images of a class in train: {min(counts):,} to {max(counts):,}")
    if sizes := facts["sizes"]:
        shown = {key: f"{height}×{width}" for key, (height, width) in sizes.items()}
        console.print(f"size: {', '.join(f'{key} {size}' for key, size in shown.items())}")
    if "pack" in facts:
        _print_pack(console, facts)
        return
    unreadable = facts["unreadable"]
    how = "all images decoded" if facts["verified"] else "by headers; --verify decodes all"
    console.print(f"unreadable: {len(unreadable):,} ({how})")
    for item in unreadable[:SHOWN_UNREADABLE]:
        console.print(f"  {item['cause']}", soft_wrap=True)
    if len(unreadable) > SHOWN_UNREADABLE:
        console.print(f"  and {len(unreadable) - SHOWN_UNREADABLE:,} others (--json lists all)")


def _print_pack(console: Console, facts: dict[str, Any]) -> None:
    pack = facts["pack"]
    origin = pack["origin"]
    console.print(
        f"pack: {pack['bytes'] / 1e6:,.1f} MB at {pack['resolution']} × {pack['resolution']} "
        f"pixels, from {printable(origin['source'], 200)}",
        soft_wrap=True,
    )
    checked = "differ: " + ", ".join(facts["damaged"]) if facts["damaged"] else "agree"
    console.print(f"checksums: {checked if facts['verified'] else 'not compared (--verify)'}")
    for item in pack["left_out"][:SHOWN_UNREADABLE]:
        console.print(f"  left out: {printable(item['cause'], 300)}", soft_wrap=True)
