"""Runs: identity of their settings and files, resuming, checks before the start."""

import dataclasses
import json

import numpy as np
import pytest

from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment import run
from mnas.experiments import digits
from tests.studies import RANDOM


@pytest.fixture
def experiment(tmp_path):
    """Return the digits' experiment on images and latencies from files; nothing is trained."""
    write_images(tmp_path, 0)
    write_table(tmp_path, 1.0)
    data = DataConfig(source=str(tmp_path / "images.npz"))
    evaluator = ProxyConfig(data=data, latency_table=str(tmp_path / "laptop"))
    return dataclasses.replace(digits.EXPERIMENT, evaluator=evaluator)


def write_images(directory, value):
    images = np.full((4, 8, 8), value, np.uint8)
    np.savez(directory / "images.npz", train_images=images, train_labels=np.arange(4))


def write_table(directory, call_ms):
    table = {"format": "mnas-latency/1", "call_ms": call_ms, "blocks": {}}
    (directory / "laptop").write_text(json.dumps(table))


def open_and_close(experiment, directory):
    with run.opened(experiment, directory):
        pass


def test_resumed_run_requires_unchanged_files(experiment, tmp_path):
    open_and_close(experiment, tmp_path)
    open_and_close(experiment, tmp_path)
    write_images(tmp_path, 1)
    message = r"the content of evaluator\.data\.source = '.*images\.npz' is not that of the run"
    with pytest.raises(UsageError, match=message):
        open_and_close(experiment, tmp_path)
    write_images(tmp_path, 0)
    write_table(tmp_path, 2.0)
    with pytest.raises(UsageError, match=r"the content of evaluator\.latency_table = "):
        open_and_close(experiment, tmp_path)


def test_resumed_run_may_read_its_images_in_another_way(experiment, tmp_path):
    def with_data(**changes):
        data = dataclasses.replace(experiment.evaluator.data, **changes)
        evaluator = dataclasses.replace(experiment.evaluator, data=data)
        return dataclasses.replace(experiment, evaluator=evaluator)

    open_and_close(experiment, tmp_path)
    open_and_close(with_data(feeding="stream", readers=2), tmp_path)
    with pytest.raises(UsageError, match=r"evaluator\.data\.split_seed was 0 and is 1 now"):
        open_and_close(with_data(split_seed=1), tmp_path)


def test_missing_file_is_named(experiment, tmp_path):
    (tmp_path / "laptop").unlink()
    with pytest.raises(UsageError, match="laptop can't be read"):
        run.identity(experiment)


def with_search(**changes):
    return dataclasses.replace(RANDOM, search=dataclasses.replace(RANDOM.search, **changes))


def test_resumed_run_may_change_length_selection_and_engine(tmp_path):
    open_and_close(RANDOM, tmp_path)
    open_and_close(with_search(trials=12, selection="model"), tmp_path)
    engine = dataclasses.replace(RANDOM.engine, kind="ray", workers=7)
    open_and_close(dataclasses.replace(RANDOM, engine=engine), tmp_path)


@pytest.mark.parametrize(
    ("changed", "setting"),
    [
        (with_search(seed=1), "search.seed"),
        (with_search(batch=5), "search.batch"),
        (dataclasses.replace(RANDOM, name="other"), "name"),
        (
            dataclasses.replace(RANDOM, engine=dataclasses.replace(RANDOM.engine, threads=2)),
            "engine.threads",
        ),
        (dataclasses.replace(RANDOM, controller=digits.EXPERIMENT.controller), "kinds.controller"),
    ],
    ids=["seed", "batch", "name", "threads", "controller"],
)
def test_resumed_run_keeps_other_settings(changed, setting, tmp_path):
    open_and_close(RANDOM, tmp_path)
    with pytest.raises(UsageError, match=rf"{setting} was .* and is .* now; accepted:"):
        open_and_close(changed, tmp_path)


def test_experiment_is_read_back_with_its_parts(tmp_path):
    changed = with_search(trials=12, seed=3)
    run.create(changed, tmp_path)
    assert run.read_experiment(tmp_path) == changed


def test_directory_of_a_run_is_not_overwritten(tmp_path):
    run.create(RANDOM, tmp_path)
    with run.opened(RANDOM, tmp_path) as search:
        search.ask()
    with pytest.raises(UsageError, match="holds a run already"):
        run.create(RANDOM, tmp_path)


def test_check_rejects_what_the_evaluator_cannot_evaluate():
    mnist_sized = dataclasses.replace(RANDOM, space=digits.EXPERIMENT.space)
    with pytest.raises(UsageError):
        run.check(mnist_sized)
    run.check(RANDOM)


def test_new_directories_are_numbered(tmp_path):
    names = [run.new_directory(tmp_path / "runs", "x").name for _ in range(3)]
    assert names == ["x-1", "x-2", "x-3"]
