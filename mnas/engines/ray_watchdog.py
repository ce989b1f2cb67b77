"""Program that ends what a local Ray leaves behind when its driver is killed.

    python ray_watchdog.py MARK < PIPE

The pipe closes when the driver ends, in whatever way. Processes of Ray that are alive
`GRACE_SECONDS` later are killed; Ray's agents would stay for a minute. They are known by the
variable `MNAS_RAY` in the environment in which they were started, on Linux only; elsewhere nothing
is done. Imports the standard library only.
"""

import contextlib
import os
import signal
import sys
import time

VARIABLE = "MNAS_RAY"
GRACE_SECONDS = 1.0


def processes(mark: str) -> list[int]:
    """Return the ids of the processes that were started with this value of the variable."""
    found = []
    wanted = f"{VARIABLE}={mark}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if wanted in file.read().split(b"\0"):
                found.append(int(name))
    return found


def main(mark: str) -> None:
    """Wait for the end of the driver, then for that of its Ray, and kill what is left."""
    sys.stdin.read()
    if not os.path.isdir("/proc/self"):
        return
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and processes(mark):
        time.sleep(0.1)
    for process in processes(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


if __name__ == "__main__":
    main(sys.argv[1])
