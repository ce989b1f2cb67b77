"""Processes of a run, and what is done to them."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Exit statuses by disturbance; -15 and -2 are those of a driver whose work was done.
STATUS = {"kill": {-9}, "term": {143, -15}, "int": {130, -2}, "int-twice": {-2, 130}, "second": {0}}
STATUS |= {"raylet": {1}, "gcs": {1}, "disk": {1, 2}, "worker": {1}, "workers": {1}}


def start(
    arguments: list[str], log: Path, environment: dict[str, str], largest_file: int | None = None
) -> subprocess.Popen:
    """Start `mnas`, which logs its standard error; files larger than `largest_file` fail."""

    def prepare() -> None:
        # A shell starts programs in the background with SIGINT ignored, which is inherited.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.run", *arguments],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            preexec_fn=prepare,
        )


def members(process: subprocess.Popen) -> dict[int, str]:
    """Return the command lines of a run's processes other than its driver, by process id."""
    session = re.compile(rf"/session_\d{{4}}-[\d_-]*_{process.pid}/")
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            files = [os.readlink(f"/proc/{name}/fd/{fd}") for fd in os.listdir(f"/proc/{name}/fd")]
            ours = int(fields[3]) == process.pid or any(map(session.search, files))
            if ours and int(name) != process.pid and fields[0] != "Z":
                found[int(name)] = command
    return found


def workers(process: subprocess.Popen) -> list[int]:
    """Return the worker processes of a run."""
    pattern = re.compile(r"^ray::Worker|spawn_main")
    return [pid for pid, command in members(process).items() if pattern.search(command)]


def service(process: subprocess.Popen, program: str) -> list[int]:
    """Return the processes of a service of the run's Ray."""
    return [pid for pid, command in members(process).items() if f"/{program} " in command]


def kill(pids: list[int]) -> int:
    """Kill processes and return how many there were."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


def interrupt_twice(process: subprocess.Popen) -> None:
    """Send SIGINT, and again after a second."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)


DRIVER: dict[str, Callable[[subprocess.Popen], None]] = {
    "kill": lambda process: process.kill(),
    "term": lambda process: process.terminate(),
    "int": lambda process: process.send_signal(signal.SIGINT),
    "int-twice": interrupt_twice,
}


def wait_for_end(process: subprocess.Popen, seconds: float) -> bool:
    """Return whether the driver ends in time."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is not None


def left_behind(process: subprocess.Popen, seconds: float) -> list[str]:
    """Return what is left of an ended run's processes after some seconds, and end it."""
    deadline = time.monotonic() + seconds
    while (left := members(process)) and time.monotonic() < deadline:
        time.sleep(0.2)
    kill(list(left))
    return list(left.values())
