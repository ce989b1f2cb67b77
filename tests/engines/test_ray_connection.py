"""Connection to Ray: what it listens on, what it leaves behind, how it fails."""

import contextlib
import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.engines.check import check_engine
from mnas.engines.config import EngineConfig
from mnas.errors import RunFailure, UsageError

pytest.importorskip("ray")
from mnas.engines import ray_connection, ray_gpus, ray_losses, ray_watchdog
from mnas.engines.ray_connection import Services, connect

ROOT = Path(__file__).parents[2]
RAY = EngineConfig(kind="ray")
LISTENS = "0A"  # of /proc/net/tcp


def open_files(processes: list[int]) -> set[str]:
    """Return the links of the files and sockets that processes have open."""
    links = set()
    for process in processes:
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    links.add(os.readlink(f"/proc/{process}/fd/{descriptor}"))
    return links


def listening_addresses(processes: list[int]) -> set[str]:
    """Return the hexadecimal addresses that processes listen on, without ports."""
    files = open_files(processes)
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in files}
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return {f[1].rpartition(":")[0] for f in lines if f[3] == LISTENS and f[9] in inodes}


def reachable_by_others(path: Path) -> bool:
    """Return whether all directories above a path let users outside its group pass."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_local_ray_is_closed_to_others_and_ends_with_a_killed_driver(tmp_path):
    path = tmp_path / "journal.jsonl"
    command = [sys.executable, "-m", "tests.engines.search_process", "ray", str(path)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    variables["HOME"] = str(tmp_path / "home")
    with subprocess.Popen(command, cwd=ROOT, env=variables) as driver:
        while not path.exists() or path.read_bytes().count(b'"result"') < 2:
            assert driver.poll() is None
            time.sleep(0.05)
        processes = ray_watchdog.processes(driver.pid)
        assert len(processes) >= 4  # GCS, raylet, two agents, workers
        addresses = listening_addresses([driver.pid, *processes])
        sessions = {Path(n) for n in open_files(processes) if f"_{driver.pid}/" in n}
        sockets = Path("/proc/net/unix").read_text().split()
        sessions |= {Path(word) for word in sockets if f"_{driver.pid}/" in word}
        reachable = [path for path in sessions if reachable_by_others(path)]
        raylet = next(p for p in processes if Path(f"/proc/{p}/comm").read_text() == "raylet\n")
        settings = Path(f"/proc/{raylet}/environ").read_text().split("\0")
        driver.kill()
    assert any(path.name == "plasma_store" for path in sessions) and not reachable
    tokens = [word for word in settings if re.fullmatch("RAY_AUTH_TOKEN=[0-9a-f]{64}", word)]
    assert len(tokens) == 1 and not (tmp_path / "home" / ".ray").exists()
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "0" * 24 + "01000000"}
    assert addresses and addresses <= loopback
    deadline = time.monotonic() + 10
    while ray_watchdog.processes(driver.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray_watchdog.processes(driver.pid) == []


def test_a_token_of_the_users_own_stays(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    tokens = []
    for _ in range(2):
        with ray_connection._own_token():
            tokens.append(os.environ["RAY_AUTH_TOKEN"])
    assert len(set(tokens)) == 2 and "RAY_AUTH_TOKEN" not in os.environ
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "mine")
    with ray_connection._own_token():
        assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_service_that_has_ended_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        services = Services({"raylet": server.getsockname()})
        services.check()
    with pytest.raises(RunFailure, match=r"Ray's raylet has ended .killed, or out of memory"):
        services.check()


def test_a_service_of_another_machine_may_be_silent_for_a_while(monkeypatch):
    def refuse(address, timeout):
        raise ConnectionRefusedError

    monkeypatch.setattr(ray_connection.socket, "create_connection", refuse)
    services = Services({"GCS": ("10.0.0.1", 6379)})
    services.check()
    monkeypatch.setattr(ray_connection, "PATIENCE_SECONDS", -1.0)
    with pytest.raises(RunFailure, match=r"Ray's GCS has ended .silent for 0 s"):
        services.check()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("The configured object store size exceeds /dev/shm\n  more\n"),
        PermissionError(13, "Permission denied", "ray"),
        RuntimeError("\nVersion mismatch: The cluster was started with Ray 2.40\n"),
        Exception("The current node timed out during startup."),
    ],
)
def test_an_error_of_starting_ray_is_a_usage_error_in_one_line(error, monkeypatch, unconnected):
    def fail(**options):
        raise error

    monkeypatch.setattr(ray_connection.ray, "init", fail)
    message = r"^Ray does not start: .*; accepted without"
    with pytest.raises(UsageError, match=message) as caught, connect(RAY):
        pass
    assert "\n" not in str(caught.value) and "more" not in str(caught.value)
    assert unconnected == [True]


@pytest.mark.parametrize(
    ("gpus", "wanted", "message"),
    [
        (0, 1.0, r"= 1, but Ray sees no GPU; accepted: 0 \(workers on the CPU\)$"),
        (1, 2.0, r"= 2, but Ray sees only 1; accepted: up to 1, or 0 \(workers on the CPU\)$"),
    ],
)
def test_missing_gpus_are_found_before_ray_starts(gpus, wanted, message, monkeypatch, unconnected):
    monkeypatch.setattr(ray_gpus, "_visible_gpus", lambda: gpus)
    with pytest.raises(UsageError, match=message):
        check_engine(EngineConfig(kind="ray", gpus_per_worker=wanted))
    check_engine(EngineConfig(kind="ray", gpus_per_worker=0.5 * gpus))
    check_engine(EngineConfig(kind="inline", gpus_per_worker=wanted))


def test_more_than_one_gpu_per_worker_is_a_whole_number():
    with pytest.raises(UsageError, match=r"gpus_per_worker = 1.5; accepted: 0 to 1, or a whole"):
        EngineConfig(gpus_per_worker=1.5)


@pytest.mark.parametrize(
    ("text", "killed_for_memory", "cause"),
    [
        ("Worker exits with an exit code 1. The process receives a SIGTERM.", False, "SIGTERM"),
        ("Worker exits unexpectedly. Worker exits with an exit code 5.", False, "status 5"),
        ("Worker unexpectedly exits with a connection error code 2", False, "by os._exit"),
        ("Worker unexpectedly exits with a connection error code 2", True, "out of memory"),
        ("Task was killed due to the node running low on memory.", False, "Ray's memory monitor"),
        ("The actor died because its node has died.", False, "its machine left the cluster"),
        ("something else", False, "RayError"),
    ],
)
def test_the_cause_of_a_lost_worker_is_what_ray_tells(text, killed_for_memory, cause):
    error = ray_connection.ray.exceptions.RayError(text)
    assert cause in ray_losses._cause(error, killed_for_memory)


def test_a_worker_that_does_not_answer_is_not_called_dead():
    error = ray_connection.ray.exceptions.ActorUnavailableError("Connection reset by peer", None)
    assert "does not answer" in ray_losses._cause(error, False)
