"""Processes that must not outlive the one that started them, in whatever way that ends."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time

POLL_SECONDS = 0.5
PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def end_with_parent(*, by_polling: bool = False) -> None:
    """End this process as soon as its parent process has ended. To be called once, early.

    The kernel sees to it on Linux, for a process that was started from its parent's main thread: to
    the kernel, the parent is that thread. Elsewhere, or `by_polling`, a thread of this process
    notices within `POLL_SECONDS`, whichever thread has started it.
    """
    started_by = multiprocessing.parent_process()
    parent = os.getppid() if started_by is None else started_by.pid
    if sys.platform == "linux" and not by_polling:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # ended before the call
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)
