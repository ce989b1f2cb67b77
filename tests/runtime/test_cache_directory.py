"""Compiled programs are kept where only their user may write."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mnas.runtime import cache_directory
from mnas.runtime.cache_directory import cache_key, compilation_cache, writable_by_others

OTHER_USER = 65534


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A user without settings, whose home directory is returned."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "")  # restored to what it was at the end
    cache_directory._temporary_directory.cache_clear()
    cache_directory._report.cache_clear()
    return tmp_path


def mode(path):
    return path.stat().st_mode & 0o777


def test_default_is_a_directory_of_the_user_alone(home, caplog):
    assert compilation_cache() == str(home / ".cache/mnas/xla")
    assert [mode(home / ".cache/mnas" / name) for name in ("xla", ".")] == [0o700, 0o700]
    assert not caplog.messages


def test_private_directory_of_the_variable_is_used(home, monkeypatch, caplog):
    (home / "cache").mkdir(mode=0o755)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(home / "cache"))
    assert compilation_cache() == str(home / "cache")
    assert not caplog.messages


def test_other_file_systems_are_not_checked(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "gs://bucket/cache")
    assert compilation_cache() == "gs://bucket/cache"


def test_jax_reads_no_shared_directory_from_the_variable(home):
    (home / "shared").mkdir()
    (home / "shared").chmod(0o777)
    code = (
        "import os; from mnas.runtime.cache_directory import replace_shared_cache;"
        "replace_shared_cache(); import jax;"
        "assert jax.config.jax_compilation_cache_dir == os.environ['JAX_COMPILATION_CACHE_DIR'];"
        "print(jax.config.jax_compilation_cache_dir)"
    )
    variable = {"JAX_COMPILATION_CACHE_DIR": str(home / "shared")}
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **variable}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() != str(home / "shared")
    assert "others may write" in done.stderr


def test_without_the_variable_nothing_is_created(home):
    cache_directory.replace_shared_cache()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("permissions", [0o777, 0o1777, 0o775, 0o702])
def test_directory_that_others_may_write_is_not_used(home, monkeypatch, caplog, permissions):
    shared = home / "shared"
    shared.mkdir()
    shared.chmod(permissions)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(shared))
    directory = compilation_cache()
    assert directory != str(shared)
    assert mode(Path(directory)) == 0o700
    assert compilation_cache() == directory  # as do child processes, by the variable
    (line,) = caplog.messages
    assert directory in line
    assert f"others may write to {shared} (mode {permissions:03o})" in line
    assert f"chmod go-w {shared}" in line


def test_directory_of_another_user_is_not_used(home, monkeypatch):
    (home / "cache").mkdir()
    if os.getuid() == 0:
        os.chown(home / "cache", OTHER_USER, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: OTHER_USER)
    assert "belongs to another user" in writable_by_others(home / "cache")


def test_directory_that_others_may_replace_is_not_used(home):
    (home / "open" / "cache").mkdir(parents=True)
    (home / "open").chmod(0o777)
    assert f"others may write to {home / 'open'}" in writable_by_others(home / "open" / "cache")
    (home / "open").chmod(0o1777)  # as /tmp: only owners may rename
    assert writable_by_others(home / "open" / "cache") is None


def test_link_to_a_shared_directory_is_not_used(home):
    (home / "shared").mkdir()
    (home / "shared").chmod(0o777)
    (home / "link").symlink_to("shared")
    assert "others may write" in writable_by_others(home / "link")


def test_without_a_home_directory_a_temporary_one_is_used(monkeypatch, caplog):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(cache_directory.Path, "home", no_home)
    directory = compilation_cache()
    assert mode(Path(directory)) == 0o700
    (line,) = caplog.messages
    assert line.endswith("no home directory")


def test_directory_that_cannot_be_created_is_replaced_by_a_temporary_one(home, caplog):
    (home / ".cache").write_text("a file in place of the directory")
    assert mode(Path(compilation_cache())) == 0o700
    assert "File exists" in caplog.text


def test_temporary_directory_is_removed_at_exit():
    code = "from mnas.runtime.cache_directory import compilation_cache; print(compilation_cache())"
    environment = {**os.environ, "HOME": "/dev/null", "JAX_COMPILATION_CACHE_DIR": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).name.startswith("mnas-")
    assert not Path(done.stdout.strip()).exists()


def test_key_lies_beside_the_entries_of_a_private_directory(home):
    (home / "cache").mkdir()
    key = cache_key(home / "cache")
    assert key == (home / "cache" / "blocks.key").read_bytes()
    assert (len(key), mode(home / "cache" / "blocks.key")) == (32, 0o600)
    cache_key.cache_clear()  # as in another process
    assert cache_key(home / "cache") == key


def test_key_of_a_shared_directory_is_in_the_users_own(home):
    (home / "cache").mkdir()
    (home / "cache").chmod(0o1777)
    assert cache_key(home / "cache") == (home / ".cache/mnas/blocks.key").read_bytes()
    assert list((home / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "permissions"),
    [(b"short", 0o600), (b"", 0o600), (b"k" * 33, 0o600), (b"k" * 32, 0o644)],
)
def test_damaged_or_readable_key_is_replaced(home, content, permissions):
    (home / "cache").mkdir()
    path = home / "cache" / "blocks.key"
    path.write_bytes(content)
    path.chmod(permissions)
    key = cache_key(home / "cache")
    assert key != content
    assert (path.read_bytes(), mode(path)) == (key, 0o600)


def test_keys_of_processes_that_start_together_are_equal(home):
    (home / "cache").mkdir()
    code = (
        "import sys; from pathlib import Path; from mnas.runtime.cache_directory import cache_key;"
        "sys.stdin.readline(); print(cache_key(Path(sys.argv[1])).hex())"
    )
    command = [sys.executable, "-c", code, str(home / "cache")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert len({process.communicate()[0] for process in processes}) == 1


def test_there_is_no_key_where_it_can_be_kept_nowhere(home):
    (home / "cache").mkdir()
    (home / "cache").chmod(0o777)
    (home / ".cache").write_text("a file in place of the directory")
    assert cache_key(home / "cache") is None


def test_file_system_without_hard_links_has_a_key_too(home, monkeypatch):
    def unsupported(*_):
        raise PermissionError("no hard links")

    monkeypatch.setattr(os, "link", unsupported)
    (home / "cache").mkdir()
    assert cache_key(home / "cache") == (home / "cache" / "blocks.key").read_bytes()
