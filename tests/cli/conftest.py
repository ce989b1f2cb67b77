import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """Directory of a finished run, not to be changed."""
    from tests.cli.commands import quick, run_search

    directory = tmp_path_factory.mktemp("runs") / "finished"
    assert run_search(*quick(directory)) == 0
    return directory


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """Copy of the finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
