"""Files written without the key, or damaged, are not read, whoever wrote them."""

import os

import pytest

from mnas.runtime import authenticated_file
from mnas.runtime.authenticated_file import read_authenticated, write_authenticated

KEY = b"k" * 32
CONTENT = bytes(range(256)) * 4
OTHER_USER = 65534


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "blocks" / "entry"
    assert write_authenticated(path, CONTENT, KEY)
    return path


@pytest.fixture(autouse=True)
def _nothing_reported(monkeypatch):
    monkeypatch.setattr(authenticated_file, "_reported", set())


def test_content_is_read_back(path, caplog):
    assert read_authenticated(path, KEY) == CONTENT
    assert list(path.parent.iterdir()) == [path]  # no temporary file is left
    assert not caplog.messages


def test_missing_file_is_not_reported(path, caplog):
    assert read_authenticated(path.with_name("missing"), KEY) is None
    assert not caplog.messages


@pytest.mark.parametrize("position", [0, 31, 32, 500, -1])
def test_one_changed_bit_is_found_and_reported_once(path, position, caplog):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    assert read_authenticated(path, KEY) is None
    assert read_authenticated(path, KEY) is None
    (line,) = caplog.messages
    assert str(path.parent) in line
    assert "entry is damaged, or was written with another key" in line


@pytest.mark.parametrize("size", [0, 31, 32, 100])
def test_truncated_file_is_not_read(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert read_authenticated(path, KEY) is None


def test_file_of_another_key_is_not_read(path):
    assert read_authenticated(path, b"l" * 32) is None


def test_a_file_in_the_place_of_another_is_not_read(path):
    path.rename(path.with_name("other"))
    assert read_authenticated(path.with_name("other"), KEY) is None


def test_file_of_another_user_is_not_read_though_its_content_is_right(path, monkeypatch, caplog):
    monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    if os.getuid() == 0:
        os.chown(path, OTHER_USER - 1, -1)
    assert read_authenticated(path, KEY) is None
    assert "entry belongs to another user" in caplog.text


def test_named_pipe_does_not_stop_the_process(path):
    path.unlink()
    os.mkfifo(path)
    assert read_authenticated(path, KEY) is None


def test_symbolic_link_to_a_device_is_not_read(path):
    path.unlink()
    path.symlink_to("/dev/zero")
    assert read_authenticated(path, KEY) is None


def test_file_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "blocks").write_text("a file in place of the directory")
    assert not write_authenticated(tmp_path / "blocks" / "entry", CONTENT, KEY)
