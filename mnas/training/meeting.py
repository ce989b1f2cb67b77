"""Processes meet at the coordinator's address and compare what they were started with; no JAX.

Process 0 listens. Each other process connects, sends one line, "mnas-train/1 PROCESSES INDEX", and
waits for one line: "start", or why they can't. Connections that send anything else are closed.
"""

import contextlib
import re
import socket
import time
from collections.abc import Iterable

from mnas.errors import UsageError, printable, rejected, require_whole

SECONDS = 300.0  # processes may be started so far apart
RETRY_SECONDS = 0.2
GREETING_SECONDS = 2.0
ANSWER_SECONDS = 10.0  # from process 0's deadline to its answer
START = "start"
_GREETING = re.compile(r"mnas-train/1 (\d{1,9}) (\d{1,9})\n")
_MAX_LINE = 1000


def meet(coordinator: str, processes: int, index: int) -> None:
    """Return once all processes have met.

    coordinator  address of process 0, "host:port"
    processes    number of processes
    index        number of this process, from 0

    Raises UsageError for values out of range, where a process is missing after `SECONDS`, and in
    all processes where their numbers contradict each other.
    """
    host, _, number = coordinator.rpartition(":")
    port = int(number) if re.fullmatch(r"[0-9]{1,5}", number) else 0
    if not host or not 0 < port < 65536:
        raise rejected("train", "coordinator", coordinator, "host:port, such as 10.0.0.1:1234")
    require_whole("train", "processes", processes)
    if not 0 <= index < processes:
        raise rejected("train", "process_index", index, f"0 to {processes - 1}")
    deadline = time.monotonic() + SECONDS
    if index:
        _visit(host.strip("[]"), port, processes, index, deadline)
    elif processes > 1:
        _receive(port, processes, deadline)


def _receive(port: int, processes: int, deadline: float) -> None:
    """Wait for all others, and answer them."""
    present: list[tuple[int, socket.socket]] = []
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listener(port))
        problem = START
        while len(present) < processes - 1 and problem == START:
            try:
                listener.settimeout(max(0.01, deadline - time.monotonic()))
                connection = stack.enter_context(listener.accept()[0])
            except TimeoutError:
                missing = sorted({*range(1, processes)} - {index for index, _ in present})
                problem = f"missing after {SECONDS:.0f} s: {_shown(missing)} of {processes}"
                break
            greeting = _GREETING.fullmatch(_line(connection, GREETING_SECONDS))
            if greeting is None:
                connection.close()
                continue
            count, index = map(int, greeting.groups())
            if count != processes:
                problem = f"process {index} has --processes {count}, process 0 has {processes}"
            elif any(index == other for other, _ in present):
                problem = f"two processes have --process-index {index}"
            present.append((index, connection))
        for _, connection in present:
            with contextlib.suppress(OSError):  # ended meanwhile
                connection.sendall(f"{problem}\n".encode())
                _line(connection, GREETING_SECONDS)  # closed by the other first: the port is free
    if problem != START:
        raise _apart(problem)


def _visit(host: str, port: int, processes: int, index: int, deadline: float) -> None:
    """Go to process 0, and wait for its answer.

    A process that was let in waits for as long as process 0 may wait for the others, counted from
    then: process 0 may have been started later, and its answer says who is missing.
    """
    answer, cause = "", "no answer"
    while not answer:
        left = deadline - time.monotonic()
        if left <= 0:
            raise UsageError(
                f"coordinator {host}:{port} can't be reached within {SECONDS:.0f} s: {cause}; "
                "accepted: the address of the process with --process-index 0, which is running"
            )
        try:
            with socket.create_connection((host, port), left) as connection:
                connection.sendall(f"mnas-train/1 {processes} {index}\n".encode())
                answer = _line(connection, SECONDS + ANSWER_SECONDS).rstrip("\n")
        except OSError as error:
            cause = error.strerror or str(error)
        if not answer:
            time.sleep(RETRY_SECONDS)
    if answer != START:
        raise _apart(printable(answer, 200))


def _listener(port: int) -> socket.socket:
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        raise UsageError(
            f"port {port} of the coordinator: {error.strerror}; accepted: a free port"
        ) from None


def _line(connection: socket.socket, seconds: float) -> str:
    """Return the line that is received within so many seconds; what there is of it otherwise."""
    content, deadline = b"", time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while not content.endswith(b"\n") and len(content) < _MAX_LINE:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            part = connection.recv(_MAX_LINE)
            if not part:
                break
            content += part
    return content.decode("ascii", "replace")


def _shown(indices: Iterable[int]) -> str:
    return "process " + ", ".join(map(str, indices))


def _apart(problem: str) -> UsageError:
    return UsageError(
        f"the processes of the training do not meet: {problem}; accepted: the same --coordinator "
        "and --processes for all, and each --process-index from 0 once"
    )
