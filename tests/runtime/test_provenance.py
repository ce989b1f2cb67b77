"""Origin of results."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version

from mnas.runtime import provenance as module
from mnas.runtime.provenance import provenance


def test_origin_is_json_with_versions_machine_and_command():
    origin = provenance()
    assert json.loads(json.dumps(origin)) == origin
    assert origin["versions"]["python"] == platform.python_version()
    assert origin["versions"]["jax"] == version("jax")
    assert origin["host"] == platform.node() and origin["processor"]
    assert origin["command"] == sys.argv


def test_missing_package_has_no_version():
    assert module._version("no-such-package-here") is None


def test_commit_is_that_of_a_checkout(tmp_path, monkeypatch):
    assert module._commit(tmp_path) is None
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    names = ("-c", "user.name=a", "-c", "user.email=a@b.c")

    def git(*arguments):
        command = ["git", "-C", str(tmp_path), *names, *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=environment
        ).stdout.strip()

    git("init", "-q")
    assert module._commit(tmp_path) is None  # Nothing is committed yet.
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert module._commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert module._commit(tmp_path) == f"{commit}-dirty"
    monkeypatch.setenv("PATH", "")
    assert module._commit(tmp_path) is None  # Without git.


def test_importing_it_starts_no_framework():
    program = (
        "import sys; from mnas.runtime.provenance import provenance; provenance();"
        "assert not {'jax', 'ray', 'numpy'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
