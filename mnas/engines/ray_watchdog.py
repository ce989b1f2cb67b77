"""Program that ends what a local Ray leaves behind when its driver is killed.

    python ray_watchdog.py DRIVER < PIPE

DRIVER is the driver's process id; the pipe closes when the driver ends, in whatever way. Processes
of its Ray that are alive `GRACE_SECONDS` later are killed; Ray's agents would stay for a minute.
They are known by their log files, in a directory whose name ends in the driver's process id, on
Linux only; elsewhere nothing is done. Imports the standard library only.
"""

import contextlib
import os
import re
import signal
import sys
import time

GRACE_SECONDS = 1.0


def processes(driver: int) -> list[int]:
    """Return the ids of the processes that have a file of the driver's Ray session open."""
    session = re.compile(rf"/session_\d{{4}}-[\d_-]*_{driver}/")
    return [
        int(name)
        for name in filter(str.isdigit, os.listdir("/proc"))
        if int(name) != driver and any(map(session.search, _open_files(name)))
    ]


def _open_files(process: str) -> list[str]:
    links = []
    with contextlib.suppress(OSError):  # ended, or of another user
        for descriptor in os.listdir(f"/proc/{process}/fd"):
            with contextlib.suppress(OSError):
                links.append(os.readlink(f"/proc/{process}/fd/{descriptor}"))
    return links


def main(driver: int) -> None:
    """Wait for the end of the driver, then for that of its Ray, and kill what is left."""
    sys.stdin.read()
    if not os.path.isdir("/proc/self/fd"):
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and processes(driver):
        time.sleep(0.1)
    for process in processes(driver):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
