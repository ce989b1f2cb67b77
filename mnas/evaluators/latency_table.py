"""Latency by table: each block of a space timed once, and a network's latency as the sum.

MnasNet (arXiv 1807.11626, section 3) times whole networks on a phone; a table of blocks, as of
FBNet (arXiv 1812.03443, section 3.3) and ProxylessNAS (arXiv 1812.00332, section 4), needs no
device while it searches, and gives the same search every time.

    latency(network) = call + Σ block(b),     block(b) = time of b's program alone - call

where `call` is what calling a compiled program costs. How well that predicts a network compiled
whole is for `Check` to say. Measured for children of 32 pixels (50 random ones of the digits'
space, one core that was shared with others, batch 1): τ 0.90, R² 0.96, mean error 3.3%. What that
takes is in `mnas.preparation.timing` and `mnas.preparation.latency`: blocks timed with warm weights, or with
a thread of XLA's to wait for, gave τ 0.64 and a mean error of 19%.

A table is a JSON file, written anew after every block that was timed, so one that was stopped goes
on where it was:

    {"format": "mnas-latency/1", "device": ..., "threads": ..., "batch": 1, "date": ...,
     "versions": {...}, "call_ms": ..., "blocks": {signature: milliseconds, ...}}
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mnas.architecture.architecture import Architecture
from mnas.architecture.signatures import signatures
from mnas.errors import UsageError
from mnas.files import read_json, write_json

FORMAT = "mnas-latency/1"
# What must be the same for entries of one table to be summed.
CONDITIONS = ("device", "threads", "batch", "versions")


@dataclasses.dataclass(frozen=True)
class Check:
    """How well sums over blocks predict whole networks, over N of them.

    kendall     rank correlation τ
    r2          share of the variance that the sums explain, as they are: no line is fitted
    mean_error  mean of |sum / whole - 1|
    """

    kendall: float
    r2: float
    mean_error: float

    @classmethod
    def of(cls, sums: Sequence[float], wholes: Sequence[float]) -> "Check":
        """Of milliseconds [N] each; ValueError for fewer than two networks."""
        if len(sums) < 2:
            raise UsageError(f"networks = {len(sums)}; accepted: at least 2")
        predicted, measured = np.array(sums), np.array(wholes)
        residual = ((measured - predicted) ** 2).sum()
        return cls(
            kendall=float(stats.kendalltau(predicted, measured).statistic),
            r2=float(1 - residual / ((measured - measured.mean()) ** 2).sum()),
            mean_error=float(np.abs(predicted / measured - 1).mean()),
        )


class LatencyTable:
    """Milliseconds of blocks for one image, and the conditions they were measured under."""

    def __init__(self, path: Path, head: dict[str, Any], blocks: dict[str, float]) -> None:
        self.path, self.head, self.blocks = path, head, blocks

    @classmethod
    def read(cls, path: Path) -> "LatencyTable":
        """ValueError where there is none, or another kind of file."""
        data = read_json(path)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise UsageError(f"{path}: not a table of latencies; accepted: format {FORMAT!r}")
        blocks, call = data.pop("blocks", None), data.get("call_ms")
        numbers = [call, *blocks.values()] if isinstance(blocks, dict) else [None]
        if not all(type(value) in (int, float) and value >= 0 for value in numbers):
            raise UsageError(f"{path}: call_ms or blocks; accepted: milliseconds of at least 0")
        return cls(path, data, blocks)

    @classmethod
    def begun(cls, path: Path, head: dict[str, Any]) -> "LatencyTable":
        """The table in that file to go on with, or a new one.

        ValueError where it was measured under other conditions than those of `head`.
        """
        if not path.exists():
            return cls(path, {"format": FORMAT, **head}, {})
        table = cls.read(path)
        for name in CONDITIONS:
            if table.head.get(name) != head[name]:
                raise UsageError(
                    f"{path}: {name} = {table.head.get(name)!r}, and it is {head[name]!r} now; "
                    "accepted: the same, or a new file"
                )
        return table

    def add(self, signature: str, milliseconds: float) -> None:
        """One more block, on disk when this returns."""
        self.blocks[signature] = milliseconds
        self.write()

    def write(self) -> None:
        try:
            write_json(self.path, {**self.head, "blocks": self.blocks})
        except OSError as error:
            raise UsageError(f"{self.path} can't be written: {error.strerror}") from None

    def latency_ms(self, architecture: Architecture) -> float:
        """Of one image; ValueError names the first block that the table lacks."""
        found = [self.blocks.get(signature) for signature in signatures(architecture)]
        if None in found:
            missing = signatures(architecture)[found.index(None)]
            raise UsageError(
                f"{self.path}: no block {missing}; accepted: blocks of the space that the table "
                "was made for"
            )
        return self.head["call_ms"] + sum(found)
