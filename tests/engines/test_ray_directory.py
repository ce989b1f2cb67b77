"""Directory of a local Ray: private, and short enough for sockets, wherever temporary files go."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mnas.engines import ray_directory
from mnas.errors import UsageError

NAME = f"mnas-{os.geteuid()}"


@pytest.fixture
def temporary(monkeypatch):
    """Function that sets the directory of temporary files as a shell does."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)

    def use(path) -> str:
        monkeypatch.setenv("TMPDIR", str(path))
        monkeypatch.setattr(tempfile, "tempdir", None)  # Python's own choice, made once
        return ray_directory.local_directory()

    return use


@pytest.fixture
def short():
    """Directory with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory)


def test_a_short_directory_is_used_with_a_private_parent(temporary, short):
    before = os.umask(0)
    try:
        assert temporary(short) == f"{short}/{NAME}/ray"
    finally:
        os.umask(before)
    assert stat.S_IMODE((short / NAME).stat().st_mode) == 0o700
    assert temporary(short) == f"{short}/{NAME}/ray"


def test_rays_own_variable_comes_first(temporary, short, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(short))
    assert ray_directory.local_directory() == f"{short}/{NAME}/ray"


@pytest.mark.parametrize("name", ["x" * 120, "missing/directory"])
def test_another_directory_replaces_a_long_or_missing_one(name, temporary, tmp_path):
    if "/" not in name:
        (tmp_path / name).mkdir()
    directory = temporary(tmp_path / name)
    socket = directory + ray_directory.SOCKET_OF_RAY.removeprefix("/ray")
    assert os.access(os.path.dirname(directory), os.W_OK)
    assert len(socket) <= ray_directory.SOCKET_PATH_BYTES


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o720, 0o777])
def test_a_parent_that_others_may_enter_is_not_used(mode, temporary, short):
    (short / NAME).mkdir()
    (short / NAME).chmod(mode)
    assert not temporary(short).startswith(str(short))


def test_a_parent_that_is_a_link_or_a_file_is_not_used(temporary, short, tmp_path):
    (short / NAME).symlink_to(tmp_path)
    assert not temporary(short).startswith(str(short))
    (short / NAME).unlink()
    (short / NAME).write_text("")
    assert not temporary(short).startswith(str(short))


def test_a_parent_of_another_user_is_not_used(temporary, short, monkeypatch):
    another = os.geteuid() + 1
    (short / f"mnas-{another}").mkdir(mode=0o700)  # made by this user, before the other one
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert not ray_directory._is_private(short / f"mnas-{another}")


def test_a_parent_that_others_can_exchange_is_not_used(temporary, short):
    short.chmod(0o777)  # without the sticky bit
    assert not temporary(short).startswith(str(short))
    short.chmod(0o1777)
    assert temporary(short) == f"{short}/{NAME}/ray"


def test_no_usable_directory_is_one_line(temporary, monkeypatch, tmp_path):
    monkeypatch.setattr(ray_directory, "_is_private", lambda _: False)
    with pytest.raises(UsageError, match=r"^TMPDIR = '.*no directory for Ray's sockets; accepted"):
        temporary(tmp_path)


def test_finding_it_imports_no_ray():
    program = "import sys, mnas.engines.ray_directory; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
