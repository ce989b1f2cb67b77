"""Read and write JSON files and arrays; a file is replaced whole or not at all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnas.errors import UsageError


def read_json(path: Path) -> Any:
    """A JSON file's content; ValueError where there is none."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}") from None


def write_json(path: Path, data: Any) -> None:
    """Replaces a JSON file whole, or not at all."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w") as file:
        json.dump(data, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A `.npz` that is on disk when this returns, in place of what was there."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
