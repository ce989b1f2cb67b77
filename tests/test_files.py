import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mnas import files
from mnas.errors import UsageError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    return path


def names(directory):
    return sorted(entry.name for entry in directory.iterdir())


def test_writers_replace_the_content_and_leave_no_other_file(path):
    files.write_json(path, {"φ": [1, None]})
    assert files.read_json(path) == {"φ": [1, None]}
    files.write_text(path, "α\n")
    assert path.read_bytes() == "α\n".encode()
    files.write_csv(path, [{"n": 1, "name": "a, b"}, {"n": 2}])
    assert path.read_bytes() == b'n,name\r\n1,"a, b"\r\n2,\r\n'
    files.write_csv(path, [])
    assert path.read_bytes() == b""
    files.write_arrays(path, {"x": np.arange(3)})
    with np.load(path) as stored:
        assert stored["x"].tolist() == [0, 1, 2]
    assert names(path.parent) == ["file"]


def test_an_exception_while_writing_keeps_the_old_content(path):
    with pytest.raises(RuntimeError), files.replacement(path) as file:
        file.write(b"half of the new cont")
        raise RuntimeError
    assert path.read_text() == "old"
    assert names(path.parent) == ["file"]


def test_data_that_json_cannot_represent_keeps_the_old_content(path):
    for data in (float("nan"), {"x": object()}):
        with pytest.raises((ValueError, TypeError)):
            files.write_json(path, data)
    assert path.read_text() == "old"


def test_a_missing_directory_raises_oserror(tmp_path):
    with pytest.raises(OSError):
        files.write_bytes(tmp_path / "none" / "file", b"")


