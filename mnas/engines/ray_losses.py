"""Causes of the loss of a Ray worker, as far as Ray and the system tell."""

import contextlib
import re
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

TAIL_BYTES = 20_000
MAX_CHARACTERS = 300  # of a cause


class LossCauses:
    """Finds out why workers were lost."""

    def __init__(self) -> None:
        self._kills = _kills_for_memory()

    def cause(self, error: ray.exceptions.RayError) -> str:
        """Return the cause of the loss that Ray reports by `error`: "worker lost: ..."."""
        return f"worker lost: {self._cause(error)}"

    def cause_of_start(self, error: ray.exceptions.RayError) -> str:
        """Return why a worker did not start: the error of its constructor, or of its process."""
        cause = self._cause(error)
        if cause != type(error).__name__:
            return cause
        return str(error).strip().splitlines()[-1][:MAX_CHARACTERS]

    def _cause(self, error: ray.exceptions.RayError) -> str:
        kills, before = _kills_for_memory(), self._kills
        self._kills = kills
        return _cause(error, kills > before)


def _cause(error: ray.exceptions.RayError, killed_for_memory: bool) -> str:
    text = str(error)
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "running low on memory" in text:
        return "out of memory, ended by Ray's memory monitor"
    if "node has died" in text or "node was terminated" in text:
        return "its machine left the cluster"
    if isinstance(error, ray.exceptions.ActorUnavailableError):  # until Ray counts it as dead
        return "its machine, or its process, does not answer"
    if name := re.search(r"receives a (SIG\w+)", text) or _logged_signal(text):
        return f"its process was ended by {name[1]}"
    if (status := re.search(r"exit code (-?\d+)", text)) and "unexpectedly exits" not in text:
        return f"its process ended with status {status[1]}"
    if "unexpectedly exits" in text:
        if killed_for_memory:
            return "its process was ended by SIGKILL, out of memory"
        return "its process was killed, or ended by os._exit"
    return type(error).__name__


def _logged_signal(text: str) -> re.Match[str] | None:
    """Return the signal in the log of the process that an error names; None where there is none.

    Ray logs the signals of crashes, such as SIGSEGV, on the worker's machine.
    """
    process = re.search(r"pid: (\d+)", text)
    node: Any = ray._private.worker._global_node
    if process is None or node is None:
        return None
    for path in Path(node.get_logs_dir_path()).glob(f"worker-*-{process[1]}.err"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            found = re.search(r"\*\*\* (SIG\w+) received", file.read().decode(errors="replace"))
            if found:
                return found
    return None


def _kills_for_memory() -> int:
    """Return how many processes of this machine the kernel has killed for lack of memory."""
    with contextlib.suppress(OSError):
        counters = dict(
            line.split() for line in Path("/proc/vmstat").read_text(encoding="utf-8").splitlines()
        )
        return int(counters.get("oom_kill", 0))
    return 0
