"""Automatic settings: recorded as resolved, and kept to one backend."""

import dataclasses
import json
import types

import pytest

from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.whole_network import WholeNetworkConfig
from mnas.experiment import automatic, run
from mnas.experiments import digits
from mnas.loop.config import SearchConfig
from mnas.loop.journal import read_head
from mnas.runtime.backends import Backend
from tests.studies import RANDOM

PROXY = dataclasses.replace(digits.EXPERIMENT, evaluator=ProxyConfig(data=DataConfig()))


@pytest.fixture(autouse=True)
def _table(monkeypatch):
    table = {"cpu": Backend("blocks", "float32", 1), "gpu": Backend("whole", "bfloat16", 4)}
    monkeypatch.setattr("mnas.runtime.backends.BACKENDS", table)


def on_gpu(experiment):
    engine = dataclasses.replace(experiment.engine, kind="ray", gpus_per_worker="auto")
    return dataclasses.replace(experiment, engine=engine)


def begin(experiment, directory):
    """Begin a run, up to its first proposals."""
    run.create(experiment, directory)
    with run.opened(experiment, directory) as search:
        search.ask()


@pytest.mark.parametrize(
    ("experiment", "program", "precision", "backend"),
    [(PROXY, "blocks", "float32", "cpu"), (on_gpu(PROXY), "whole", "bfloat16", "gpu")],
    ids=["cpu", "gpu"],
)
def test_resolved_values_are_recorded(experiment, program, precision, backend, tmp_path):
    begin(experiment, tmp_path)
    head = read_head(tmp_path / "journal.jsonl").settings
    written = json.loads((tmp_path / "experiment.json").read_text())
    for settings in (head, written):
        assert settings["evaluator"]["program"] == program
        assert settings["evaluator"]["training"]["precision"] == precision
    assert head["engine"] == {"threads": 1, "backend": backend}
    assert written["engine"]["gpus_per_worker"] == (0.25 if backend == "gpu" else 0)
    # A resumed run has the recorded values, also where the table is another one by then.
    resumed = run.read_experiment(tmp_path)
    assert resumed.evaluator.program == program
    with run.opened(resumed, tmp_path):
        pass


@pytest.mark.parametrize("experiment", [PROXY, digits.EXPERIMENT], ids=["proxy", "digits"])
def test_a_run_is_not_resumed_on_another_backend(experiment, tmp_path):
    begin(on_gpu(experiment), tmp_path)
    engine = dataclasses.replace(experiment.engine, gpus_per_worker=0)
    resumed = dataclasses.replace(run.read_experiment(tmp_path), engine=engine)
    for other in (resumed, experiment):
        with (
            pytest.raises(
                UsageError, match=r"evaluated on the gpu and would be on the cpu now; ac"
            ),
            run.opened(other, tmp_path),
        ):
            pass
    more = dataclasses.replace(experiment.engine, gpus_per_worker=0.1)
    with run.opened(dataclasses.replace(experiment, engine=more), tmp_path):
        pass


def test_given_values_are_kept_on_every_backend(tmp_path):
    training = dataclasses.replace(PROXY.evaluator.training, precision="float32")
    evaluator = dataclasses.replace(PROXY.evaluator, program="blocks", training=training)
    given = dataclasses.replace(PROXY, evaluator=evaluator)
    assert automatic.resolved(on_gpu(given)) == on_gpu(given)


def test_evaluators_within_wrappers_are_resolved():
    noisy = dataclasses.replace(PROXY, evaluator=NoisyConfig(PROXY.evaluator))
    found = automatic.resolved(on_gpu(noisy)).evaluator
    assert found == NoisyConfig(PROXY.evaluator.for_backend("gpu"))
    assert run.identity(on_gpu(noisy))["engine"]["backend"] == "gpu"


def test_searches_that_train_nothing_have_no_backend(tmp_path):
    for experiment in (
        RANDOM,
        dataclasses.replace(RANDOM, evaluator=NoisyConfig(SurrogateConfig())),
    ):
        assert automatic.backend(experiment) is None
        assert automatic.resolved(experiment) is experiment
        assert run.identity(experiment)["engine"] == {"threads": 1}
    begin(RANDOM, tmp_path)
    with run.opened(on_gpu(RANDOM), tmp_path):
        pass


def test_workers_get_the_resolved_evaluator(monkeypatch):
    driven, search = [], types.SimpleNamespace(done=True, space=None, config=SearchConfig())
    monkeypatch.setattr(run, "drive_engine", lambda *arguments: driven.append(arguments))
    run.drive(on_gpu(PROXY), search)
    ((source, *others),) = driven
    assert source.search is search
    assert others == [PROXY.evaluator.for_backend("gpu"), on_gpu(PROXY).engine]


def test_the_precision_of_retrained_networks_is_resolved_too(tmp_path):
    training = dataclasses.replace(PROXY.evaluator.training, precision="auto")
    evaluator = WholeNetworkConfig(str(tmp_path), training=training)
    retrained = dataclasses.replace(PROXY, evaluator=evaluator)
    precisions = [
        run.identity(experiment)["evaluator"]["training"]["precision"]
        for experiment in (retrained, on_gpu(retrained))
    ]
    assert precisions == ["float32", "bfloat16"]
