"""Processor, memory and versions of this machine."""

import contextlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def available_bytes() -> int:
    """Memory that new processes can have, as far as Linux tells; otherwise more than any needs."""
    found = [1 << 62]
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # ValueError: no limit, which is called max
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        found.append(max(0, int(limit) - int(used)))
    return min(found)


def machine(cores: Sequence[int]) -> dict[str, Any]:
    """What it was measured on."""
    return {
        "cores": len(cores),
        "processor": _processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
