"""`mnas train` by several processes with the flags of the command line."""

import os
import signal
import subprocess
import sys

import pytest

from mnas.__main__ import main
from tests.cli.commands import assert_one_line
from tests.cli.several_processes import FLAGS, training_data  # noqa: F401
from tests.training.test_devices import free_address

pytestmark = pytest.mark.usefixtures("training_data")


def started(out, devices, *flags) -> subprocess.Popen:
    """Start a training with so many virtual devices of the CPU."""
    xla = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    command = [sys.executable, "-m", "mnas", "train", "tiny.json", *FLAGS, "--out", out, *flags]
    return subprocess.Popen(
        command,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": xla},
        stderr=subprocess.PIPE,
        text=True,
    )


def two(out, *flags) -> list[subprocess.Popen]:
    """Start two processes of two devices each that train together."""
    address = free_address()
    shared = ["--coordinator", address, "--processes", "2"]
    return [started(out, 2, *shared, "--process-index", str(n), *flags) for n in (0, 1)]


def ended(process) -> tuple[int, str]:
    """Return exit status and standard error of a process that ends."""
    errors = process.communicate(timeout=300)[1]
    return process.returncode, errors


def losses(out) -> list[float]:
    with open(f"{out}/history.csv") as file:
        header, *lines = file.read().splitlines()
    return [float(line.split(",")[header.split(",").index("loss")]) for line in lines]


@pytest.mark.slow
def test_two_processes_train_as_one_and_are_resumed_after_a_signal_to_one():
    flags = ("--epochs", "3")
    assert [ended(process)[0] for process in two("together", *flags)] == [0, 0]
    assert ended(started("alone", 4, *flags))[0] == 0
    assert losses("together") == pytest.approx(losses("alone"), rel=1e-5)
    first, second = two("stopped", "--epochs", "1000", "--schedule", "constant")
    for line in first.stderr:
        if line.startswith("epoch"):
            break
    second.send_signal(signal.SIGTERM)
    statuses = [ended(process) for process in (first, second)]
    assert [status for status, _ in statuses] == [143, 143]
    assert "to continue: mnas train" in statuses[0][1]
    # The same steps, whichever process a signal reached.
    trained = len(losses("stopped"))
    more = str(trained + 1)
    resumed = two("stopped", "--epochs", more, "--schedule", "constant")
    assert [ended(process)[0] for process in resumed] == [0, 0]
    assert ended(started("whole", 4, "--epochs", more, "--schedule", "constant"))[0] == 0
    assert losses("stopped") == pytest.approx(losses("whole"), rel=1e-3)


@pytest.mark.parametrize(
    "flags",
    [("--coordinator", "localhost:1"), ("--processes", "2"), ("--process-index", "0")],
)
def test_flags_of_several_processes_come_together(capsys, flags):
    assert main(["train", "tiny.json", *FLAGS, *flags]) == 2
    assert_one_line(capsys, "accepted: all three, or none")
