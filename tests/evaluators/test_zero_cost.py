"""Scores without training as an evaluator: mapping to accuracies, seeds, images, mistakes."""

import dataclasses
import json

import numpy as np
import pytest

import mnas
from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controllers.random_search import RandomSearch
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluators.zero_cost import ZeroCostConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.testing import check_evaluator
from tests.training.banks import TinySpace

TINY = Architecture(
    (Block(kernel=3, stride=2, filters=8),),
    resolution=8,
    stem=8,
    head=8,
    classes=10,
    activation="relu",
)
DATA = DataConfig(train_images=64, validation=64)
CONFIG = ZeroCostConfig(data=DATA, score="synflow", images=8)


@pytest.mark.parametrize("score", ["synflow", "naswot", "grad-norm"])
def test_conforms(score):
    check_evaluator(dataclasses.replace(CONFIG, score=score), TINY)


def test_accuracies_are_between_0_and_1_and_rise_with_the_score():
    config = ZeroCostConfig(mean=100.0, std=2.0)
    scores = [-1e6, 0.0, 98.0, 99.999, 100.0, 102.0, 1e3, 1e6]
    found = [config.accuracy(score) for score in scores]
    assert found == sorted(set(found)) and found[0] > 0 and found[-1] < 1
    assert config.accuracy(100.0) == 0.5
    # Better by one standard deviation: ½ · (1 + 0.0205 / 1.0205).
    assert config.accuracy(102.0) == pytest.approx(0.5100441, abs=1e-7)


def test_evaluation_has_the_score_and_its_mapping():
    evaluation = CONFIG.build()(TINY, 0)
    score = evaluation.timings["score"]
    assert [score] == CONFIG.build().scores(TINY, 0)
    assert evaluation.accuracy == CONFIG.accuracy(score)
    assert evaluation.timings["cpu_seconds"] > 0 and evaluation.epochs == 0


def test_repeats_are_averaged_over_weights_and_images():
    config = dataclasses.replace(CONFIG, score="naswot", repeats=3)
    evaluator = config.build()
    scores = evaluator.scores(TINY, 5)
    assert len(set(scores)) == 3
    assert evaluator(TINY, 5).timings["score"] == pytest.approx(np.mean(scores), rel=1e-12)
    batches = [evaluator.batch(TINY, repeat)[0] for repeat in range(3)]
    assert not (batches[0] == batches[1]).all() and not (batches[1] == batches[2]).all()


def test_seeds_differ_in_weights_and_not_in_images(monkeypatch):
    evaluator = dataclasses.replace(CONFIG, score="naswot").build()
    assert evaluator(TINY, 0).accuracy != evaluator(TINY, 1).accuracy
    batches = []
    monkeypatch.setattr(
        "mnas.evaluators.zero_cost.score_network",
        lambda *arguments: batches.append(arguments[3:]) or 1.0,
    )
    evaluator(TINY, 2), CONFIG.build()(TINY, 3)
    for first, second in zip(*batches, strict=True):
        np.testing.assert_array_equal(first, second)


def test_check_rejects_networks_before_a_search():
    CONFIG.check(TINY)
    with pytest.raises(UsageError, match=r"classes = 7, and digits has 10"):
        CONFIG.check(TINY.replace(classes=7))
    single = dataclasses.replace(CONFIG, data=dataclasses.replace(DATA, train_images=1))
    with pytest.raises(UsageError, match=r"train_images = 1; accepted: 2 or more"):
        single.check(TINY)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"score": "jacobian"}, "score = 'jacobian'; accepted: synflow, naswot, grad-norm"),
        ({"images": 1}, "images = 1"),
        ({"images": 5_000}, "images = 5000"),
        ({"repeats": 0}, "repeats = 0"),
        ({"mean": np.nan}, "mean = nan"),
        ({"std": 0.0}, "std = 0"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UsageError, match=f"zero-cost: {message}"):
        ZeroCostConfig(**settings)


def test_a_search_maximises_the_score(tmp_path):
    experiment = Experiment(
        name="tiny",
        space=TinySpace(),
        controller=RandomSearch(),
        evaluator=CONFIG,
        reward=RewardConfig(w=0.0),
        search=SearchConfig(trials=6, batch=2, seed=0),
        engine=EngineConfig(kind="inline"),
    )
    run = mnas.search(experiment, tmp_path / "run")
    assert [result.error for result in run.results] == [None] * 6
    best = json.loads((tmp_path / "run" / "best.json").read_text())["search"]
    accuracies = {result.accuracy for result in run.results}
    assert best["accuracy"] == max(accuracies) > min(accuracies)
