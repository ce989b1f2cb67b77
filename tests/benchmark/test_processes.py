"""Worker processes: their cores, threads, environment and failures."""

import ast
import os
import sys
from pathlib import Path

import pytest

from mnas.benchmark import worker
from mnas.benchmark.contender import (
    INFERENCE_CONTENDERS,
    TRAINING_CONTENDERS,
    ContenderFailed,
    ContenderSpec,
)
from mnas.benchmark.processes import Arrangement, Team, arrangements
from mnas.runtime.pinning import allowed_cores

ONE_PROCESS = Arrangement("one process", 1, 1)


def team(contender: ContenderSpec, arrangement: Arrangement, directory: Path, python: str) -> Team:
    return Team(
        contender,
        arrangement,
        python=python,
        cache=directory,
        images=directory / "none.npz",
        settings={},
    )


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no pinning on this system")
def test_workers_use_their_cores_and_threads(tmp_path, fake_contender):
    fake_contender("flax", train="return dict(cores=sorted(os.sched_getaffinity(0)), job=self.job)")
    cores = allowed_cores()
    for arrangement in arrangements(len(cores)):
        with team(TRAINING_CONTENDERS["flax"], arrangement, tmp_path, sys.executable) as workers:
            answers = workers.ask_all(do="train", child={})
        used = sorted(core for answer in answers for core in answer["cores"])
        assert len(answers) == arrangement.processes and used == cores
        assert {answer["job"]["threads"] for answer in answers} == {arrangement.threads}


@pytest.mark.parametrize(("name", "inherits"), [("flax", True), ("torch", False)])
def test_only_workers_of_this_interpreter_get_its_import_path(
    name, inherits, tmp_path, fake_contender, monkeypatch
):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    fake_contender(name, train="return dict(path=os.environ.get('PYTHONPATH'))")
    with team(TRAINING_CONTENDERS[name], ONE_PROCESS, tmp_path, sys.executable) as workers:
        (answer,) = workers.ask_all(do="train", child={})
    assert (answer["path"] is not None) == inherits


def test_a_command_that_is_no_interpreter_fails_the_contender(tmp_path):
    contender = ContenderSpec("none", tmp_path / "contender.py")
    with pytest.raises(ContenderFailed, match="worker ended with status 1"):
        team(contender, ONE_PROCESS, tmp_path, "false")


@pytest.mark.parametrize(
    ("file", "libraries"),
    [
        (Path(worker.__file__), set()),
        (TRAINING_CONTENDERS["torch"].file, {"numpy", "torch"}),
        (TRAINING_CONTENDERS["torch-compile"].file, {"numpy", "torch"}),
        (INFERENCE_CONTENDERS["torch"].file, {"torch"}),  # timm by importlib
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_files_for_another_interpreter_import_nothing_of_mnas(file, libraries):
    imported = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= libraries | set(sys.stdlib_module_names)


@pytest.mark.parametrize("contenders", [TRAINING_CONTENDERS, INFERENCE_CONTENDERS])
def test_files_of_all_contenders_exist_and_define_a_contender(contenders):
    for contender in contenders.values():
        classes = ast.parse(contender.file.read_text()).body
        assert any(isinstance(node, ast.ClassDef) and node.name == "Contender" for node in classes)
