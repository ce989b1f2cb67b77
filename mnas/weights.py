"""Trained weights in a file: `.npz`, an array for each variable, and the spec they belong to.

stem/params/conv/kernel, stage1_layer1/batch_stats/depthwise_norm/mean, ...
pixel_mean, pixel_std    [3], in 0 to 255, which images are normalised by
spec                     the spec file (`mnas.spec`) as text
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mnas.architecture import Architecture
from mnas.spec import from_spec, to_spec


def save(
    path: Path,
    architecture: Architecture,
    variables: Mapping[str, Any],
    pixel_mean: np.ndarray,
    pixel_std: np.ndarray,
) -> None:
    """Replaces the file whole, or not at all. `variables` are block by block."""
    spec = json.dumps(to_spec(architecture))
    arrays = {**_flat(variables), "pixel_mean": pixel_mean, "pixel_std": pixel_std}
    write_arrays(path, {**arrays, "spec": np.array(spec)})


def load(path: Path) -> tuple[Architecture, dict[str, Any], np.ndarray, np.ndarray]:
    """Architecture, variables block by block, and the pixels' mean and deviation."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)
    architecture = from_spec(json.loads(str(arrays.pop("spec"))), str(path))
    mean, std = arrays.pop("pixel_mean"), arrays.pop("pixel_std")
    variables: dict[str, Any] = {}
    for name, array in arrays.items():
        *outer, last = name.split("/")
        place = variables
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = array
    return architecture, variables, mean, std


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A `.npz` that is on disk when this returns, in place of what was there."""
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for key, value in tree.items():
        inner = _flat(value, f"{path}{key}/") if isinstance(value, Mapping) else None
        arrays |= {f"{path}{key}": np.asarray(value)} if inner is None else inner
    return arrays
