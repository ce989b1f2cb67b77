"""Children that start in blocks of a weight bank: weights, what is recorded, wrong banks."""

import dataclasses
import shutil
from pathlib import Path

import pytest

import mnas
from mnas.controllers.random_search import RandomSearch
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluation import SHARED_CPU_SECONDS
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.preparation.evaluator import prepared
from mnas.reward import RewardConfig
from mnas.testing import check_evaluator
from mnas.training.optimizer import Optimizer
from mnas.training.weight_bank import BankFile, WeightBank
from tests.training.banks import BOTH, DEEP, TRAINING, TinySpace

DATA = DataConfig(train_images=96, validation=100)
INLINE = EngineConfig(kind="inline")
BANK = WeightBankConfig(data=DATA, training=TRAINING)
SHORT = dataclasses.replace(TRAINING, epochs=1)
WIDER_HEAD = BOTH.replace(head=24)


def trained(directory, **settings):
    """Return the configuration of a trained bank, in `directory`."""
    return prepared(dataclasses.replace(BANK, **settings), TinySpace(), directory, INLINE)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("bank"))


def inheriting(bank, **settings):
    return ProxyConfig(data=DATA, inherit=bank.bank, **{"training": SHORT, **settings})


@pytest.mark.parametrize("program", ["blocks", "whole"])
def test_a_child_starts_with_the_weights_of_the_bank(bank, program):
    still = dataclasses.replace(SHORT, learning_rate=1e-30)
    score = dataclasses.replace(bank, score="likelihood").build()(BOTH, 0).accuracy
    config = inheriting(bank, training=still, program=program, score="likelihood")
    # The batches of calibration depend on the seed, which is the bank's here.
    assert config.build()(BOTH, bank.seed).accuracy == pytest.approx(score, rel=1e-5)
    afresh = dataclasses.replace(config, inherit=None).build()(BOTH, bank.seed).accuracy
    assert afresh != pytest.approx(score, rel=1e-2)


def test_a_child_may_have_fewer_images_than_its_bank(bank, tmp_path):
    everything = trained(tmp_path, data=dataclasses.replace(DATA, train_images=None))
    config = inheriting(everything)
    config.check(BOTH)
    assert config.build()(BOTH, 0).timings["new_blocks"] == 0
    another_split = dataclasses.replace(DATA, split_seed=1)  # holds out images of the bank
    with pytest.raises(UsageError, match="weight bank of other settings: data was"):
        dataclasses.replace(config, data=another_split).check(BOTH)
    unlimited = dataclasses.replace(DATA, train_images=None)
    with pytest.raises(UsageError, match="weight bank of other settings: data was"):
        dataclasses.replace(inheriting(bank), data=unlimited).check(BOTH)


def test_blocks_that_a_bank_lacks_are_counted(bank):
    evaluate = inheriting(bank).build()
    spent = BankFile(Path(bank.bank)).cpu_seconds
    for network, new in ((BOTH, 0), (WIDER_HEAD, 1)):
        timings = evaluate(network, 0).timings
        assert (timings["inherited_blocks"], timings["new_blocks"]) == (5 - new, new)
        assert timings[SHARED_CPU_SECONDS] == spent > 0
    without = ProxyConfig(data=DATA, training=SHORT).build()(BOTH, 0).timings
    assert not {"inherited_blocks", "new_blocks", SHARED_CPU_SECONDS} & without.keys()


def test_conforms_and_leaves_the_bank_as_it_is(bank):
    before = BankFile(Path(bank.bank)).digest()
    check_evaluator(inheriting(bank), DEEP)
    assert BankFile(Path(bank.bank)).digest() == before


def search(directory, bank, trials):
    experiment = Experiment(
        name="tiny",
        space=TinySpace(),
        controller=RandomSearch(),
        evaluator=inheriting(bank),
        reward=RewardConfig(target_madds=1e5),
        search=SearchConfig(trials=trials, batch=2),
        engine=INLINE,
    )
    run = mnas.search(experiment, directory)
    return [(result.hash, result.accuracy) for result in run.results]


def test_a_run_is_resumed_with_its_bank_only(bank, tmp_path):
    whole = search(tmp_path / "whole", bank, 6)
    moved = dataclasses.replace(bank, bank=shutil.copy(bank.bank, tmp_path / "moved.npz"))
    assert search(tmp_path / "run", moved, 2) == whole[:2]
    assert search(tmp_path / "run", bank, 6) == whole
    other = trained(tmp_path, seed=1)
    with pytest.raises(
        UsageError, match=r"content of evaluator\.inherit .* is not that of the run"
    ):
        search(tmp_path / "run", other, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0.5}, r"width was 1\.0 and is 0\.5"),
        ({"resolution": 8}, "resolution was None and is 8"),
        ({"data": DataConfig(train_images=95, validation=100)}, "data was"),
    ],
)
def test_a_bank_of_other_images_or_sizes_is_rejected_before_a_search(bank, settings, message):
    with pytest.raises(UsageError, match=f"weight bank of other settings: {message}"):
        dataclasses.replace(inheriting(bank), **settings).check(BOTH)


def test_a_bank_without_a_block_of_the_space_is_rejected_before_a_search(bank):
    other = BOTH.replace(activation="relu")
    with pytest.raises(
        UsageError, match=r"weight-bank\.npz has no block of .*; accepted: the weight"
    ):
        inheriting(bank).check(other)


def test_a_missing_damaged_or_unfinished_bank_is_rejected_before_a_search(bank, tmp_path):
    path = tmp_path / "bank.npz"
    config = inheriting(dataclasses.replace(bank, bank=str(path)))
    for content in (None, b"", b"PK\x03\x04", b"x" * 1000):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=r"bank\.npz can't be read as \.npz"):
            config.check(BOTH)
        with pytest.raises(UsageError, match=r"bank\.npz can't be read as \.npz"):
            config.contents()
    WeightBank(Optimizer(), 0).write(path, {}, 1)
    with pytest.raises(UsageError, match=r"bank\.npz is in training; accepted: a trained"):
        config.check(BOTH)
