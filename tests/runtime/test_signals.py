"""SIGINT and SIGTERM at safe points."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mnas.runtime import signals

ROOT = Path(__file__).parents[2]
# Waits in C, as a library does, for `seconds` within `context`.
PROGRAM = """
import ctypes, signal, sys
from mnas.runtime import signals
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with signals.interruptible(), signals.{context}():
        print("ready", flush=True)
        for _ in range(30):
            ctypes.CDLL(None).usleep(100_000)
        print("end", flush=True)
except KeyboardInterrupt as error:
    print(type(error).__name__)
    sys.exit(3)
"""


def start(context: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(context=context)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")]
)
@pytest.mark.parametrize("context", ["interruptible", "deferred"])
def test_signal_is_raised_at_once_or_at_the_end_of_the_deferral(context, number, name):
    with start(context) as process:
        process.send_signal(number)
        process.send_signal(number)  # as `timeout` does
        out = process.stdout.read()
    assert out == ("end\n" if context == "deferred" else "") + f"{name}\n"
    assert process.returncode == 3


def test_second_signal_ends_the_process_at_once():
    with start("deferred") as process:
        process.send_signal(signal.SIGINT)
        time.sleep(2 * signals.REPEAT_SECONDS)
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == ""
    assert process.returncode == -signal.SIGINT


def test_handlers_are_those_before_at_the_end_of_the_context():
    before = [signal.getsignal(number) for number in signals.SIGNALS]
    with pytest.raises(signals.Terminated), signals.deferred():
        signal.raise_signal(signal.SIGTERM)
        signals.check()
    assert [signal.getsignal(number) for number in signals.SIGNALS] == before
    with signals.deferred():
        signals.check()  # the signal of the context before is forgotten


def test_signal_in_the_garbage_collection_is_raised_after_it():
    class Collected:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), signals.interruptible():
            Collected()  # an exception there would be printed and ignored
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_of_a_library_are_replaced_within_a_context_only():
    before = signal.getsignal(signal.SIGTERM)
    signals.reinstall()
    assert signal.getsignal(signal.SIGTERM) is before
    with signals.interruptible():
        ours = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signals.reinstall()
        assert signal.getsignal(signal.SIGTERM) is ours
    assert signal.getsignal(signal.SIGTERM) is before


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals.interruptible():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
