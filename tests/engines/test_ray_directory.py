"""Directory of a local Ray: short enough for sockets, wherever temporary files go."""

import os
import tempfile

import pytest

from mnas.engines import ray_connection
from mnas.errors import UsageError


@pytest.fixture
def temporary(monkeypatch):
    """Function that sets the directory of temporary files as a shell does."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)

    def use(path) -> str:
        monkeypatch.setenv("TMPDIR", str(path))
        monkeypatch.setattr(tempfile, "tempdir", None)  # Python's own choice, made once
        return ray_connection.local_directory()

    return use


def test_a_short_directory_is_used(temporary):
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        assert temporary(directory) == f"{directory}/ray"


@pytest.mark.parametrize("name", ["x" * 120, "missing/directory"])
def test_another_directory_replaces_a_long_or_missing_one(name, temporary, tmp_path):
    if "/" not in name:
        (tmp_path / name).mkdir()
    directory = temporary(tmp_path / name)
    socket = directory + ray_connection.SOCKET_OF_RAY.removeprefix("/ray")
    assert os.access(os.path.dirname(directory), os.W_OK)
    assert len(socket) <= ray_connection.SOCKET_PATH_BYTES


def test_no_usable_directory_is_one_line(temporary, monkeypatch, tmp_path):
    monkeypatch.setattr(ray_connection.os, "access", lambda *_: False)
    with pytest.raises(UsageError, match=r"^TMPDIR = '.*no directory for Ray's sockets; accepted"):
        temporary(tmp_path)
