"""Training of weight banks: equal to that of one child, resumption, divergence."""

import dataclasses

import jax
import numpy as np
import pytest

from mnas.errors import UsageError
from mnas.training import bank_training, blockwise
from mnas.training.child import Child
from mnas.training.optimizer import optimizer_of
from mnas.training.weight_bank import BankFile, WeightBank
from tests.training.banks import BOTH, TRAINING, feed, training


def trained(bank_in_training):
    for _ in bank_in_training.run():
        pass
    return bank_in_training


def test_a_bank_of_one_network_is_trained_as_the_network_is():
    optimizer = optimizer_of(TRAINING)
    start = WeightBank(optimizer, 5).states(BOTH)
    child = Child(BOTH, 5, optimizer, label_smoothing=TRAINING.label_smoothing, start=start)
    losses = [blockwise._train_epoch(child, feed(), TRAINING, 10, 5, e) for e in (1, 2, 3)]
    bank = trained(training(lambda step: BOTH, seed=5))
    jax.tree.map(np.testing.assert_array_equal, bank.bank.states(BOTH), child.states())
    assert bank.steps == bank.total == 12
    assert bank.loss == pytest.approx(np.mean(losses), rel=1e-6)


@pytest.mark.parametrize("stop", [1, 4, 6, 11])
def test_a_resumed_training_reaches_the_same_bank(tmp_path, monkeypatch, stop):
    monkeypatch.setattr(bank_training, "CHECKED_STEPS", 1)
    config = dataclasses.replace(TRAINING, drop_path=0.2)
    whole = trained(training(config=config))
    whole.write(tmp_path / "whole", {})
    first = training(config=config)
    steps = first.run()
    while next(steps) < stop:
        pass
    first.write(tmp_path / "part", {})
    next(steps, None)  # lost
    second = training(file=BankFile(tmp_path / "part"), config=config)
    assert second.steps == stop
    trained(second).write(tmp_path / "part", {})
    resumed, expected = BankFile(tmp_path / "part"), BankFile(tmp_path / "whole")
    assert resumed.digest() == expected.digest()
    assert resumed.finished


def test_processor_time_is_that_of_all_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(bank_training, "CHECKED_STEPS", 1)
    first = training()
    next(first.run())
    spent = first.cpu_seconds
    assert spent > 0
    first.bank.write(tmp_path / "part", {}, 1, cpu_seconds=100.0)
    second = trained(training(file=BankFile(tmp_path / "part")))
    second.write(tmp_path / "part", {})
    assert 100 < BankFile(tmp_path / "part").cpu_seconds <= second.cpu_seconds < 200


def test_a_loss_that_is_not_finite_ends_the_training():
    config = dataclasses.replace(TRAINING, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(FloatingPointError, match=r"step \d+ of the weight bank"):
        trained(training(config=config))


def test_averages_of_weights_are_rejected():
    with pytest.raises(UsageError, match=r"ema_decay = 0\.9 for a weight bank; accepted: 0"):
        training(config=dataclasses.replace(TRAINING, ema_decay=0.9))


def test_images_of_another_resolution_are_rejected():
    with pytest.raises(ValueError, match="resolution 8; accepted: 16"):
        training(lambda step: BOTH.replace(resolution=16))
