"""Errors of a command: whose each one is, its line, its status, and how to go on."""

import errno
import os
import signal
import subprocess
import sys
import sysconfig
import warnings
from pathlib import Path

import jax
import pytest

from mnas.__main__ import main
from mnas.cli.command import REPORT, run_command, stop_advice
from mnas.errors import RunFailure, UsageError
from mnas.loop.search import TooManyFailures
from mnas.runtime.signals import Terminated
from tests.cli.commands import assert_one_line, quick, run_search

ROOT = Path(__file__).parents[2]
PATH_ERRORS = (
    *("ENOSPC", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG", "EISDIR", "ENOTDIR", "ELOOP"),
    *("ENOENT", "EEXIST", "EDQUOT", "EFBIG", "EIO", "EBUSY", "ESTALE", "ENOTEMPTY"),
)


def run_raising(error, advice="", tracebacks=False):
    def command():
        if not advice:
            raise error
        with stop_advice(advice):
            raise error

    return run_command("mnas search", command, tracebacks)


@pytest.mark.parametrize("name", PATH_ERRORS)
def test_an_error_at_a_path_of_the_user_names_the_path(name, capsys):
    number = getattr(errno, name)
    assert run_raising(OSError(number, os.strerror(number), "/data/my run")) == 2
    assert_one_line(capsys, f"mnas search: /data/my run: {os.strerror(number)}")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EBADF, "Bad file descriptor"),
        FileNotFoundError(errno.ENOENT, "No such file", str(ROOT / "mnas" / "gone.py")),
        FileNotFoundError(errno.ENOENT, "No such file", sysconfig.get_path("stdlib") + "/x.py"),
        ValueError("shapes do not match"),
        RuntimeError("unknown"),
        RecursionError("maximum recursion depth exceeded"),
        AssertionError(),
    ],
    ids=lambda error: f"{type(error).__name__} {error}"[:40],
)
def test_a_defect_propagates_and_asks_for_a_report(error, capsys):
    with pytest.raises(type(error)) as raised:
        run_raising(error)
    assert raised.value is error and error.__notes__ == [REPORT]
    assert "mnas --version" in REPORT and "CONTRIBUTING.md" in REPORT


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (RunFailure("Ray's raylet has ended"), 1, "Ray's raylet has ended"),
        (TooManyFailures("6 of 6 failed"), 1, "6 of 6 failed"),
        (MemoryError("Unable to allocate 6 GiB"), 1, "out of memory: Unable to allocate 6 GiB"),
        (MemoryError(), 1, "out of memory"),
        (KeyboardInterrupt(), 130, "stopped"),
        (Terminated(), 143, "stopped"),
    ],
    ids=lambda value: getattr(type(value), "__name__", ""),
)
def test_what_ends_a_run_is_one_line_with_how_to_go_on(error, status, line, capsys):
    advice = "to continue: mnas resume runs/a"
    assert run_raising(error, advice) == status
    assert capsys.readouterr().err == f"mnas search: {line}; {advice}\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(UsageError("no such setting"), 2), (FloatingPointError("loss is not finite in epoch 3"), 1)],
)
def test_what_would_fail_again_has_no_advice_to_continue(error, status, capsys):
    assert run_raising(error, "to continue: mnas resume runs/a") == status
    assert capsys.readouterr().err == f"mnas search: {error}\n"


@pytest.mark.parametrize("words", [["--traceback", "cost", "b9"], ["cost", "b9", "--traceback"]])
def test_every_verb_shows_tracebacks_when_asked(words, capsys):
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("mnas cost: ") and "'b9'" in lines[-1]


def test_the_version_names_what_a_report_needs(capsys):
    assert main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["mnas", "jax", "jaxlib"]
    assert f"Python {sys.version.split()[0]}" in lines


def test_platforms_without_a_device_are_the_cause_of_any_error(monkeypatch, capsys):
    def no_devices():
        raise AssertionError

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert jax.devices()  # the cause is looked at: with a device, it is another one
    with pytest.raises(ZeroDivisionError):
        run_raising(ZeroDivisionError())
    monkeypatch.setattr(jax, "devices", no_devices)
    assert run_raising(AssertionError()) == 2
    assert_one_line(capsys, "JAX_PLATFORMS = 'cuda'", "no device", "accepted: cpu")


def test_settings_of_jax_in_the_shell_do_not_reach_a_command(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    assert run_command("mnas", lambda: 3 if "JAX_ENABLE_X64" in os.environ else 4) == 4
    assert os.environ["JAX_ENABLE_X64"] == "1"


def test_warnings_are_no_errors_whatever_the_shell_says(monkeypatch):
    def command():
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
        return 4 if not {"PYTHONWARNINGS", "PYTHONOPTIMIZE"} & os.environ.keys() else 5

    with pytest.raises(DeprecationWarning):
        run_command("mnas", command)
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    assert run_command("mnas", command) == 4
    assert os.environ["PYTHONWARNINGS"] == "error"


INTERRUPTED = """
import signal, sys, time
# As from a terminal, also where these tests run in the background of a shell, which ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
from mnas.cli.command import run_command, stop_advice

def command():
    with stop_advice("to continue: mnas resume runs/a"):
        print("ready", flush=True)
        time.sleep(60)

sys.exit(run_command("mnas search", command))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_a_process_with_how_to_go_on(number, status):
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, printed = process.communicate(timeout=30)
    assert process.returncode == status
    assert printed == "mnas search: stopped; to continue: mnas resume runs/a\n"


def test_a_directory_that_may_not_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "run" / "x"))

    with monkeypatch.context() as patch:
        patch.setattr("mnas.experiment.run.drive_engine", full)
        assert run_search(*quick(tmp_path / "run")) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "run/x: No space left on device; to continue: mnas resume " in last
    assert main(["resume", str(tmp_path / "run")]) == 0


def test_the_cause_of_a_stop_is_told_not_what_follows_from_it(tmp_path, monkeypatch, capsys):
    def fails(search, evaluator, config):
        raise RunFailure("Ray's raylet has ended")

    def full(*_, **__):
        raise UsageError("report.html can't be written: No space left on device")

    monkeypatch.setattr("mnas.experiment.run.drive_engine", fails)
    monkeypatch.setattr("mnas.cli.run.write_report", full)
    assert run_search(*quick(tmp_path / "run")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("mnas search: Ray's raylet has ended; to continue: mnas resume ")


def test_brackets_in_names_and_causes_are_not_markup(tmp_path, monkeypatch, capsys):
    def fails(search, evaluator, config):
        raise RunFailure("[/b] failed :x:")

    directory = tmp_path / "exp[lr=0.1]"
    assert run_search(*quick(directory)) == 0
    assert f"networks, in {directory}\n" in (printed := capsys.readouterr().err)
    assert f"written: {directory}/best.json, top.json" in printed
    monkeypatch.setattr("mnas.experiment.run.drive_engine", fails)
    assert run_search(*quick(tmp_path / "[/b]")) == 1
    assert "mnas search: [/b] failed :x:; " in (printed := capsys.readouterr().err)
    assert f"networks, in {tmp_path / '[/b]'}\n" in printed
