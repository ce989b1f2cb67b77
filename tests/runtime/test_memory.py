"""Fresh pages that a process takes: counted by the system, no clock."""

import os
import platform
import subprocess
import sys

import pytest

from mnas.runtime import memory

# A block above 32 MiB, the most that glibc ever keeps by a threshold, written to again and again.
FAULTS = """
import resource
import numpy as np
from mnas import allocation

PREPARE

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

np.ones(48 << 20, np.uint8)
before = faults()
for _ in range(5):
    np.ones(48 << 20, np.uint8)
print(faults() - before)
"""


def faults(prepare: str = "", **environment: str) -> int:
    """Pages, of a process with this environment."""
    return count(FAULTS.replace("PREPARE", prepare), **environment)


def count(program: str, **environment: str) -> int:
    """What a process with this environment prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    clean.pop("GLIBC_TUNABLES", None)
    # NumPy asks for huge pages, of which there are few to count.
    clean |= {"NUMPY_MADVISE_HUGEPAGE": "0", **environment}
    command = [sys.executable, "-c", program]
    return int(
        subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout
    )


on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")


@on_glibc
def test_what_was_freed_is_used_again():
    pages = 5 * (48 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults() > 0.9 * pages
    assert faults(**memory.environment()) < 0.1 * pages
    assert faults("allocation.keep_freed_memory()") < 0.1 * pages


@on_glibc
def test_what_was_freed_is_given_back_when_told():
    resident = """
from mnas import allocation

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1])

blocks = [b"x" * (1 << 20) for _ in range(64)]
blocks[:-1] = []  # the last one is in the way of what a threshold gives back
before = resident()
allocation.give_back_freed_memory()
print(before - resident())
"""
    pages = (63 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert count(resident, **memory.environment()) > 0.9 * pages


def test_where_there_is_no_glibc_nothing_happens(monkeypatch):
    def no_library(name):
        raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", no_library)
    memory.keep_freed_memory()
    memory.give_back_freed_memory()
