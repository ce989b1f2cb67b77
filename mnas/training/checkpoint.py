"""The state of a training on disk, written by Orbax; no JAX before a state is written or read.

    checkpoints/000002-000000120/    after 2 epochs and 120 steps of the third
        state/                       the arrays, a PyTree checkpoint of Orbax
        head.json                    settings, history, losses of the steps; size and SHA-256 of
                                     each file of `state`; SHA-256 of the head itself

A checkpoint is written under a temporary name and renamed, so it is whole or not there. It is read
after all of its files have been compared with the head, by TensorStore, on which Orbax is built:
Orbax's own restoration logs errors and prints them from its threads, TensorStore's are one line.
Arrays are read if they have the shapes and types that the caller expects; nothing is unpickled.
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnas.errors import UsageError, is_finite, require_positive, require_whole, shown
from mnas.files import read_json, sync_directory, write_json

FORMAT = "mnas-checkpoint/1"
_NAME = re.compile(r"\d{6,}-\d{9,}")
# Bytes of metadata, at most.
_OVERHEAD = 1 << 20
# In messages of TensorStore, by its version.
_OS_ERROR = re.compile(r"(?:os_error_code='|OS error )(\d+)")
_FIELDS = ("settings", "history", "losses", "files")


@dataclasses.dataclass(frozen=True)
class CheckpointConfig:
    """Times of checkpoints besides the end of each epoch, and the number that are kept."""

    minutes: float = 10.0
    """Minutes between checkpoints within an epoch."""
    steps: int | None = None
    """Steps between checkpoints within an epoch; by time only by default."""
    keep: int = 2
    """Number of newest checkpoints that are kept."""

    def __post_init__(self) -> None:
        require_positive("checkpoint", "minutes", self.minutes)
        if self.steps is not None:
            require_whole("checkpoint", "steps", self.steps)
        require_whole("checkpoint", "keep", self.keep)


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Mean training loss and top-1 validation accuracy of one epoch, counted from 1."""

    epoch: int
    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """State of a training after some step.

    settings  what the training depends on, as nested JSON values
    history   epochs that are trained and evaluated
    losses    losses of the steps of the epoch after these that are done
    leaves    arrays of the state
    """

    settings: Mapping[str, Any]
    history: Sequence[Epoch]
    losses: Sequence[float]
    leaves: Sequence[np.ndarray]

    @property
    def name(self) -> str:
        """Name of its directory; a later checkpoint has a greater one."""
        return f"{len(self.history):06d}-{len(self.losses):09d}"

    def write(self, directory: Path, keep: int) -> Path:
        """Write the checkpoint and return its path; delete all but the newest `keep`.

        Raises UsageError where that is impossible; the checkpoints before remain.
        """
        path = directory / self.name
        temporary = directory / f".{path.name}.tmp"
        try:
            directory.mkdir(exist_ok=True)
            for left in directory.glob(".*.tmp"):  # of a process that was killed
                shutil.rmtree(left)
            if not path.exists():
                temporary.mkdir()
                _save(temporary / "state", self.leaves)
                write_json(temporary / "head.json", self._head(temporary / "state"))
                temporary.rename(path)
                sync_directory(directory)
            for old in _all(directory)[:-keep]:
                # Renamed first: a checkpoint is never there in part.
                shutil.rmtree(old.rename(old.with_name(f".{old.name}.tmp")))
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror or error}") from None
        return path

    def _head(self, state: Path) -> dict[str, Any]:
        head = {
            "format": FORMAT,
            "settings": self.settings,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "losses": [*self.losses],
            "files": {name: list(_content(file)) for name, file in _files(state)},
        }
        return {**head, "sum": _checksum(head)}

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint without its arrays (`with_leaves`).

        Raises UsageError, which names the directory, where it is damaged.
        """
        head = read_json(path / "head.json")
        try:
            intact = isinstance(head, dict) and head.pop("sum", None) == _checksum(head)
        except RecursionError:  # nested more deeply than what can be written
            intact = False
        if not intact:
            raise _damaged(path, "the checksum of head.json doesn't match")
        if head.get("format") != FORMAT:
            raise _damaged(path, f"its format is {shown(head.get('format'))}, not {FORMAT!r}")
        settings, epochs, losses, files = (head.get(field) for field in _FIELDS)
        if not isinstance(settings, dict) or not isinstance(files, dict):
            raise _damaged(path, "head.json lacks settings or files")
        if not isinstance(epochs, list) or not isinstance(losses, list):
            raise _damaged(path, "head.json lacks history or losses")
        if not all(is_finite(loss) for loss in losses):
            raise _damaged(path, "its losses are not numbers")
        history = [_epoch(path, number, epoch) for number, epoch in enumerate(epochs, start=1)]
        checkpoint = cls(settings, history, losses, ())
        if path.name != checkpoint.name:
            raise _damaged(path, f"head.json is that of {checkpoint.name}")
        _compare(path, files)
        return checkpoint

    def with_leaves(self, path: Path, template: Sequence[np.ndarray]) -> "Checkpoint":
        """Return the checkpoint with its arrays, of the shapes and types of the template.

        Raises UsageError, which names the directory, for arrays of another kind.
        """
        return dataclasses.replace(self, leaves=_load(path, template))

    def check_settings(
        self, current: Mapping[str, Any], path: Path, free: Sequence[str], reason: str = ""
    ) -> None:
        """Raise UsageError that names the first setting which differs, except those in `free`.

        reason  why the number of epochs may not differ
        """
        for name, before, now in _differences(self.settings, json.loads(json.dumps(current))):
            if name not in free:
                because = f", {reason}" if reason and name == "training.epochs" else ""
                raise UsageError(
                    f"{path}: {name} was {shown(before)} and is {shown(now)} now; "
                    f"accepted: {shown(before)}{because}, or another directory"
                )


def newest(directory: Path) -> Path | None:
    """Return the newest checkpoint of a directory; None if there is none."""
    paths = _all(directory)
    return paths[-1] if paths else None


def _all(directory: Path) -> list[Path]:
    """Return all checkpoints, the newest last."""
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def _save(path: Path, leaves: Sequence[np.ndarray]) -> None:
    """Write arrays to a new directory. Raises OSError where that is impossible."""
    import orbax.checkpoint as ocp  # takes half a second

    _require_room(path.parent, sum(leaf.nbytes for leaf in leaves) + _OVERHEAD)
    with _checkpointer() as checkpointer, tempfile.TemporaryDirectory() as plain:
        # Orbax takes brackets in a path for patterns of names, and then leaves its files unmerged.
        link = Path(plain, "directory")
        link.symlink_to(path.parent.resolve(), target_is_directory=True)
        try:
            checkpointer.save(link / path.name, args=ocp.args.PyTreeSave(_named(leaves)))
        except Exception as error:  # TensorStore has no class of its own for errors of files
            code = _OS_ERROR.search(str(error))
            if code is None:
                raise
            raise OSError(int(code[1]), os.strerror(int(code[1]))) from None


def _require_room(directory: Path, nbytes: int) -> None:
    """Raise OSError where a file of that size can't be written: a full disk, a quota.

    Orbax prints a traceback for each array that it can't write.
    """
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    path = directory / "room"
    with open(path, "xb") as file:
        os.posix_fallocate(file.fileno(), 0, nbytes)
    path.unlink()


def _load(path: Path, template: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Read the arrays of a checkpoint whose files are those of its head."""
    import tensorstore

    directory = {"driver": "file", "path": f"{(path / 'state').resolve()}/"}
    database = {"driver": "ocdbt", "base": directory}
    expected = _named(template)
    try:
        keys = tensorstore.KvStore.open(database).result().list().result()
        stores = {
            name: tensorstore.open(
                {"driver": "zarr", "kvstore": {**database, "path": f"{name}/"}}, read=True
            ).result()
            for name in {key.partition(b"/")[0].decode() for key in keys}
        }
        # Their shapes first: an array takes the memory that its file claims, in whole chunks.
        kinds = {name: (store.shape, store.dtype.numpy_dtype) for name, store in stores.items()}
        same = kinds == {name: (leaf.shape, leaf.dtype) for name, leaf in expected.items()}
        if not same or not all(_has_own_chunks(store) for store in stores.values()):
            raise _damaged(path, "its arrays are not those of the network")
        return [stores[name].read().result() for name in expected]
    except UsageError:
        raise
    except Exception as error:  # A crafted file, with a matching head, may raise anything.
        raise _damaged(path, f"its arrays can't be read ({type(error).__name__})") from None


