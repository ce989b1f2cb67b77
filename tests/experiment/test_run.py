"""A run's directory: what a journal says of the files that its results depend on."""

import dataclasses
import json

import numpy as np
import pytest
from mnas.experiments import digits

from mnas.data.images import DataConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.experiment import run
from mnas.loop.journal import Journal


@pytest.fixture
def experiment(tmp_path):
    """The digits' search on images and latencies from files; nothing here ever trains."""
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


def test_a_resumed_run_finds_its_files_as_they_were(experiment, tmp_path):
    for _ in range(2):
        with run.opened(experiment, tmp_path):
            pass
    write_images(tmp_path, 1)
    refused = pytest.raises(ValueError, match=r"contents\.data\.source was .* is .* now")
    with refused, run.opened(experiment, tmp_path):
        pass
    write_images(tmp_path, 0)
    write_table(tmp_path, 2.0)
    refused = pytest.raises(ValueError, match=r"contents\.latency_table was")
    with refused, run.opened(experiment, tmp_path):
        pass


def test_a_missing_file_is_named(experiment, tmp_path):
    (tmp_path / "laptop").unlink()
    with pytest.raises(ValueError, match="laptop can't be read"):
        run.identity(experiment)


def test_a_journal_that_says_nothing_of_files_can_be_gone_on_with(experiment, tmp_path):
    settings = run.identity(experiment)
    del settings["contents"]
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.append({"kind": "experiment", "format": run.FORMAT, "settings": settings})
    with run.opened(experiment, tmp_path) as search:
        assert not search.results
