"""Limits of the control group in which this process runs: a container, a batch job, a service.

Linux shares out processor time and memory by control groups, in a hierarchy: a limit of any group
above that of the process applies too. Version 2 has one hierarchy, version 1 one for each resource.
Inside a container, the files of its own group often lie at the root.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def cpu_quota() -> float | None:
    """Return how many cores' time this process and its neighbours in the group may use, or None."""
    quotas = []
    for group in _groups("cpu"):
        with contextlib.suppress(OSError, ValueError):  # no such file; 'max' is no limit
            quota, period = _words(group / "cpu.max")
            quotas.append(int(quota) / int(period))
        with contextlib.suppress(OSError, ValueError):
            (quota,), (period,) = (_words(group / f"cpu.cfs_{x}_us") for x in ("quota", "period"))
            if int(quota) > 0:  # -1 is no limit
                quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def available_memory() -> int | None:
    """Return how many more bytes the group may use; None without a limit."""
    left = []
    for group in _groups("memory"):
        for limit_name, used_name in (
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ):
            with contextlib.suppress(OSError, ValueError):
                (limit,), (used,) = (_words(group / name) for name in (limit_name, used_name))
                left.append(max(0, int(limit) - int(used) + _cached_files(group)))
    return min(left, default=None)


def _cached_files(group: Path) -> int:
    """Return the bytes of a group's use that the system gives back on demand: unused file cache."""
    with contextlib.suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
        values = dict(line.split() for line in lines)
        return int(values.get("total_inactive_file", values.get("inactive_file", 0)))
    return 0


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split()


def _groups(controller: str) -> Iterator[Path]:
    """Yield the directories of this process's groups and of those above, for a controller."""
    yield ROOT  # of version 2
    yield ROOT / controller  # of version 1
    with contextlib.suppress(OSError, ValueError):
        for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines():
            # "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1.
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            top = ROOT / controller if controllers else ROOT
            group = top / path.strip("/")
            while group != top and ".." not in group.parts:
                yield group
                group = group.parent
