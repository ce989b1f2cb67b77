"""The state of a training on disk, written after every epoch.

An uncompressed `.npz`: the state's arrays "leaf_0", "leaf_1", ...; "head", JSON text of the
settings and the history; and "sum", the SHA-256 of the others, by which damage is found.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mnas.errors import UsageError, is_finite, printable, shown
from mnas.files import ArrayFile, parse_json, write_arrays


@dataclasses.dataclass(frozen=True)
class Epoch:
    """Mean training loss and top-1 validation accuracy of one epoch, counted from 1."""

    epoch: int
    loss: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """State of a training after an epoch.

    settings  what the training depends on, as nested JSON values
    history   epochs trained so far
    leaves    arrays of the state
    """

    settings: Mapping[str, Any]
    history: Sequence[Epoch]
    leaves: Sequence[np.ndarray]

    def write(self, path: Path) -> None:
        """Write the file. Raises UsageError where that is impossible."""
        history = [dataclasses.asdict(epoch) for epoch in self.history]
        head = json.dumps({"settings": self.settings, "history": history})
        arrays = {f"leaf_{index}": leaf for index, leaf in enumerate(self.leaves)}
        arrays["head"] = np.array(head)
        arrays["sum"] = np.array(_checksum(arrays))
        try:
            write_arrays(path, arrays)
        except OSError as error:
            raise UsageError(f"{path} can't be written: {error.strerror}") from None

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """Read a file. Raises UsageError, which names it, where it is damaged."""
        file = ArrayFile(path)
        arrays = {name: file.read(name) for name in file.names}
        checksum = arrays.pop("sum", None)
        if checksum is None or str(checksum) != _checksum(arrays):
            raise _damaged(path, "the checksum doesn't match")
        head = parse_json(str(arrays.pop("head", "")), f"{path}: head")
        settings, epochs = (head.get(key) if isinstance(head, dict) else None for key in _HEAD)
        if not isinstance(settings, dict) or not isinstance(epochs, list):
            raise _damaged(path, "the head lacks settings or history")
        history = [_epoch(path, number, epoch) for number, epoch in enumerate(epochs, start=1)]
        names = [f"leaf_{index}" for index in range(len(arrays))]
        if {*names} != arrays.keys():
            raise _damaged(path, f"it has the arrays {printable(', '.join(arrays), 120)}")
        return cls(settings, history, [arrays[name] for name in names])

    def check_settings(self, current: Mapping[str, Any], path: Path, free: Sequence[str]) -> None:
        """Raise UsageError that names the first setting which differs, except those in `free`."""
        for name, before, now in _differences(self.settings, json.loads(json.dumps(current))):
            if name not in free:
                raise UsageError(
                    f"{path}: {name} was {shown(before)} and is {shown(now)} now; "
                    f"accepted: {shown(before)}, or another directory"
                )

    def check_state(self, template: Sequence[np.ndarray], path: Path) -> None:
        """Raise UsageError where the arrays are not of the template's shapes and types."""
        kinds = [(leaf.shape, leaf.dtype) for leaf in self.leaves]
        if kinds != [(leaf.shape, leaf.dtype) for leaf in template]:
            raise _damaged(path, "its arrays are not those of the network")


_HEAD = ("settings", "history")


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _epoch(path: Path, number: int, data: Any) -> Epoch:
    fields = [field.name for field in dataclasses.fields(Epoch)]
    if not isinstance(data, dict) or [*data] != fields or data["epoch"] != number:
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
        f"{path} is damaged: {cause}; accepted: the file as it was written, or another directory"
    )
