"""Tasks in worker processes."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.engines.processes import ATTEMPTS, run_tasks
from mnas.errors import RunFailure, UsageError

ROOT = Path(__file__).parents[2]


def note(directory: Path, index: int) -> None:
    with open(directory / f"{index}", "a") as file:
        file.write(f"{os.getpid()}\n")


def killed(directory: Path, index: int, attempts: int) -> None:
    """Kill this process in the first `attempts` attempts."""
    note(directory, index)
    if len((directory / f"{index}").read_text().split()) <= attempts:
        os.kill(os.getpid(), signal.SIGKILL)


def fail(error: Exception) -> None:
    raise error


def long_task(directory: Path) -> None:
    note(directory, 0)
    time.sleep(60)


def prepared() -> None:
    os.environ["PREPARED"] = "yes"


def check_prepared() -> None:
    assert os.environ["PREPARED"] == "yes"


def test_every_task_is_run_once_and_processes_are_reused(tmp_path):
    done = []
    tasks = [functools.partial(note, tmp_path, index) for index in range(5)]
    run_tasks([*tasks, check_prepared], 2, prepared, done.append)
    assert sorted(done) == list(range(6))
    processes = {(tmp_path / f"{index}").read_text() for index in range(5)}
    assert 1 <= len(processes) <= 2 and f"{os.getpid()}\n" not in processes


def test_task_of_a_killed_process_is_begun_anew(tmp_path):
    done = []
    tasks = [functools.partial(killed, tmp_path, index, 1) for index in range(2)]
    run_tasks(tasks, 2, prepared, done.append)
    assert sorted(done) == [0, 1]
    assert [len((tmp_path / name).read_text().split()) for name in "01"] == [2, 2]


def test_task_whose_processes_are_always_killed_ends_the_run(tmp_path):
    with pytest.raises(RunFailure, match="was ended by SIGKILL, probably for lack of memory"):
        run_tasks([functools.partial(killed, tmp_path, 0, 99)], 1, prepared)
    assert len((tmp_path / "0").read_text().split()) == ATTEMPTS


def test_exception_of_a_task_is_raised_and_the_processes_have_ended(tmp_path):
    tasks = [functools.partial(long_task, tmp_path), functools.partial(fail, UsageError("no: 1"))]
    with pytest.raises(UsageError, match="no: 1"):
        run_tasks(tasks, 2, prepared)
    for process in (tmp_path / "0").read_text().split() if (tmp_path / "0").exists() else []:
        with pytest.raises(ProcessLookupError):
            os.kill(int(process), 0)
    with pytest.raises(ZeroDivisionError) as caught:
        run_tasks([functools.partial(fail, ZeroDivisionError("a defect"))], 1, prepared)
    assert "in fail" in caught.value.__notes__[0]  # where it was raised


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_their_driver(number, tmp_path):
    program = f"""
import functools, pathlib, signal
from mnas.engines.processes import run_tasks
from tests.engines.test_processes import long_task, prepared
signal.signal(signal.SIGINT, signal.default_int_handler)
run_tasks([functools.partial(long_task, pathlib.Path({str(tmp_path)!r}))], 1, prepared)
"""
    driver = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.DEVNULL)
    with driver:
        while not ((tmp_path / "0").exists() and (tmp_path / "0").read_text()):
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(number)
    process = int((tmp_path / "0").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{process}").exists()
