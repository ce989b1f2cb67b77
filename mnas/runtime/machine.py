"""Processor, memory and versions of this machine."""

import contextlib
import functools
import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mnas.runtime import control_group

_UNKNOWN_BYTES = 1 << 62  # more than any process needs


def available_bytes() -> int:
    """Return the memory available to new processes, in bytes; 2^62 where Linux does not tell.

    The smaller of the machine's available memory and the rest of the control group's limit.
    """
    limits = [_UNKNOWN_BYTES]
    with contextlib.suppress(OSError):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        limits += [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    in_group = control_group.available_memory()
    return min(limits if in_group is None else [*limits, in_group])


def machine(cores: Sequence[int]) -> dict[str, Any]:
    """Return a JSON-compatible description of the machine behind a measurement on `cores`."""
    return {
        "cores": len(cores),
        "processor": processor(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def processor() -> str:
    """Return the processor's model."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@functools.cache
def package_versions() -> tuple[str, ...]:
    """Return the versions of Python, of JAX with its plug-ins, and of Flax and Optax."""
    plugins = [
        name
        for distribution in importlib.metadata.distributions()
        if (name := distribution.metadata["Name"] or "").startswith("jax-")
    ]
    packages = ("jax", "jaxlib", "flax", "optax", *sorted(plugins))
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (platform.python_version(), *versions)


@functools.cache
def processor_features() -> tuple[str, ...]:
    """Return the processor's model and instruction sets, for which XLA compiles."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        fields = ("model name", "flags", "Features", "CPU part")
        return tuple(sorted({line for line in lines if line.startswith(fields)}))
    return platform.machine(), platform.processor()
