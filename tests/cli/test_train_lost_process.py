"""`mnas train` by two processes of which one ends alone, or was started with other numbers."""

import os
import signal
import subprocess
import sys

import pytest

from mnas.__main__ import main
from mnas.training import meeting
from tests.cli.commands import assert_one_line
from tests.cli.several_processes import FLAGS, training_data  # noqa: F401
from tests.training.test_devices import free_address

pytestmark = pytest.mark.usefixtures("training_data")


def started(address: str, index: int) -> subprocess.Popen:
    """Start one of two processes; what it prints goes to the file INDEX.err."""
    numbers = ["--coordinator", address, "--processes", "2", "--process-index", str(index)]
    lasting = ["--epochs", "100000", "--schedule", "constant", "--out", "out"]
    with open(f"{index}.err", "w") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "mnas", "train", "tiny.json", *FLAGS, *lasting, *numbers],
            env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stderr=errors,
        )


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_in_bounded_time_with_a_line(tmp_path, victim):
    address = free_address()
    processes = [started(address, index) for index in (0, 1)]
    try:
        while not list(tmp_path.glob("out/checkpoints/0*")):
            assert [process.poll() for process in processes] == [None, None]
            with pytest.raises(subprocess.TimeoutExpired):
                processes[0].wait(0.2)
        processes[victim].kill()
        other = processes[1 - victim]
        assert other.wait(timeout=90) == 1
    finally:
        for process in processes:
            process.kill()
            process.wait()
    last = (tmp_path / f"{1 - victim}.err").read_text().splitlines()[-1]
    assert last.startswith("mnas: JAX aborted this process, as it does when another process of")


@pytest.mark.slow
def test_an_error_in_one_process_ends_the_other_in_bounded_time(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "checkpoints").write_text("no directory")  # for the process that writes
    address = free_address()
    processes = [started(address, index) for index in (0, 1)]
    try:
        assert [process.wait(timeout=150) for process in processes] == [2, 1]
    finally:
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert "mnas train: out/checkpoints" in (tmp_path / "0.err").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--coordinator", "localhost"), "train: coordinator = 'localhost'; accepted: host:port"),
        (("--processes", "1"), "train: process_index = 1; accepted: 0 to 0"),
        ((), "can't be reached within 0 s"),
    ],
)
def test_wrong_numbers_are_reported_in_one_line(capsys, monkeypatch, flags, message):
    monkeypatch.setattr(meeting, "SECONDS", 0.3)
    usual = ["--coordinator", free_address(), "--processes", "2", "--process-index", "1"]
    assert main(["train", "tiny.json", *FLAGS, *usual, *flags]) == 2
    assert_one_line(capsys, message)
