"""Worker processes: killed by what ends their work, not waited for."""

import os
import signal
import time

import pytest

from mnas.runtime.process_pool import process_pool


def test_calls_are_made_in_other_processes_after_the_initialization():
    with process_pool(1, os.putenv, "MNAS_TEST_POOL", "1") as pool:
        assert pool.submit(os.getppid).result() == os.getpid()


def test_an_exception_does_not_wait_for_the_processes():
    with pytest.raises(KeyboardInterrupt), process_pool(1) as pool:
        process = pool.submit(os.getpid).result()
        waiting = [pool.submit(time.sleep, 600) for _ in range(3)]
        begun = time.monotonic()
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 60
    assert all(future.done() for future in waiting)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_signals_to_the_process_group_leave_processes_to_the_driver():
    with process_pool(1) as pool:
        process = pool.submit(os.getpid).result()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(process, number)
        assert pool.submit(os.getpid).result() == process
