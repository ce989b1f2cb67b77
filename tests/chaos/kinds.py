"""Kinds of runs that are disturbed, and what they have recorded.

A kind's `facts` are what a disturbed run must have in common with an undisturbed one; `records` are
facts with the time at which they were recorded, which must never change or vanish.
"""

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from mnas.loop.journal import read
from mnas.loop.records import ResultRecord, to_json
from tests.chaos import disturbances
from tests.chaos.evaluators import logged
from tests.engines.searches import facts as journal_facts

SPEC = "r1_k3_s22_e1_i8_o8;r1_k3_s22_e3_i8_o16"
PREPARATION = ("kill", "term", "int", "int-twice", "worker")
DRIVER = ("kill", "kill", "term", "int", "int-twice", "disk", "second")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A command and its disturbances.

    start, resume  arguments of `mnas`; "{out}" is the directory of the run
    modes          names of disturbances (`tests.chaos.disturbances`)
    replaced       whether a worker process that was killed is replaced; else the driver ends
    own_cache      whether each run has a cache of compiled programs of its own
    """

    start: tuple[str, ...]
    resume: tuple[str, ...]
    modes: tuple[str, ...]
    facts: Callable[[Path], Any]
    records: Callable[[Path], dict[str, Any]]
    repeated: Callable[[Path, Path], int]
    replaced: bool = True
    own_cache: bool = False


def _journals(directory: Path) -> list[Path]:
    return sorted(directory.rglob("journal.jsonl"))


def search_facts(directory: Path) -> dict[str, list[str]]:
    """Return the facts of every journal in a directory, without times."""
    return {str(path.relative_to(directory)): journal_facts(path) for path in _journals(directory)}


def search_records(directory: Path) -> dict[str, Any]:
    """Return every result by journal and trial, as it was recorded."""
    return {
        f"{path.relative_to(directory)}: trial {record.trial}": to_json(record)
        for path in _journals(directory)
        for record in _results(path)
    }


def _results(path: Path) -> list[ResultRecord]:
    if b"\n" not in path.read_bytes():
        return []  # not even a head
    return [record for record in read(path) if isinstance(record, ResultRecord)]


def evaluated_again(directory: Path, log: Path) -> int:
    """Return how many evaluations began after the result of their network had been recorded."""
    recorded: dict[tuple[str, int], float] = {}
    for path in _journals(directory):
        for record in _results(path):
            key = record.hash, record.seed
            recorded[key] = max(record.time, recorded.get(key, 0.0))
    return sum(time > recorded.get((name, seed), time) for name, seed, time in logged(log))


def _checkpoint(directory: Path) -> list[dict[str, Any]]:
    path = directory / "checkpoint.npz"
    if not path.exists():
        return []
    with np.load(path, allow_pickle=False) as archive:
        return json.loads(str(archive["head"]))["history"]


def training_facts(directory: Path) -> dict[str, Any]:
    """Return the digests of the weights, and the loss and accuracy of every epoch."""
    with safe_open(directory / "weights.safetensors", "np") as file:  # metadata in any order
        names = sorted(file.keys())
        digests = {n: hashlib.sha256(file.get_tensor(n).tobytes()).hexdigest() for n in names}
        return {"weights": digests, "head": file.metadata(), "history": _checkpoint(directory)}


def training_records(directory: Path) -> dict[str, Any]:
    """Return the epochs of the checkpoint."""
    return {f"epoch {epoch['epoch']}": epoch for epoch in _checkpoint(directory)}


def table_facts(directory: Path) -> list[str]:
    """Return the names of the blocks in a latency table."""
    return sorted(table_records(directory))


def table_records(directory: Path) -> dict[str, Any]:
    """Return the latencies of a table by block."""
    path = directory / "table.json"
    return json.loads(path.read_text())["blocks"] if path.exists() else {}


def cache_facts(directory: Path) -> tuple[int, str]:
    """Return the number of compiled blocks, and what a further warm-up compiles: nothing.

    The blocks' names depend on the secret key of the cache, which the warm-up makes.
    """
    log = directory / "again.log"
    process = disturbances.start(WARM_UP.split(), log, {"XDG_CACHE_HOME": str(directory / "cache")})
    process.wait()
    compiled = re.search(r"[\d,]+ programs compiled", log.read_text())
    return len(cache_records(directory)), compiled[0] if compiled else log.read_text()


def cache_records(directory: Path) -> dict[str, Any]:
    """Return size and time of writing of the compiled blocks by name."""
    blocks = (directory / "cache").rglob("blocks/*")
    found = {path.name: path.stat() for path in blocks if re.fullmatch("[0-9a-f]{64}", path.name)}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in found.items()}


def none_again(directory: Path, log: Path) -> int:
    """Return 0: what is recorded is not done again if the records do not change."""
    return 0


def _search(name: str, modes: tuple[str, ...], *flags: str) -> Kind:
    return Kind(
        ("search", name, "--out", "{out}", *flags),
        ("resume", "{out}", *(flags if "--workers" in flags else ())),
        modes,
        search_facts,
        search_records,
        evaluated_again,
    )


RAY = ("--engine.kind", "ray", "--engine.workers", "2")
TRAIN = f"train {SPEC} --data digits --resolution 16 --epochs 6 --batch-size 256 --out {{out}}"
WARM_UP = "search --warm-up chaos-blocks"
TABLE = "search --latency-table {out}/table.json chaos-blocks"

KINDS = {
    "inline": _search("chaos-surrogate", DRIVER),
    "ray": _search(
        "chaos-surrogate",
        ("kill", "term", "int", "int-twice", "raylet", "gcs", "second", *("worker", "workers") * 4),
        *RAY,
    ),
    "proxy": _search("chaos-proxy", DRIVER),
    "study": _search("chaos-study", (*DRIVER, *("worker", "workers") * 2), "--workers", "2"),
    "train": Kind(
        tuple(TRAIN.split()),
        tuple(TRAIN.split()),
        DRIVER,
        training_facts,
        training_records,
        none_again,
    ),
    "warm-up": Kind(
        tuple(WARM_UP.split()),
        tuple(WARM_UP.split()),
        (*PREPARATION, "workers"),
        cache_facts,
        cache_records,
        none_again,
        replaced=False,
        own_cache=True,
    ),
    "latency-table": Kind(
        tuple(TABLE.split()),
        tuple(TABLE.split()),
        (*PREPARATION, "second"),
        table_facts,
        table_records,
        none_again,
        replaced=False,
    ),
}
