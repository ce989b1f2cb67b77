"""Children and weight banks that learn a teacher's class probabilities in place of labels."""

import dataclasses

import jax
import numpy as np
import pytest

import mnas
from mnas.controllers.random_search import RandomSearch
from mnas.data.feeds import Feeding
from mnas.data.images import DataConfig, load
from mnas.data.teacher import TaughtFeed, Teacher
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.preparation.evaluator import prepared
from mnas.reward import RewardConfig
from mnas.training import blockwise
from mnas.training.config import TrainingConfig
from tests.evaluators.test_proxy import TINY
from tests.training.banks import SMALL, TRAINING, TinySpace

DATA = DataConfig(train_images=64, validation=40)
CONFIG = ProxyConfig(DATA, TrainingConfig(epochs=2, batch_size=16, flip=True, crop_padding=1))
INLINE = EngineConfig(kind="inline")


def write_teacher(path, kind: str) -> str:
    """Write 'labels' as probabilities, or 'uniform' ones, of all training digits."""
    images = load(DATA, 8)
    labels = images.source.train.labels
    rows = {"labels": np.eye(10)[labels], "uniform": np.full((len(labels), 10), 0.1)}[kind]
    Teacher(path, rows.astype(np.float32), images.source.digest()).write()
    return str(path)


def test_a_teacher_that_is_sure_of_the_labels_changes_nothing(tmp_path):
    config = dataclasses.replace(CONFIG, score="likelihood")
    taught = dataclasses.replace(config, teacher=write_teacher(tmp_path / "t.npz", "labels"))
    assert taught.build()(TINY, 3).accuracy == config.build()(TINY, 3).accuracy


def weights(rows: np.ndarray | None, program: str) -> list[jax.Array]:
    """Return the weights of a child that learned rows of probabilities; None: labels."""
    images = load(DATA, TINY.resolution)
    feed = Feeding.of(DATA, images).feed(images.train)
    taught = feed if rows is None else TaughtFeed(feed, rows)
    result = blockwise.train(TINY, taught, CONFIG.training, 3, program=program)
    return jax.tree.leaves(result.variables)


def test_weights_by_certain_probabilities_are_those_by_labels_of_either_program():
    certain = np.eye(10, dtype=np.float32)[load(DATA, 8).train.labels]
    uncertain = np.random.default_rng(0).dirichlet(np.ones(10), 64).astype(np.float32)
    by_program = {}
    for program in ("blocks", "whole"):
        by_labels = weights(None, program)
        for one, other in zip(weights(certain, program), by_labels, strict=True):
            np.testing.assert_array_equal(one, other)
        by_program[program] = weights(uncertain, program)
        pairs = zip(by_program[program], by_labels, strict=True)
        assert max(abs(one - other).max() for one, other in pairs) > 1e-3
    # Programs differ in rounding.
    for one, other in zip(by_program["blocks"], by_program["whole"], strict=True):
        np.testing.assert_allclose(one, other, atol=5e-5)


def test_children_learn_the_probabilities_and_are_scored_by_labels(tmp_path):
    path = write_teacher(tmp_path / "t.npz", "uniform")
    training = dataclasses.replace(CONFIG.training, epochs=10)
    config = ProxyConfig(DATA, training, teacher=path, score="training-likelihood")
    # Uniform probabilities: no loss is below log 10.
    assert config.build()(TINY, 3).accuracy <= 0.1 + 1e-6
    by_labels = dataclasses.replace(config, teacher=None)
    assert by_labels.build()(TINY, 3).accuracy > 0.1
    evaluation = dataclasses.replace(config, score="accuracy").build()(TINY, 3)
    assert evaluation.accuracy * 40 == pytest.approx(round(evaluation.accuracy * 40))


def test_children_with_a_teacher_compile_nothing_after_their_programs(tmp_path):
    path = write_teacher(tmp_path / "t.npz", "uniform")
    network = TINY.replace(stem=12)  # of no other test
    config = dataclasses.replace(CONFIG, teacher=path, program="blocks")
    evaluator = config.build()
    evaluator.compile_batches(network)
    for index in range(3):
        evaluator.compile_block(network, index)
    assert evaluator(network, 0).timings["compiles"] == 0


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_images_are_rejected(mix):
    training = dataclasses.replace(CONFIG.training, **{mix: 0.2})
    with pytest.raises(UsageError, match=f"{mix} = 0.2; accepted: 0 with a teacher"):
        ProxyConfig(DATA, training, teacher="t.npz")


def test_a_wrong_file_is_found_before_a_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(CONFIG, teacher="t.npz")
    assert config.teacher == str(tmp_path / "t.npz")  # resumed from any directory
    with pytest.raises(UsageError, match="no such file"):
        config.check(TINY)
    Teacher(tmp_path / "t.npz", np.full((3, 10), 0.1, np.float32), "another").write()
    with pytest.raises(UsageError, match="probabilities of 3 images in 10 classes"):
        config.check(TINY)
    write_teacher(tmp_path / "t.npz", "labels")
    config.check(TINY)


def experiment(evaluator) -> Experiment:
    return Experiment(
        name="tiny",
        space=TinySpace(),
        controller=RandomSearch(),
        evaluator=evaluator,
        reward=RewardConfig(target_madds=1e5),
        search=SearchConfig(trials=2, batch=1),
        engine=INLINE,
    )


def test_a_search_is_not_resumed_with_another_teacher(tmp_path):
    config = dataclasses.replace(
        CONFIG,
        data=DataConfig(train_images=32, validation=40),
        training=dataclasses.replace(TRAINING, epochs=1),
        teacher=write_teacher(tmp_path / "t.npz", "labels"),
    )
    first = mnas.search(experiment(config), tmp_path / "run")
    assert [result.error for result in first.results] == [None] * 2
    write_teacher(tmp_path / "t.npz", "uniform")
    with pytest.raises(UsageError, match="teacher"):
        mnas.search(experiment(config), tmp_path / "run")


def test_banks_learn_the_probabilities_and_keep_to_their_teacher(tmp_path):
    path = write_teacher(tmp_path / "t.npz", "uniform")
    config = WeightBankConfig(
        data=DATA, training=dataclasses.replace(TRAINING, epochs=1), teacher=path
    )
    losses = []

    def observe(done, total, line):
        if "loss" in line:
            losses.append(float(line.rpartition(" ")[2]))

    bank = prepared(config, TinySpace(), tmp_path, INLINE, observe)
    assert min(losses) >= np.log(10) - 1e-3
    network = SMALL
    assert 0 <= bank.build()(network, 0).accuracy <= 1
    with pytest.raises(UsageError, match="weight bank of other settings: teacher was"):
        dataclasses.replace(bank, teacher=None).build()(network, 0)
