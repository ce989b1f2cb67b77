"""Folders of images: CLASS/*.png, or train/CLASS/*.png with a test set beside it.

Classes are the folders, sorted by name; images in folders below belong to the same class. Splits
are folders named as in SPLITS, in any case; the test set is `test`, or where there is none with
labels, the validation folder. A layout that can be read in two ways is rejected.

Left out, and counted: hidden names, the litter of systems (LITTER), files that are no images by
their suffix, and what is neither file nor folder: pipes are never opened. Symbolic links are
followed, but no folder is entered twice.
"""

import functools
import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mnas.data.pixels import SUFFIXES, image_header, is_image_name, read_image
from mnas.data.source import counted, description, shortened, test_note
from mnas.errors import UsageError, printable
from mnas.files import file_digest

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Names, in lower case, that systems and programs leave behind, besides hidden ones.
LITTER = (
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__pycache__"),
    *("$recycle.bin", "system volume information", "lost+found", "@eadir"),
)


class FolderSource:
    """Data set in a folder (`mnas.data.source.Source`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        walk = Walk(path)
        root, self._test_roots = _layout(path, walk)
        files = _class_files(root, walk)
        if len(files) < 2:
            named = f" ({shortened([*files])})" if files else ""
            raise UsageError(
                f"data: {root} has {counted(len(files), 'class folder')}{named}; "
                "accepted: 2 or more"
            )
        for name, paths in files.items():
            if not paths:
                raise UsageError(
                    f"data: no images in {root / name}; accepted: {', '.join(SUFFIXES)}"
                )
        self._walk = walk
        self.classes = tuple(files)
        self.train = FileSplit(self.classes, files)

    @functools.cached_property
    def test(self) -> "FileSplit | None":
        """Test images; None if there are none with labels."""
        labelled = [root for root in self._test_roots if self._is_labelled(root)]
        for root in self._test_roots:
            if root not in labelled[:1]:
                kind = "of another split" if root in labelled else "without labelled images"
                self._walk.left_out[f"folder {kind} ({printable(root.name)})"] += 1
        return self._test_split(labelled[0]) if labelled else None

    def _is_labelled(self, root: Path) -> bool:
        """Return whether a folder has folders of classes, not only of images without labels."""
        folders, images = Walk(self.path).entries(root)
        names = {folder.name for folder in folders}
        return bool(names & {*self.classes}) or bool(names and images)

    def _test_split(self, root: Path) -> "FileSplit":
        files = _class_files(root, Walk(self.path))
        if unknown := [name for name in files if name not in self.classes]:
            raise UsageError(
                f"data: {root} has the class folder {printable(unknown[0])}; "
                f"accepted: those of the training set ({shortened(self.classes)})"
            )
        if not any(files.values()):
            raise UsageError(f"data: no images in {root}; accepted: a folder per class")
        return FileSplit(self.classes, files)

    def describe(self) -> str:
        """Return the line that says what was found; reads the header of each image."""
        headers = [image_header(path) for path in self.train.files]
        deep = sum(is_deep for _, is_deep in headers)
        notes = [f"{deep:,} scaled from 16 bits to 8"] if deep else []
        if self._walk.nested:
            notes.append(f"{counted(self._walk.nested, 'nested folder')} part of a class")
        notes += test_note(self)
        sizes = [size for size, _ in headers]
        return description(len(headers), self.classes, sizes, self._walk.left_out, notes)

    def digest(self) -> str:
        """Return a digest of the files' contents in order, their labels and the class names."""
        files = [file_digest(path) for path in self.train.files]
        content = json.dumps([self.classes, self.train.labels.tolist(), files])
        return hashlib.sha256(content.encode()).hexdigest()


class FileSplit:
    """Images in files, decoded when they are asked for (`mnas.data.source.Split`).

    files  paths of the N images, in order of the labels
    """

    def __init__(self, classes: Sequence[str], files: Mapping[str, Sequence[Path]]) -> None:
        """Take the names of all classes, and the images of those that the split has."""
        self.files = [path for name in files for path in files[name]]
        indices = [classes.index(name) for name in files]
        counts = [len(paths) for paths in files.values()]
        self.labels = np.repeat(np.array(indices, np.int32), counts)

    def images(self, indices: np.ndarray, resolution: int) -> np.ndarray:
        """Return the images at `indices` [M], uint8 RGB [M, R, R, 3]."""
        images = np.empty((len(indices), resolution, resolution, 3), np.uint8)
        for image, index in zip(images, indices, strict=True):
            image[:] = read_image(self.files[index], resolution)
        return images


