"""Experiments whose evaluator is wrapped: command line, settings on disk, resumption."""

import dataclasses
import json

import pytest

from mnas.cli.named_experiment import exchange
from mnas.controllers import RandomSearch
from mnas.errors import UsageError
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment import run
from mnas.loop.config import SearchConfig
from tests.cli.commands import quick, run_search
from tests.registered import EXPERIMENTS, register

BASE = dataclasses.replace(
    EXPERIMENTS["b0-imagenet"],
    controller=RandomSearch(),
    search=SearchConfig(trials=12, batch=4),
)
INNER = SurrogateConfig(fit="ridge", device="a100")
NOISY = dataclasses.replace(BASE, evaluator=NoisyConfig(INNER, std_points=2.0))


def results(directory):
    records = map(json.loads, (directory / "journal.jsonl").read_text().splitlines())
    results = [record for record in records if record["kind"] == "result"]
    return [(result["trial"], result["reward"], result["accuracy"]) for result in results]


def search(experiment, directory):
    with run.opened(experiment, directory) as opened:
        run.drive(experiment, opened)


def test_a_wrapper_named_on_the_command_line_wraps_the_experiments_own_evaluator():
    experiment, flags = exchange(BASE, ["--evaluator", "noisy", "--evaluator.std-points", "1"])
    assert experiment.evaluator == NoisyConfig(BASE.evaluator)
    assert flags == ["--evaluator.std-points", "1"]
    again, _ = exchange(experiment, ["--evaluator", "noisy"])
    assert again == experiment
    exact, _ = exchange(experiment, ["--evaluator", "surrogate"])
    assert exact.evaluator == SurrogateConfig()


@pytest.mark.parametrize(
    "evaluator",
    [NoisyConfig(INNER, 2.0), NoisyConfig(NoisyConfig(INNER, 0.1), 2.0), INNER],
    ids=["noisy", "noisy twice", "not noisy"],
)
@pytest.mark.parametrize("registered", [BASE, NOISY], ids=["from exact", "from noisy"])
def test_settings_on_disk_restore_wrapped_evaluators(evaluator, registered, tmp_path, monkeypatch):
    register(monkeypatch, "experiment", "wrapped", dataclasses.replace(registered, name="wrapped"))
    experiment = dataclasses.replace(registered, name="wrapped", evaluator=evaluator)
    run.create(experiment, tmp_path)
    assert run.read_experiment(tmp_path).evaluator == evaluator


def test_an_unknown_wrapped_evaluator_is_named(tmp_path):
    run.create(NOISY, tmp_path)
    path = tmp_path / "experiment.json"
    path.write_text(path.read_text().replace("SurrogateConfig", "SurogateConfig"))
    with pytest.raises(UsageError, match=r"'SurogateConfig'; did you mean SurrogateConfig"):
        run.read_experiment(tmp_path)


def test_a_resumed_noisy_run_equals_an_uninterrupted_one(tmp_path):
    run.create(NOISY, tmp_path / "whole")
    search(NOISY, tmp_path / "whole")
    first = dataclasses.replace(NOISY, search=dataclasses.replace(NOISY.search, trials=8))
    run.create(first, tmp_path / "resumed")
    search(first, tmp_path / "resumed")
    resumed = run.read_experiment(tmp_path / "resumed")
    search(dataclasses.replace(resumed, search=NOISY.search), tmp_path / "resumed")
    assert results(tmp_path / "resumed") == results(tmp_path / "whole")


def test_a_resumed_run_keeps_its_noise(tmp_path):
    run.create(NOISY, tmp_path)
    with run.opened(NOISY, tmp_path):
        pass
    other = dataclasses.replace(NOISY, evaluator=NoisyConfig(INNER, std_points=1.0))
    changed = pytest.raises(UsageError, match=r"evaluator.std_points was 2.0 and is 1.0 now")
    with changed, run.opened(other, tmp_path):
        pass
    exact = dataclasses.replace(NOISY, evaluator=NoisyConfig(NoisyConfig(INNER), 2.0))
    changed = pytest.raises(UsageError, match=r"kinds.evaluator.evaluator was 'SurrogateConfig'")
    with changed, run.opened(exact, tmp_path):
        pass


def test_a_noisy_run_can_be_started_and_resumed_from_the_command_line(tmp_path, capsys):
    directory = tmp_path / "run"
    flags = ["--controller", "random", "--evaluator", "noisy", "--evaluator.std-points", "0.5"]
    assert run_search(*quick(directory, *flags, "--evaluator.evaluator.fit", "ridge")) == 0
    evaluator = NoisyConfig(SurrogateConfig(fit="ridge"), 0.5)
    assert run.read_experiment(directory).evaluator == evaluator
    assert run_search("--resume", str(directory), "--search.trials", "16") == 0
    assert len(results(directory)) == 16
    assert "reward by ridge" in capsys.readouterr().err  # compared with the reference
