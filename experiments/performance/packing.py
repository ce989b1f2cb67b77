"""Measure packing: images per second by number of processes, memory, and packs after SIGKILLs.

Command   python -m mnas.experiments.performance.packing FOLDER [--resolution 64] [--json]
Cost      8 minutes on 2 cores for 20,000 JPEG files of 400 × 300 pixels
Expect    images/s in proportion to the processes; the same memory for all images as for a quarter
Results   docs/results/data.md

Every packing is a command of its own. The first has one class in four, all others the whole folder,
whose classes must lie in its folder `train`.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import tyro

from mnas.cli.arguments import parse
from mnas.cli.command import run_command
from mnas.errors import require_whole
from mnas.experiments.performance.harness import print_rows
from mnas.reports.terminal import plain_console

POLL_SECONDS = 0.05


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Images, and extent of the measurements."""

    folder: Annotated[str, tyro.conf.Positional]
    """Folder of images with the folder `train`, in which each class has one."""
    resolution: int = 64
    """Resolution of the packs, pixels."""
    processes: int = 2
    """Most processes."""
    kills: int = 5
    """SIGKILLs of the last packing, evenly spread over its parts."""
    json: bool = False
    """Print one JSON object."""

    def __post_init__(self) -> None:
        for field in ("resolution", "processes"):
            require_whole("packing", field, getattr(self, field))
        require_whole("packing", "kills", self.kills, least=0)


@dataclasses.dataclass(frozen=True)
class Row:
    """One pack.

    seconds     of all attempts, with the start of their processes
    cpu_seconds processor time of all processes
    largest_mb  peak resident memory of the largest process
    equal       whether all files have the bytes of the first pack of the same images
    """

    packing: str
    images: int
    seconds: float
    images_per_second: float
    cpu_seconds: float
    largest_mb: float
    equal: bool


def measure(arguments: Arguments, directory: Path) -> list[Row]:
    """Return a row for each packing; packs are written to `directory`."""
    quarter = directory / "quarter"
    quarter.mkdir()
    for path in sorted((Path(arguments.folder) / "train").iterdir())[::4]:
        (quarter / path.name).symlink_to(path.resolve())
    most = arguments.processes
    packings = [(f"a quarter, {most} processes", quarter, most, 0)]
    for count in range(1, most + 1):
        packings.append((f"{count} processes", Path(arguments.folder), count, 0))
    packings.append((f"{arguments.kills} SIGKILLs", Path(arguments.folder), most, arguments.kills))
    rows: list[Row] = []
    expected: dict[int, dict[str, str]] = {}
    for name, source, processes, kills in packings:
        out = directory / "pack"
        attempts = [
            pack(source, out, arguments.resolution, processes, stop)
            for stop in [(number + 1) / (kills + 1) for number in range(kills)] + [None]
        ]
        description = json.loads((out / "pack.json").read_text(encoding="utf-8"))
        images = sum(f["shape"][0] for n, f in description["files"].items() if "_images" in n)
        digests = {path.name: _digest(path) for path in out.iterdir() if path.suffix != ".lock"}
        seconds, cpu_seconds = (sum(values) for values in list(zip(*attempts, strict=True))[:2])
        rows.append(
            Row(
                packing=name,
                images=images,
                seconds=seconds,
                images_per_second=images / seconds,
                cpu_seconds=cpu_seconds,
                largest_mb=max(attempt[2] for attempt in attempts) / 1e6,
                equal=expected.setdefault(images, digests) == digests,
            )
        )
        shutil.rmtree(out)
    return rows


def pack(
    source: Path, out: Path, resolution: int, processes: int, stop: float | None
) -> tuple[float, float, int]:
    """Run one command; return seconds, processor seconds and bytes of the largest process.

    stop  fraction of the images' size that is written when the process group is killed; None for
          the end
    """
    words = ["data", "pack", str(source), str(out), "--resolution", str(resolution)]
    command = [sys.executable, "-m", "mnas", *words, "--processes", str(processes)]
    begun, cpu, largest = time.monotonic(), 0.0, 0
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        usages = [usage for pid in _group(process.pid) if (usage := _usage(pid))]
        cpu = max(cpu, sum(seconds for seconds, _ in usages))
        largest = max([largest, *(peak for _, peak in usages)])
        if stop is not None and _written(out) >= stop:
            os.killpg(process.pid, signal.SIGKILL)
    error = process.communicate()[1].decode()
    if stop is None and process.returncode:
        raise RuntimeError(error)
    return time.monotonic() - begun, cpu, largest


def _written(out: Path) -> float:
    """Return the fraction of the training images' file that has been written."""
    try:
        status = (out / "train_images.npy").stat()
    except FileNotFoundError:
        return 0.0
    return status.st_blocks * 512 / status.st_size


def _group(leader: int) -> list[int]:
    """Return the processes of a process group."""
    pids = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.getpgid(int(name)) == leader:
                    pids.append(int(name))
            except ProcessLookupError:
                pass
    return pids


def _usage(pid: int) -> tuple[float, int] | None:
    """Return processor seconds and peak resident bytes of a process; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), 1024 * int(peaks[0]) if peaks else 0


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(flags: list[str]) -> int:
    """Measure and print; return the exit status."""
    arguments = parse(Arguments, "mnas.experiments.performance.packing", flags, None)
    console = plain_console(stderr=True)
    with tempfile.TemporaryDirectory() as directory:
        rows = measure(arguments, Path(directory))
    print_rows(rows, console, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_command("mnas.experiments.performance.packing", lambda: main(sys.argv[1:])))
