"""Tasks run by worker processes of this machine, each process one task at a time.

Worker processes end when this process does, in whatever way (`mnas.runtime.parent`). A process that
is killed is replaced and its task begun anew; tasks are therefore to continue what they find done.
"""

import collections
import contextlib
import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from mnas.errors import RunFailure, UsageError
from mnas.runtime import signals
from mnas.runtime.parent import end_with_parent

Task = Callable[[], None]
ATTEMPTS = 5  # per task whose process is killed


def run_tasks(
    tasks: Sequence[Task],
    processes: int,
    prepare: Callable[[], None],
    done: Callable[[int], None] = lambda index: None,
) -> None:
    """Run all tasks, in this order, in up to `processes` worker processes.

    tasks    picklable functions
    prepare  picklable function that each process calls first
    done     called with the index of each finished task

    Raises the first exception of a task; `RunFailure` where the processes of a task were killed
    `ATTEMPTS` times. The processes are killed then, also by KeyboardInterrupt, and have ended when
    this returns.
    """
    waiting = collections.deque(range(len(tasks)))
    attempts: collections.Counter[int] = collections.Counter()
    running: dict[Any, tuple[_Process, int]] = {}  # by connection
    with _processes(prepare) as start:
        idle = [start() for _ in range(min(processes, len(tasks)))]
        while waiting or running:
            while waiting and idle:
                process, index = idle.pop(), waiting.popleft()
                running[process.connection] = process, index
                process.begin(tasks[index])
            for connection in wait(list(running)):
                process, index = running.pop(connection)
                if process.finished():
                    idle.append(process)
                    done(index)
                    continue
                attempts[index] += 1
                if attempts[index] == ATTEMPTS:
                    raise RunFailure(f"a worker process {process.end()} {ATTEMPTS} times")
                waiting.appendleft(index)
                idle.append(start())


class _Process:
    """A worker process and the connection to it."""

    def __init__(self, prepare: Callable[[], None]) -> None:
        context = multiprocessing.get_context("spawn")  # JAX cannot be used after a fork
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, prepare))
        self._process.start()
        theirs.close()  # so that the connection ends with the process

    def begin(self, task: Task) -> None:
        """Send the process a task."""
        with contextlib.suppress(BrokenPipeError):  # killed; `finished` will tell
            self.connection.send(task)

    def finished(self) -> bool:
        """Return whether the task is done; False where the process was killed. Raises its error."""
        try:
            error = self.connection.recv()
        except (EOFError, ConnectionResetError):
            return False
        if error is not None:
            raise error
        return True

    def end(self) -> str:
        """Return how the process, which has ended, ended: "was ended by SIGKILL"."""
        self._process.join()
        code = self._process.exitcode or 0
        if code >= 0:
            return f"ended with status {code}"
        cause = ", probably for lack of memory" if -code == signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-code).name}{cause}"

    def kill(self) -> None:
        """End the process at once and wait for its end."""
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextlib.contextmanager
def _processes(prepare: Callable[[], None]) -> Iterator[Callable[[], _Process]]:
    """Give a function that starts a process; all processes are killed at exit."""
    started: list[_Process] = []

    def start() -> _Process:
        with signals.deferred():  # not between the start and the note of it
            started.append(_Process(prepare))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()


def _work(connection: Connection, prepare: Callable[[], None]) -> None:
    """Run the tasks that arrive, in a process of its own."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this one
    prepare()
    while True:
        task: Any = connection.recv()
        connection.send(_error_of(task))


def _error_of(task: Task) -> Exception | None:
    """Run a task; return its exception, that of a defect with its traceback as a note."""
    try:
        task()
    except (UsageError, RunFailure) as error:
        return error
    except Exception as error:
        error.add_note(traceback.format_exc())
        with contextlib.suppress(Exception):
            pickle.loads(pickle.dumps(error))
            return error
        return RuntimeError(f"{type(error).__name__} in a worker process:\n{error.__notes__[0]}")
    return None