def _has_own_chunks(store: Any) -> bool:
    """Return whether no chunk of an array is larger than the array."""
    chunk = store.chunk_layout.read_chunk.shape or ()
    return all(part <= max(size, 1) for part, size in zip(chunk, store.shape, strict=True))


def _checkpointer() -> Any:
    """Return a checkpointer of this process, whatever others there are."""
    import jax
    import orbax.checkpoint as ocp

    index = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(
        primary_host=index, active_processes={index}, barrier_sync_key_prefix=f"process_{index}"
    )
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _named(leaves: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    return {f"leaf_{index:05d}": leaf for index, leaf in enumerate(leaves)}


def _files(state: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of all files below a directory, in order; links are not followed."""
    for root, directories, names in os.walk(state):
        directories.sort()
        for name in sorted(names):
            file = Path(root, name)
            yield file.relative_to(state).as_posix(), file


def _content(file: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file, and flush it to disk."""
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return os.fstat(opened.fileno()).st_size, digest


def _compare(path: Path, files: Mapping[str, Any]) -> None:
    """Raise UsageError unless the files of a checkpoint are those of its head."""
    try:
        found = dict(_files(path / "state"))
        if wrong := sorted(found.keys() ^ files.keys()):
            kind = "is missing" if wrong[0] in files else "is not of the checkpoint"
            raise _damaged(path, f"state/{shown(wrong[0])[1:-1]} {kind}")
        for name, file in found.items():
            regular = file.is_file() and not file.is_symlink()  # a pipe would block
            if not regular or list(_content(file)) != files[name]:
                raise _damaged(path, f"state/{name} is not what was written")
    except OSError as error:
        raise _damaged(path, f"{error.filename} can't be read: {error.strerror}") from None


def _checksum(head: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(head, sort_keys=True).encode()).hexdigest()


def _epoch(path: Path, number: int, data: Any) -> Epoch:
    fields = [field.name for field in dataclasses.fields(Epoch)]
    if not isinstance(data, dict) or sorted(data) != sorted(fields) or data["epoch"] != number:
        raise _damaged(path, f"epoch {number} of its history is {shown(data)}")
    if not all(is_finite(value) for value in data.values()):
        raise _damaged(path, f"epoch {number} of its history is {shown(data)}")
    return Epoch(**data)


def _differences(
    before: Mapping[str, Any], now: Mapping[str, Any], path: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted name, value before, value now) of settings that differ; None where missing."""
    for key in [*now, *(key for key in before if key not in now)]:
        name, one, other = f"{path}{key}", before.get(key), now.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            yield from _differences(one, other, f"{name}.")
        elif one != other:
            yield name, one, other


def _damaged(path: Path, cause: str) -> UsageError:
    return UsageError(
        f"{path} is damaged: {cause}; accepted: the files as they were written, the checkpoint "
        "before where this one is deleted, or another directory"
    )
