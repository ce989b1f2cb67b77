"""Origin of results: versions, machine, commit and command of this process.

Imports neither JAX nor Ray, and starts no device.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from mnas.runtime.machine import processor

PACKAGES = ("mnas", "jax", "jaxlib", "flax", "optax", "numpy", "ray")


@functools.cache
def provenance() -> dict[str, Any]:
    """Return a JSON-compatible description of this process; callers must not modify it.

    versions   of Python and of packages by name; None where a package is not installed
    host       name of the machine; `system`, `processor` and `cores` that this process may use
    devices    models of NVIDIA GPUs
    commit     of the checkout that mnas is imported from, "-dirty" if changed; None outside one
    command    arguments of the process
    """
    return {
        "versions": {"python": platform.python_version(), **{p: _version(p) for p in PACKAGES}},
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "devices": _gpus(),
        "commit": _commit(Path(__file__).parents[2]),
        "command": [argument[:1000] for argument in sys.argv[:1000]],
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus() -> list[str]:
    """Return the models of GPUs as NVIDIA's driver lists them."""
    models = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("Model:"):
                    models.append(line.partition(":")[2].strip())
    return models


def _commit(root: Path) -> str | None:
    """Return the commit of the checkout whose top is `root`; None where it is none."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        result = subprocess.run(
            [*command, "--exclude=*"],
            capture_output=True,
            encoding="utf-8",
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # No write into the user's checkout.
        )
        return result.stdout.strip() or None
    return None
