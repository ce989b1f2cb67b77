"""Measure the memory of a search's workers that read the same images, from a pack and from `.npz`.

Command   python -m mnas.experiments.performance.shared_images [--gigabytes 2] [--json]
Cost      10 minutes on 2 cores, 4 GB of disk, and the size of the images in memory for each worker
Expect    workers share the pages of a pack; each has a copy of the arrays of an `.npz` file
Results   docs/results/data.md

Images of noise; every worker streams all of them through a network of one layer. Memory is that of
the workers' processes in /proc/PID/smaps_rollup at the moment when their sum is greatest, so this
runs on Linux only.
"""

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.errors import require_positive, require_whole
from mnas.experiments.performance.harness import print_rows
from mnas.reports.terminal import plain_console

RESOLUTION, BLOCK, BATCH_SIZE = 96, "r1_k3_s22_e1_i8_o8", 256
WORKER = b"ray::Worker"
POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Extent of the measurement."""

    gigabytes: float = 2.0
    """Size of the images."""
    workers: int = 4
    """Workers of the search, and its children."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        require_positive("shared images", "gigabytes", self.gigabytes)
        require_whole("shared images", "workers", self.workers)


@dataclasses.dataclass(frozen=True)
class Row:
    """Memory of the workers of one search, megabytes.

    resident       of a worker, mean: pages that others share included
    proportional   of a worker, mean: of a shared page, its part
    all_workers    of all: shared pages counted once
    """

    source: str
    workers: int
    resident: float
    proportional: float
    all_workers: float


def measure(arguments: Arguments, directory: Path) -> list[Row]:
    """Return a row for a search on a tenth of the images, and for all of them in both forms."""
    count = round(arguments.gigabytes * 1e9 / (RESOLUTION**2 * 3))
    rows = []
    for name, images in ("a tenth", count // 10), ("all", count):
        npz, pack = directory / f"{images}.npz", directory / f"{images}"
        labels = np.arange(images) % 2
        pixels = np.random.default_rng(0).integers(
            0, 256, (images, RESOLUTION, RESOLUTION, 3), np.uint8
        )
        np.savez(npz, x_train=pixels, y_train=labels)
        del pixels
        run("data", "pack", str(npz), str(pack), "--resolution", str(RESOLUTION))
        if name == "all":
            rows.append(searched(f"`.npz`, {name}", npz, arguments.workers, directory / "npz-run"))
        npz.unlink()
        out = directory / f"pack-run-{images}"
        rows.append(searched(f"pack, {name}", pack, arguments.workers, out))
    return rows


def run(*words: str) -> None:
    """Run a command of mnas. Raises CalledProcessError if it fails."""
    subprocess.run([sys.executable, "-m", "mnas", *words], check=True, stderr=subprocess.DEVNULL)


def searched(name: str, source: Path, workers: int, out: Path) -> Row:
    """Return the greatest memory of the workers of a search."""
    words = ["search", "scaling-dimensions", "--space.doublings", "1", "--space.base", BLOCK]
    words += ["--space.resolution", str(RESOLUTION), "--search.trials", str(workers)]
    words += ["--search.batch", str(workers), "--engine.workers", str(workers)]
    words += ["--evaluator.data.source", str(source), "--evaluator.data.feeding", "stream"]
    words += ["--evaluator.data.validation", str(BATCH_SIZE), "--out", str(out)]
    words += ["--evaluator.training.epochs", "1"]
    words += ["--evaluator.training.batch-size", str(BATCH_SIZE)]
    with open(out.with_suffix(".log"), "w+", encoding="utf-8") as log:
        command = [sys.executable, "-m", "mnas", *words]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        most: list[tuple[int, int]] = []
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
            found = list(worker_memory(process.pid))
            if sum(pss for _, pss in found) >= sum(pss for _, pss in most):
                most = found
        if process.returncode:
            log.seek(0)
            raise RuntimeError(log.read())
    resident, proportional = (sum(values) / len(most) / 1e6 for values in zip(*most, strict=True))
    return Row(name, len(most), resident, proportional, proportional * len(most))


def worker_memory(driver: int) -> Iterator[tuple[int, int]]:
    """Yield resident and proportional bytes of the workers of a search, by the driver's process."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):  # ended meanwhile
                stat = (path / "stat").read_text(encoding="utf-8")
                parents[int(path.name)] = int(stat.rpartition(")")[2].split()[1])
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != driver:
            ancestor = parents[ancestor]
        if ancestor != driver:
            continue
        with contextlib.suppress(OSError):
            if WORKER not in Path(f"/proc/{pid}/cmdline").read_bytes():
                continue
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
            sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines[1:]}
            yield sizes["Rss"], sizes["Pss"]


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.shared_images", flags, Arguments())
    console = plain_console(stderr=True)
    with tempfile.TemporaryDirectory() as directory:
        rows = measure(arguments, Path(directory))
    print_rows(rows, console, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.shared_images", lambda: main(sys.argv[1:])))
