"""Settings of glibc's allocator, by page faults and resident pages as counted by the system."""

import os
import platform
import subprocess
import sys

import pytest

from mnas.runtime import memory

# glibc maps blocks above 32 MiB anew every time, whatever its dynamic threshold.
FAULTS = """
import resource
import numpy as np
from mnas.runtime import memory

SETUP

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

np.ones(48 << 20, np.uint8)
before = faults()
for _ in range(5):
    np.ones(48 << 20, np.uint8)
print(faults() - before)
"""
RELEASED = """
from mnas.runtime import memory

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1])

blocks = [b"x" * (1 << 20) for _ in range(64)]
blocks[:-1] = []  # the last block keeps glibc from trimming the heap by its threshold
before = resident()
memory.release_freed_memory()
print(before - resident())
"""


def pages(program: str, **environment: str) -> int:
    """Return the number of pages that a program prints, run with this environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    # NumPy requests huge pages by default, which would lower the counts.
    clean |= {"NUMPY_MADVISE_HUGEPAGE": "0", **environment}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=clean, capture_output=True, text=True, check=True)
    return int(result.stdout)


def faults(setup: str = "", **environment: str) -> int:
    return pages(FAULTS.replace("SETUP", setup), **environment)


on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")


@on_glibc
def test_freed_memory_is_reused():
    allocated = 5 * (48 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults() > 0.9 * allocated
    assert faults(**memory.environment()) < 0.1 * allocated
    assert faults("memory.retain_freed_memory()") < 0.1 * allocated


@on_glibc
def test_release_returns_freed_memory_to_the_system():
    freed = (63 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert pages(RELEASED, **memory.environment()) > 0.9 * freed


def test_settings_are_ignored_without_glibc(monkeypatch):
    def no_library(name):
        raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    memory.retain_freed_memory()
    memory.release_freed_memory()
