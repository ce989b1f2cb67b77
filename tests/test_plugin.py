"""A plug-in package, installed: its parts are found by name, as those that ship are."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("plugin")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Install the plug-in into a directory of its own, which is returned."""
    root = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, root / "source")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    install = [sys.executable, "-m", "pip", "install", *flags]
    subprocess.run([*install, "--target", root / "installed", root / "source"], check=True)
    return root / "installed"


@pytest.fixture
def mnas(installed, tmp_path):
    """Run the installed command in an empty directory beside the plug-in."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "mnas", *arguments],
            env={**os.environ, "PYTHONPATH": str(installed)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def test_lists_experiments_and_studies_of_the_plugin(mnas):
    listed = mnas("list")
    assert listed.returncode == 0, listed.stderr
    assert "small-networks" in listed.stdout and "small-networks-seeds" in listed.stdout
    assert "b0-imagenet" in listed.stdout


def test_runs_and_resumes_an_experiment_of_the_plugin(mnas, tmp_path):
    done = mnas("search", "small-networks", "--out", "run")
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert best["search"]["experiment"] == "small-networks" and len(best["blocks"]) == 2
    longer = mnas("resume", "run", "--search.trials", "16")
    assert longer.returncode == 0, longer.stderr
    assert "16 trials" in longer.stderr


def test_runs_a_study_of_the_plugin(mnas, tmp_path):
    done = mnas("search", "small-networks-seeds", "--workers", "1", "--out", "study")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study" / "hill climbing" / "seed-1" / "best.json").is_file()


def test_exchanges_parts_for_those_of_the_plugin(mnas, tmp_path):
    flags = ["--controller", "hill-climbing", "--search.trials", "8", "--controller.rate", "0.2"]
    done = mnas("search", "b0-imagenet", *flags, "--out", "run")
    assert done.returncode == 0, done.stderr
    settings = json.loads((tmp_path / "run" / "experiment.json").read_text())
    assert settings["kinds"]["controller"] == "HillClimbing"
    assert settings["controller"] == {"rate": 0.2}
    assert mnas("resume", "run").returncode == 0


def test_rejects_an_unknown_part_naming_the_nearest(mnas):
    done = mnas("search", "small-networks", "--controller", "hill-climb")
    assert done.returncode == 2
    assert "did you mean hill-climbing?" in done.stderr and done.stderr.count("\n") == 1


def test_folders_of_the_user_shadow_nothing(mnas, tmp_path):
    for name in ("controllers", "search_spaces", "experiments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the user has this one')")
    done = mnas("search", "small-networks", "--controller", "random", "--out", "run")
    assert done.returncode == 0, done.stderr


def test_conformance_checks_accept_the_parts_of_the_plugin(installed):
    program = """
        from mnas.testing import check_controller, check_evaluator, check_space
        from mnas_plugin import controller, evaluator, space
        check_space(space.TwoStages().build())
        check_controller(controller.HillClimbing(), space.TwoStages().build())
        check_evaluator(evaluator.Params(), space.TwoStages().build().decode([0, 0, 0, 0]))
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
    )
