"""Processes that end with the process that started them."""

import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from mnas.runtime import parent

ROOT = Path(__file__).parents[2]
PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print(child.pid, flush=True)
time.sleep(60)
"""
CHILD = """
import sys, time
from mnas.runtime import parent
{before}
parent.end_with_parent()
time.sleep(60)
"""


def is_running(process: int) -> bool:
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("before", ["", "sys.platform = 'other'"], ids=["kernel", "thread"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_process_ends_within_a_second_of_its_parent(before, number):
    program = PROGRAM.format(child=CHILD.format(before=before))
    driver = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with driver:
        child = int(driver.stdout.readline())
        while b"end_with_parent" not in Path(f"/proc/{child}/cmdline").read_bytes():
            time.sleep(0.01)
        time.sleep(1)  # until it has called the function
        assert is_running(child)
        driver.send_signal(number)
    deadline = time.monotonic() + 2
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def test_process_whose_parent_has_ended_before_ends(monkeypatch):
    ended = []
    monkeypatch.setattr(parent.sys, "platform", "other")
    monkeypatch.setattr(parent, "_watch", lambda parent: None)
    monkeypatch.setattr(parent.os, "getppid", lambda: 1)
    monkeypatch.setattr(parent.os, "_exit", ended.append)
    started_by = types.SimpleNamespace(pid=12345)
    monkeypatch.setattr(parent.multiprocessing, "parent_process", lambda: started_by)
    parent.end_with_parent()
    assert ended == [1]
