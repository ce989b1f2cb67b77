"""The public interface: what `import mnas` gives, and a search in a notebook's few lines."""

import ast
import importlib.metadata
import typing
from pathlib import Path

import pytest

import mnas


@pytest.mark.parametrize("name", mnas.__all__)
def test_imports_every_public_name_when_used(name):
    assert getattr(mnas, name) is getattr(mnas, name)
    assert name in dir(mnas)
    assert getattr(mnas, name).__doc__


def test_rejects_a_name_that_is_not_public():
    with pytest.raises(AttributeError, match="no attribute 'Serach'"):
        _ = mnas.Serach


def test_version_is_that_of_the_installed_package():
    assert mnas.__version__ == importlib.metadata.version("mnas")


def test_types_for_checkers_are_the_names_of_the_program():
    tree = ast.parse(Path(mnas.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {alias.name: node.module for node in block.body for alias in node.names}
    assert typed == mnas._MODULES
    assert sorted(typed) == sorted(mnas.__all__)


@pytest.mark.promotes_dtypes  # optax does
def test_searches_and_reads_the_run_back(tmp_path):
    out = tmp_path / "run"
    run = mnas.search("b0-imagenet", out=out, trials=32)
    assert len(run.results) == 32
    again = mnas.load_run(out)
    assert again.best == run.best
    assert again.architecture == run.architecture
    assert isinstance(again.architecture, mnas.Architecture)
    assert (out / "best.json").is_file()


def test_searches_with_parts_of_its_own(tmp_path):
    from mnas.controllers import Evolution
    from mnas.search_spaces import SingleCellSpace

    class Table:
        def build(self):
            return lambda architecture, seed, report=None: mnas.Evaluation(accuracy=0.5)

    experiment = mnas.Experiment(
        name="mine",
        space=SingleCellSpace(),
        controller=Evolution(),
        evaluator=Table(),
        reward=mnas.RewardConfig(),
        search=mnas.SearchConfig(trials=8, batch=4),
        engine=mnas.EngineConfig(kind="inline"),
    )
    run = mnas.search(experiment, out=tmp_path / "run")
    assert len(run.results) == 8
    assert mnas.search(experiment, out=tmp_path / "run").results == run.results


def test_annotations_of_the_interface_resolve():
    assert typing.get_type_hints(mnas.search)["return"] is mnas.Run
    assert typing.get_type_hints(mnas.load_run)["return"] is mnas.Run
