"""Processes, here threads, meet before they train together."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mnas.errors import UsageError
from mnas.training import meeting


@pytest.fixture
def port():
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def outcomes(port, *members):
    """Return for each (processes, index) its error, None where it has met the others."""

    def outcome(member):
        try:
            meeting.meet(f"localhost:{port}", *member)
        except UsageError as error:
            return str(error)

    with ThreadPoolExecutor(len(members)) as threads:
        return list(threads.map(outcome, members))


def test_processes_meet_in_any_order_and_the_port_is_free_afterwards(port):
    assert outcomes(port, (3, 2), (3, 1), (3, 0)) == [None] * 3
    assert outcomes(port, (2, 0), (2, 1)) == [None] * 2


def test_a_single_process_waits_for_nobody(port):
    assert outcomes(port, (1, 0)) == [None]


@pytest.mark.parametrize(
    ("members", "cause"),
    [
        (((2, 0), (3, 1)), "process 1 has --processes 3, process 0 has 2"),
        (((3, 0), (3, 1), (3, 1)), "two processes have --process-index 1"),
    ],
)
def test_contradictory_numbers_are_reported_by_all_processes(port, members, cause):
    for message in outcomes(port, *members):
        assert f"do not meet: {cause}; accepted: the same --coordinator" in message


def test_missing_processes_are_named_to_those_that_came(port, monkeypatch):
    monkeypatch.setattr(meeting, "SECONDS", 2.0)
    for message in outcomes(port, (4, 0), (4, 2)):
        assert "do not meet: missing after 2 s: process 1, 3 of 4" in message


def test_a_process_let_in_hears_from_a_coordinator_whose_deadline_is_later(port, monkeypatch):
    """A process started first waits past its own deadline: process 0 knows who is missing."""
    monkeypatch.setattr(meeting, "SECONDS", 2.0)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(outcomes, port, (3, 1))
        time.sleep(1.0)
        outcomes(port, (3, 0))
        assert "missing after 2 s: process 2 of 3" in first.result()[0]


def test_an_unreachable_coordinator_is_reported_after_bounded_time(port, monkeypatch):
    monkeypatch.setattr(meeting, "SECONDS", 0.5)
    start = time.monotonic()
    (message,) = outcomes(port, (2, 1))
    assert message.startswith(f"coordinator localhost:{port} can't be reached within 0 s: ")
    assert time.monotonic() - start < 5


def test_strangers_are_ignored(port):
    with ThreadPoolExecutor(1) as threads:
        others = threads.submit(outcomes, port, (2, 0))
        deadline = time.monotonic() + 5
        while True:
            try:
                stranger = socket.create_connection(("localhost", port))
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        with stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n" + b"\xff" * 5000)
        assert outcomes(port, (2, 1)) == [None]
        assert others.result() == [None]


def test_an_occupied_port_is_rejected(port):
    with socket.create_server(("", port)):
        (message,) = outcomes(port, (2, 0))
    assert message.startswith(f"port {port} of the coordinator: ")


@pytest.mark.parametrize("coordinator", ["", "host", "host:", ":1234", "host:0", "host:70000"])
def test_a_malformed_address_is_rejected(coordinator):
    with pytest.raises(UsageError, match="accepted: host:port, such as"):
        meeting.meet(coordinator, 2, 1)


@pytest.mark.parametrize(
    ("processes", "index", "message"),
    [
        (2, 2, "process_index = 2; accepted: 0 to 1"),
        (2, -1, "process_index = -1; accepted: 0 to 1"),
        (0, 0, "processes = 0; accepted: "),
    ],
)
def test_numbers_out_of_range_are_rejected(processes, index, message):
    with pytest.raises(UsageError, match=message):
        meeting.meet("localhost:1234", processes, index)
