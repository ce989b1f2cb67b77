"""Latency by table lookup: every block of a space timed once, a network's latency as their sum.

MnasNet (arXiv 1807.11626, section 3) times whole networks on a phone. A table of blocks, as in
FBNet (arXiv 1812.03443, section 3.3) and ProxylessNAS (arXiv 1812.00332, section 4), needs no
device during the search and makes the search reproducible:

    latency(network) = call + Σ block(b),     block(b) = time of b's program alone - call

where `call` is the overhead of calling a compiled program. Tables are filled by
`mnas.preparation.latency`; `LatencyCheck` measures how well the sums predict whole networks
(docs/results/latency.md).

A table is a JSON file, rewritten after every timed block, so an interrupted run can be continued:

    {"format": "mnas-latency/1", "device": ..., "threads": ..., "batch": 1, "date": ...,
     "versions": {...}, "call_ms": ..., "blocks": {signature: milliseconds, ...}}
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import signatures
from mnas.errors import UsageError, rejected, require_at_least, shown
from mnas.files import read_json, write_json

FORMAT = "mnas-latency/1"
# Entries of one table may be summed only if these were the same for all measurements.
CONDITIONS = ("device", "threads", "batch", "versions")


@dataclasses.dataclass(frozen=True)
class LatencyCheck:
    """Agreement of the sums over blocks with measured whole networks.

    kendall     rank correlation τ
    r2          coefficient of determination of the sums as predictions, without a fitted line
    mean_error  mean of |predicted / measured - 1|
    """

    kendall: float
    r2: float
    mean_error: float

    @classmethod
    def compute(cls, predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> "LatencyCheck":
        """Return the agreement over N networks [N]; ValueError for fewer than two."""
        if len(predicted_ms) < 2:
            raise ValueError(f"networks = {len(predicted_ms)}; accepted: at least 2")
        predicted, measured = np.array(predicted_ms), np.array(measured_ms)
        residual = ((measured - predicted) ** 2).sum()
        return cls(
            kendall=float(stats.kendalltau(predicted, measured).statistic),
            r2=float(1 - residual / ((measured - measured.mean()) ** 2).sum()),
            mean_error=float(np.abs(predicted / measured - 1).mean()),
        )


class LatencyTable:
    """Milliseconds of blocks for one image, and the conditions of their measurement.

    path    the JSON file
    head    format, conditions, date and `call_ms`
    blocks  milliseconds by block signature, without the overhead of the call
    """

    def __init__(self, path: Path, head: dict[str, Any], blocks: dict[str, float]) -> None:
        self.path, self.head, self.blocks = path, head, blocks

    @classmethod
    def read(cls, path: Path) -> "LatencyTable":
        """Read a table. Raises UsageError, which names file and key, if it is no valid table."""
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(f"{path}: not a table of latencies; accepted: format {FORMAT!r}")
        blocks = data.pop("blocks", None)
        if not isinstance(blocks, dict):
            raise rejected(str(path), "blocks", blocks, "milliseconds by block signature")
        for key, value in (("call_ms", data.get("call_ms")), *blocks.items()):
            require_at_least(str(path), shown(key, 200)[1:-1], value, 0)
        return cls(path, data, blocks)

    @classmethod
    def open(cls, path: Path, head: Mapping[str, Any]) -> "LatencyTable":
        """Return the table in the file `path` to continue with, or a new one with this head.

        Raises UsageError if the file was measured under other conditions than those of `head`.
        """
        if not path.exists():
            return cls(path, {"format": FORMAT, **head}, {})
        table = cls.read(path)
        for name in CONDITIONS:
            if table.head.get(name) != head[name]:
                raise UsageError(
                    f"{path}: {name} = {shown(table.head.get(name))}, and it is "
                    f"{shown(head[name])} now; accepted: the same, or a new file"
                )
        return table

    def add(self, signature: str, milliseconds: float) -> None:
        """Add one block and write the file."""
        self.blocks[signature] = milliseconds
        self.write()

    def write(self) -> None:
        """Write the file. Raises UsageError if that is impossible."""
        try:
            write_json(self.path, {**self.head, "blocks": self.blocks})
        except OSError as error:
            raise UsageError(f"{self.path} can't be written: {error.strerror}") from None

    def latency_ms(self, architecture: Architecture) -> float:
        """Return milliseconds for one image. Raises UsageError naming the first missing block."""
        blocks_ms = []
        for signature in signatures(architecture):
            if signature not in self.blocks:
                raise UsageError(
                    f"{self.path}: no block {signature}; accepted: blocks of the space that the "
                    "table was made for"
                )
            blocks_ms.append(self.blocks[signature])
        return self.head["call_ms"] + sum(blocks_ms)