def test_permissions_follow_the_umask(path):
    before = os.umask(0o027)
    try:
        files.write_bytes(path, b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_symbolic_links_are_followed(path):
    link = path.with_name("link")
    link.symlink_to(path)
    files.write_text(link, "new")
    assert link.is_symlink() and path.read_text() == "new"


def test_pipes_are_written_in_place(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write_text(pipe, "new")
    assert os.read(reader, 10) == b"new"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]


def test_text_is_utf8_in_a_c_locale(tmp_path):
    program = """
import sys
from pathlib import Path
from pathlib import Path
from mnas.files import read_json, write_text
path = Path(sys.argv[1])
write_text(path, '"' + chr(945) + '"')
assert read_json(path) == chr(945)
"""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    path = tmp_path / "file"
    subprocess.run([sys.executable, "-c", program, str(path)], env=environment, check=True)
    assert path.read_bytes() == '"α"'.encode()


def test_missing_and_malformed_json_are_usage_errors(path):
    with pytest.raises(UsageError, match="file is not JSON"):
        files.read_json(path)
    path.write_text('{"x": NaN}')
    with pytest.raises(UsageError, match="file is not JSON: NaN is no number of JSON's"):
        files.read_json(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match="file is not JSON that can be read: nested too deeply"):
        files.read_json(path)
    path.unlink()
    with pytest.raises(UsageError, match="file can't be read: No such file"):
        files.read_json(path)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"seed": 1, "seed": 2}', "'seed'"),
        ('{"seed": 1, "seed": 1}', "'seed'"),
        ('[{"a": {"b": 0, "\\u03c6": 1, "c": 2, "φ": 3}}]', "'φ'"),
        ('{"\\u001b[31m": 1, "\\u001b[31m": 2}', r"'\\\\x1b\[31m'"),
    ],
)
def test_a_key_twice_in_one_object_is_rejected_by_its_name(path, text, key):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=rf"file: duplicate key {key}; accepted: each key once$"):
        files.read_json(path)
    path.write_text('[{"a": {"a": 1}}, {"a": 2}]')
    assert files.read_json(path) == [{"a": {"a": 1}}, {"a": 2}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_with_and_without_a_byte_order_mark(path, encoding):
    path.write_bytes('{"φ": 1}\r\n'.encode(encoding))
    assert files.read_json(path) == {"φ": 1}


def test_text_in_another_encoding_is_rejected_by_its_first_wrong_byte(path):
    path.write_bytes('"café"'.encode("latin-1"))
    with pytest.raises(UsageError, match="file is not text in UTF-8: byte 4 is 0xe9; accepted"):
        files.read_json(path)


def test_files_without_an_end_are_not_read_whole(monkeypatch):
    monkeypatch.setattr(files, "MAX_TEXT", 1000)
    with pytest.raises(UsageError, match="/dev/zero is longer than 1,000 bytes"):
        files.read_text(Path("/dev/zero"))


def test_a_locked_file_is_rejected_until_it_is_closed(path):
    with open(path) as first, open(path) as second:
        files.lock(first.fileno(), path, "is writing it")
        with pytest.raises(UsageError, match=r"file: another process is writing it$"):
            files.lock(second.fileno(), path, "is writing it")
        first.close()
        files.lock(second.fileno(), path, "is writing it")


def test_a_held_lock_is_found_without_taking_it(path, tmp_path):
    files.require_unlocked(path, "is writing")
    files.require_unlocked(tmp_path / "missing", "is writing")
    with open(path, "rb") as file:
        files.lock(file.fileno(), path, "is writing")
        for _ in range(2):
            with pytest.raises(UsageError, match=r"file: another process is writing$"):
                files.require_unlocked(path, "is writing")
    files.require_unlocked(path, "is writing")


def test_a_file_system_without_locks_is_a_warning(path, monkeypatch, caplog):
    def unsupported(descriptor, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(files.fcntl, "flock", unsupported)
    with open(path) as file:
        files.lock(file.fileno(), path, "is writing it")
    (line,) = caplog.messages
    assert "can't be locked (Function not implemented)" in line


def test_errors_of_writers_name_the_file(tmp_path, monkeypatch):
    (tmp_path / "directory").mkdir()
    for name, code in (
        ("directory", errno.EISDIR),
        ("missing/file", errno.ENOENT),
        ("x" * 300, errno.ENAMETOOLONG),
    ):
        with pytest.raises(OSError) as caught:
            files.write_text(tmp_path / name, "text")
        assert (caught.value.errno, caught.value.filename) == (code, str(tmp_path / name))

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*file") as caught:
        files.write_text(tmp_path / "file", "text")
    assert caught.value.filename == str(tmp_path / "file")
    assert names(tmp_path) == ["directory"]


def test_file_with_the_longest_name_is_written(tmp_path):
    path = tmp_path / ("x" * 255)
    files.write_text(path, "text")
    assert path.read_text() == "text"


@pytest.mark.parametrize("kept", ["a/b/c", "a/b/file", "a/other", None])
def test_an_exception_removes_new_directories_that_are_empty(kept, tmp_path):
    new = tmp_path / "a" / "b" / "c"
    if kept == "a/b/c":  # the user's own
        new.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt), files.locked_directory(new, "is working here"):
        if kept not in (None, "a/b/c"):
            (tmp_path / kept).write_text("")
        raise KeyboardInterrupt
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    expected = {
        "a/b/c": {"a", "a/b", "a/b/c"},
        "a/b/file": {"a", "a/b", "a/b/file"},
        "a/other": {"a", "a/other"},
        None: set(),
    }
    assert left == expected[kept]


def test_only_the_temporary_files_of_a_named_file_are_removed(tmp_path):
    for name in (".x.json.0123abcd.tmp", ".y.json.0123abcd.tmp"):
        (tmp_path / name).write_text("")
    with files.locked_directory(tmp_path, "is working here", file="x.json"):
        assert names(tmp_path) == [".y.json.0123abcd.tmp"]


def test_a_locked_directory_is_created_and_cleared_of_temporary_files(tmp_path):
    directory = tmp_path / "a" / "b"
    with files.locked_directory(directory, "is working here"):
        for name in (".x.npz.0123abcd.tmp", "y.tmp", ".z.tmp", ".x.0123abcd.tmp.json"):
            (directory / name).write_text("")
        with (
            pytest.raises(UsageError, match=r"b: another process is working here$"),
            files.locked_directory(directory, "is working here"),
        ):
            pass
        assert len(names(directory)) == 4
    with files.locked_directory(directory, "is working here"):
        assert names(directory) == [".x.0123abcd.tmp.json", ".z.tmp", "y.tmp"]


def test_a_directory_that_cannot_be_created_is_named(path):
    with (
        pytest.raises(UsageError, match=r"file can't be created: File exists$"),
        files.locked_directory(path, "is working here"),
    ):
        pass


def test_mapped_arrays_are_those_of_the_file_read_only(tmp_path):
    path = tmp_path / "arrays.npz"
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "transposed": np.arange(6).reshape(2, 3).T,
        "empty": np.zeros((0, 2)),
        "number": np.array(3.5),
    }
    files.write_arrays(path, arrays)
    mapped = files.ArrayFile(path).mapped()
    files.write_arrays(path, {"a": np.zeros(1)})  # the file is replaced, the mapping is not
    assert mapped.keys() == arrays.keys()
    for name, array in arrays.items():
        assert mapped[name].dtype == array.dtype
        np.testing.assert_array_equal(mapped[name], array)
    with pytest.raises(ValueError, match="read-only"):
        mapped["a"][0, 0] = 1


def test_compressed_or_damaged_arrays_are_not_mapped(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, a=np.zeros(5))
    with pytest.raises(UsageError, match=r"arrays\.npz can't be read as \.npz: a is compressed"):
        files.ArrayFile(path).mapped()
    files.write_arrays(path, {"a": np.zeros(10_000)})  # more than is read with the header
    content = bytearray(path.read_bytes())
    content[40_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="Bad CRC"):
        files.ArrayFile(path).mapped()