class Walk:
    """Entries of folders without litter; no folder is entered twice, nor `root` from below.

    left_out  number of entries left out, by kind (`mnas.data.source.description`)
    nested    number of folders inside class folders
    """

    def __init__(self, root: Path) -> None:
        self.left_out: Counter[str] = Counter()
        self.nested = 0
        self._entered: set[tuple[int, int]] = set()
        self._enter(root.stat())

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the folders in a folder, and its images, each sorted by name."""
        folders, images = [], []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    kind = _kind(entry)
                    path = folder / entry.name
                    if kind == "folder" and self._enter(entry.stat()):
                        folders.append(path)
                    elif kind == "file" and is_image_name(entry.name):
                        images.append(path)
                    else:
                        again = "link to a folder that is read already"
                        suffix = path.suffix.lower()
                        self.left_out[{"folder": again, "file": suffix}.get(kind, kind)] += 1
        except OSError as error:
            raise UsageError(
                f"data: {error.filename or folder} can't be read: {error.strerror}"
            ) from None
        return sorted(folders), sorted(images)

    def images(self, folder: Path) -> list[Path]:
        """Return all images in a folder and below, sorted by their paths."""
        found, waiting = [], [folder]
        while waiting:
            folders, images = self.entries(waiting.pop())
            found += images
            waiting += folders
            self.nested += len(folders)
        return sorted(found)

    def _enter(self, status: os.stat_result) -> bool:
        """Return whether a folder was not entered before."""
        identity = (status.st_dev, status.st_ino)
        is_new = identity not in self._entered
        self._entered.add(identity)
        return is_new


def _kind(entry: "os.DirEntry[str]") -> str:
    """Return "folder", "file", or the kind of what is left out."""
    try:
        what = "folder" if entry.is_dir() else "file" if entry.is_file() else ""
    except OSError:  # a link to itself
        what = ""
    if not what:
        return "special file" if os.path.exists(entry.path) else "broken link"
    if entry.name.startswith("."):
        return f"hidden {what}"
    return f"system {what}" if entry.name.lower() in LITTER else what


def _layout(path: Path, walk: Walk) -> tuple[Path, list[Path]]:
    """Return the folder of the training classes, and those that may have the test classes.

    Adds to what the walk left out.

    Raises UsageError for layouts that can be read in two ways.
    """
    top = Walk(path)
    folders, images = top.entries(path)
    splits: dict[str, Path] = {}
    for folder in folders:
        if split := SPLITS.get(folder.name.lower()):
            if split in splits:
                raise _ambiguous(path, f"both {splits[split].name} and {folder.name}")
            splits[split] = folder
    if images:
        raise _ambiguous(path, f"images ({printable(images[0].name)}) outside of class folders")
    if not splits:
        return path, []
    names = shortened([folder.name for folder in splits.values()])
    if "train" not in splits:
        raise _ambiguous(path, f"folders named as splits ({names}) and no train")
    for folder in folders:
        if folder not in splits.values() and Walk(path).images(folder):
            raise _ambiguous(path, f"{printable(folder.name)} beside splits ({names})")
    walk.left_out += top.left_out
    if others := len(folders) - len(splits):
        walk.left_out["folder without images"] += others
    return splits["train"], [splits[role] for role in ("test", "validation") if role in splits]


def _class_files(root: Path, walk: Walk) -> dict[str, list[Path]]:
    """Return the images of each class by its name; UsageError where it is no folder of classes."""
    folders, images = walk.entries(root)
    if images:
        raise _ambiguous(root, f"images ({printable(images[0].name)}) outside of class folders")
    files = {}
    for folder in folders:
        inner, _ = Walk(root).entries(folder)
        if splits := [child.name for child in inner if child.name.lower() in SPLITS]:
            raise _ambiguous(folder, f"folders named as splits ({shortened(splits)})")
        files[folder.name] = walk.images(folder)
    return files


def _ambiguous(path: Path, what: str) -> UsageError:
    return UsageError(
        f"data: {path} has {what}; accepted: class folders only, or train with class folders and, "
        "beside it, test or val"
    )
