"""Names of Hugging Face data sets, and their tables on disk or from the Hub.

    hf:NAME[:CONFIG][#IMAGE,LABEL]

NAME is a folder that `save_to_disk` wrote, or the Hub's name of a set, which `datasets` then
downloads. IMAGE and LABEL are names of columns. Needs the package `datasets` of a version that runs
no code of data sets (4 or later). Nothing is unpickled: tables are Arrow files, which are validated
before they are used, and of a folder only regular files in it are opened.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mnas.data.archive import directory_names
from mnas.errors import UsageError, printable
from mnas.files import read_json

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

PREFIX = "hf:"
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?", re.ASCII)


class Named(NamedTuple):
    """Parts of a source's name: folder or Hub name, configuration, (image, label) columns."""

    name: str
    config: str | None
    columns: tuple[str, str] | None


def parsed(source: str) -> Named:
    """Return the parts of "hf:NAME[:CONFIG][#IMAGE,LABEL]". Raises UsageError for other text."""
    text = source.removeprefix(PREFIX)
    name, hash_sign, words = (text, "", "") if os.path.isdir(text) else text.partition("#")
    image, _, label = words.partition(",")
    if not name or (hash_sign and not (image and label)):
        raise UsageError(
            f"data: source = {printable(source, 100)!r}; accepted: hf:NAME[:CONFIG][#IMAGE,LABEL]"
        )
    columns = (image, label) if hash_sign else None
    if os.path.isdir(name):
        return Named(name, None, columns)
    name, _, config = name.partition(":")
    return Named(name, config or None, columns)


def absolute(source: str) -> str:
    """Return the source with its folder, if it is one, made absolute."""
    name, _, columns = parsed(source)
    if not os.path.isdir(name):
        return source
    return f"{PREFIX}{os.path.abspath(name)}{'#' + ','.join(columns) if columns else ''}"


def is_saved(names: set[str]) -> bool:
    """Return whether a folder with entries of these names was written by `save_to_disk`."""
    return "dataset_dict.json" in names or {"dataset_info.json", "state.json"} <= names


def load_splits(named: Named) -> Mapping[str, "datasets.Dataset"]:
    """Return the tables of a data set by split. Raises UsageError where they can't be read.

    A table without a split is the training set.
    """
    try:
        import datasets
    except ImportError:
        raise UsageError(
            f"data: hf:{printable(named.name, 100)} needs the package datasets; accepted: after "
            "pip install 'mnas[huggingface]'"
        ) from None
    is_folder = os.path.isdir(named.name)
    if not is_folder and not _HUB_NAME.fullmatch(named.name):
        raise UsageError(
            f"data: hf:{printable(named.name, 100)}: no such folder; accepted: a folder that "
            "save_to_disk wrote, or a name on the Hub"
        )
    if is_folder:
        _require_saved(Path(named.name))
    try:
        if is_folder:
            loaded = datasets.load_from_disk(named.name)
        else:
            loaded = datasets.load_dataset(named.name, named.config)
    except Exception as error:  # Whatever the package and what it is built on raise.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UsageError(
            f"data: hf:{printable(named.name, 100)} can't be loaded: {printable(lines[0], 200)}"
        ) from None
    return {"train": loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded)


def column(dataset: "datasets.Dataset", name: str, where: str) -> "pa.ChunkedArray":
    """Return a column of a table, validated. Raises UsageError, which has `where`, if malformed."""
    import pyarrow as pa

    values = dataset.data.column(name)
    try:
        values.validate(full=True)
    except pa.lib.ArrowException as error:
        cause = printable(str(error).splitlines()[0], 150)
        raise UsageError(f"data: {where}: {printable(name)} is malformed: {cause}") from None
    return values


def _require_saved(path: Path) -> None:
    """Raise UsageError unless a folder and its splits name regular files inside themselves."""
    folders = [path]
    if os.path.lexists(path / "dataset_dict.json"):
        splits = _entry(path / "dataset_dict.json", "splits")
        folders = [path / _plain(path, name) for name in splits]
    for folder in folders:
        files = _entry(folder / "state.json", "_data_files")
        names = [file.get("filename") if isinstance(file, dict) else file for file in files]
        for name in ("dataset_info.json", *(_plain(folder, name) for name in names)):
            if not os.path.isfile(folder / name):
                raise UsageError(f"data: {folder}: {printable(name)} is no regular file")


def _entry(path: Path, key: str) -> list[Any]:
    """Return the list under a key of a JSON file, of at least one item."""
    content = read_json(path)
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list) or not value:
        raise UsageError(f"data: {path} has no list {key}; accepted: as save_to_disk writes it")
    return value


def _plain(folder: Path, name: Any) -> str:
    """Return the name of an entry of a folder; UsageError for others, and paths elsewhere."""
    if name not in directory_names(folder):
        shown = printable(repr(name))
        raise UsageError(f"data: {folder} has no {shown}; accepted: names of files in it")
    return name
