"""Weight banks: trained before a search, shared, resumed; wrong ones and settings rejected."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

import mnas
from mnas.controllers.random_search import RandomSearch
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluators import weight_bank
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.weight_bank import WeightBankConfig, sampled_network
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.preparation.evaluator import prepared
from mnas.reward import RewardConfig
from mnas.search_spaces.efficientnet import EfficientNetSpace
from mnas.testing import check_evaluator
from mnas.training import bank_training
from mnas.training.optimizer import Optimizer
from mnas.training.weight_bank import BankFile, WeightBank
from tests.training.banks import BOTH, DEEP, TRAINING, TinySpace

CONFIG = WeightBankConfig(data=DataConfig(train_images=96, validation=100), training=TRAINING)
INLINE = EngineConfig(kind="inline")


def trained(directory, config=CONFIG, space=None, observe=lambda *progress: None):
    return prepared(config, space or TinySpace(), directory, INLINE, observe)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """The configuration with a trained bank."""
    return trained(tmp_path_factory.mktemp("bank"))


def search(directory, seed=0, **settings):
    evaluator = dataclasses.replace(CONFIG, **settings)
    experiment = Experiment(
        name="tiny",
        space=TinySpace(),
        controller=RandomSearch(),
        evaluator=evaluator,
        reward=RewardConfig(target_madds=1e5),
        search=SearchConfig(trials=6, batch=2, seed=seed),
        engine=INLINE,
    )
    run = mnas.search(experiment, directory)
    assert [result.error for result in run.results] == [None] * 6
    return {result.trial: result.accuracy for result in run.results}


def test_conforms_with_a_trained_bank(bank):
    check_evaluator(bank, DEEP)


def test_a_score_depends_on_the_network_alone(bank):
    evaluate = bank.build()
    first = evaluate(BOTH, 0).accuracy
    evaluate(DEEP, 1)
    assert evaluate(BOTH, 2).accuracy == first == bank.build()(BOTH, 3).accuracy


def test_likelihood_is_a_score_of_the_same_bank(bank):
    likelihood = dataclasses.replace(bank, score="likelihood").build()(BOTH, 0).accuracy
    assert 0 < likelihood < 1
    assert likelihood != bank.build()(BOTH, 0).accuracy


def test_training_a_bank_raises_the_accuracy_of_networks(bank, tmp_path):
    schedule = dataclasses.replace(TRAINING, epochs=30)
    longer = trained(tmp_path, dataclasses.replace(CONFIG, training=schedule)).build()
    for network in (BOTH, DEEP):
        assert longer(network, 0).accuracy > bank.build()(network, 0).accuracy + 0.1


def test_a_search_trains_its_bank_first(tmp_path):
    accuracies = search(tmp_path / "run")
    assert BankFile(tmp_path / "run" / "weight-bank.npz").finished
    best = json.loads((tmp_path / "run" / "best.json").read_text())["search"]
    assert best["accuracy"] == max(accuracies.values())
    # The space has four networks, which share the bank's cost.
    bank = BankFile(tmp_path / "run" / "weight-bank.npz")
    assert best["cpu_seconds_per_child"] > bank.cpu_seconds / 4 > 0
    # Another run, with the bank's file elsewhere, finds the same; a third one trains nothing.
    path = tmp_path / "shared" / "bank.npz"
    assert search(tmp_path / "other", bank=str(path)) == accuracies
    written = path.stat().st_mtime_ns
    search(tmp_path / "third", seed=1, bank=str(path))
    assert path.stat().st_mtime_ns == written


def test_a_search_interrupted_in_the_bank_s_training_goes_on_there(tmp_path, monkeypatch):
    expected = search(tmp_path / "whole")
    monkeypatch.setattr(bank_training, "CHECKED_STEPS", 1)
    monkeypatch.setattr(weight_bank, "CHECKPOINT_SECONDS", 0.0)
    written = []

    def interrupt(training, path, identity, original=bank_training.BankTraining.write):
        original(training, path, identity)
        written.append(training.steps)
        if training.steps == 7:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bank_training.BankTraining, "write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "run")
    assert written == [1, 2, 3, 4, 5, 6, 7]
    assert not BankFile(tmp_path / "run" / "weight-bank.npz").finished
    assert search(tmp_path / "run") == expected
    whole, resumed = (tmp_path / name / "weight-bank.npz" for name in ("whole", "run"))
    assert BankFile(whole).digest() == BankFile(resumed).digest()


def test_progress_is_reported_until_the_bank_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(bank_training, "CHECKED_STEPS", 5)
    seen = []
    trained(tmp_path, observe=lambda *progress: seen.append(progress))
    assert [(done, total) for done, total, _ in seen] == [
        *((steps, 18) for steps in (0, 5, 10, 15, 18)),
    ]
    assert seen[0][2] == "weight bank of 7 blocks, 0.0 MB in training"
    assert re.fullmatch(re.escape(seen[0][2]) + r", loss \d\.\d{3}", seen[-1][2])
    trained(tmp_path, observe=lambda *progress: seen.append(progress))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("config", "space", "setting"),
    [
        (dataclasses.replace(CONFIG, seed=1), None, "seed was 0 and is 1"),
        (dataclasses.replace(CONFIG, sampling="uniform"), None, "sampling was 'fair'"),
        (dataclasses.replace(CONFIG, width=0.5), None, r"width was 1\.0 and is 0\.5"),
        (dataclasses.replace(CONFIG, data=DataConfig(validation=90)), None, "data was"),
        (
            dataclasses.replace(CONFIG, training=dataclasses.replace(TRAINING, epochs=4)),
            None,
            r"training\.epochs was 3 and is 4",
        ),
        (CONFIG, TinySpace(filters=16), "space.decisions was"),
        (CONFIG, EfficientNetSpace(resolution=8, classes=10), r"space\.\w+ was"),
    ],
)
def test_a_bank_of_other_settings_images_or_space_is_rejected(bank, config, space, setting):
    config = dataclasses.replace(config, bank=bank.bank)
    with pytest.raises(UsageError, match=rf"weight bank of other settings: {setting}"):
        trained(Path("unused"), config, space)


def test_an_evaluator_rejects_a_bank_of_other_settings(bank):
    other = dataclasses.replace(bank, seed=1)
    with pytest.raises(UsageError, match="weight bank of other settings: seed was 0 and is 1"):
        other.build()(BOTH, 0)


def test_an_evaluator_rejects_a_missing_or_unfinished_bank(tmp_path):
    with pytest.raises(UsageError, match="bank = None; accepted: the file of a trained"):
        CONFIG.build()(BOTH, 0)
    path = tmp_path / "bank.npz"
    with pytest.raises(UsageError, match=r"bank\.npz can't be read as \.npz: no such file"):
        dataclasses.replace(CONFIG, bank=str(path)).build()
    WeightBank(Optimizer(), 0).write(path, {}, 1)
    with pytest.raises(UsageError, match=r"bank\.npz is in training; accepted: a trained"):
        dataclasses.replace(CONFIG, bank=str(path)).build()


def test_a_bank_in_training_is_locked(tmp_path):
    config = CONFIG.located(tmp_path)
    steps = config.prepare(TinySpace())
    next(steps)
    with pytest.raises(UsageError, match="another process is training a weight bank"):
        next(config.prepare(TinySpace()))
    steps.close()


def test_a_bank_larger_than_the_memory_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_bank, "available_bytes", lambda: 10_000)
    with pytest.raises(UsageError, match=r"weight bank: 7 blocks take .* accepted: a lower"):
        trained(tmp_path)


def test_wrapped_banks_are_trained(tmp_path):
    wrapped = trained(tmp_path, NoisyConfig(CONFIG))
    assert wrapped.evaluator.bank == str(tmp_path / "weight-bank.npz")
    assert BankFile(tmp_path / "weight-bank.npz").finished


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score": "training-likelihood"}, "score = 'training-likelihood'; accepted: accuracy"),
        ({"sampling": "greedy"}, "sampling = 'greedy'; accepted: fair, uniform"),
        ({"program": "whole"}, "program = 'whole'; accepted: blocks"),
        ({"seed": -1}, "seed = -1"),
        ({"measure_latency": True}, "measure_latency = True; accepted: False"),
        ({"inherit": "bank.npz"}, r"inherit = '.*bank\.npz'; accepted: None"),
        (
            {"training": dataclasses.replace(TRAINING, ema_decay=0.9)},
            r"ema_decay = 0\.9; accepted: 0 for a weight bank",
        ),
    ],
)
def test_settings_that_no_bank_has_are_rejected(settings, message):
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(CONFIG, **settings)


@pytest.mark.parametrize("sampling", ["fair", "uniform"])
def test_sampled_networks_depend_on_seed_and_step(sampling):
    space = EfficientNetSpace(resolution=32, classes=10).build()
    first = [sampled_network(space, sampling, 0, step) for step in range(20)]
    assert [sampled_network(space, sampling, 0, step) for step in range(20)] == first
    assert [sampled_network(space, sampling, 1, step) for step in range(20)] != first
    assert len({network.canonical_hash() for network in first}) == 20


def test_fair_networks_have_each_choice_equally_often():
    space = TinySpace().build()
    kernels = [sampled_network(space, "fair", 0, step).blocks[1].kernel for step in range(40)]
    assert all(set(kernels[step : step + 2]) == {3, 5} for step in range(0, 40, 2))
    uniform = [sampled_network(space, "uniform", 0, step).blocks[1].kernel for step in range(40)]
    assert 5 < np.sum(np.equal(uniform, 3)) < 35
    assert not all(set(uniform[step : step + 2]) == {3, 5} for step in range(0, 40, 2))
