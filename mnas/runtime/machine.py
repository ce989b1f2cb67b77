"""Processor, memory and versions of this machine."""

import contextlib
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_UNKNOWN_BYTES = 1 << 62  # more than any process needs


def available_bytes() -> int:
    """Return the memory available to new processes, in bytes; 2^62 where Linux does not tell.

    The smaller of the machine's available memory and the rest of the control group's limit.
    """
    limits = [_UNKNOWN_BYTES]
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # ValueError: the limit reads 'max'
        limit, used = ((group / f"memory.{name}").read_text() for name in ("max", "current"))
        limits.append(max(0, int(limit) - int(used)))
    return min(limits)


def machine(cores: Sequence[int]) -> dict[str, Any]:
    """Return a JSON-compatible description of the machine behind a measurement on `cores`."""
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
