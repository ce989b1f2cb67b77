"""Weight bank and score at initialisation together: scale, resumption, wrong files and settings."""

import dataclasses
import json
import math

import numpy as np
import pytest

import mnas
from mnas.controllers.random_search import RandomSearch
from mnas.data.images import DataConfig
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluators import bank_zero_cost
from mnas.evaluators.bank_zero_cost import BankZeroCostConfig
from mnas.evaluators.standard_scores import accuracy_of
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.experiment.settings import Experiment
from mnas.loop.config import SearchConfig
from mnas.preparation.evaluator import prepared
from mnas.reward import RewardConfig
from mnas.testing import check_evaluator
from mnas.training.weight_bank import BankFile
from tests.training.banks import BOTH, DEEP, LARGE_KERNEL, SMALL, TRAINING, TinySpace

CONFIG = BankZeroCostConfig(
    data=DataConfig(train_images=96, validation=100),
    training=TRAINING,
    zero_cost="synflow",
    standard_networks=12,
)
NETWORKS = (SMALL, LARGE_KERNEL, DEEP, BOTH)
INLINE = EngineConfig(kind="inline")


def made(directory, config=CONFIG, observe=lambda *progress: None):
    return prepared(config, TinySpace(), directory, INLINE, observe)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """The configuration with a trained bank and a scale."""
    return made(tmp_path_factory.mktemp("bank"))


def test_conforms(ready):
    check_evaluator(ready, DEEP)


def test_accuracies_are_of_the_mean_of_standardised_scores(ready):
    file = json.loads(ready.scale_path().read_text())
    pairs = np.array(file["scores"])
    assert pairs.shape == (12, 2)
    standard = (pairs - pairs.mean(0)) / pairs.std(0)
    spread = standard.sum(1).std()
    evaluate = ready.build()
    of_bank = WeightBankConfig(
        data=ready.data, training=ready.training, score="likelihood", bank=ready.bank
    ).build()
    for network in NETWORKS:
        found = evaluate(network, 3)
        bank = math.log(of_bank(network, 0).accuracy)
        initial = ready.initial_score().build()(network, 0).timings["score"]
        assert [found.timings[name] for name in ("bank_score", "zero_cost_score")] == [
            pytest.approx(bank),
            pytest.approx(initial),
        ]
        z = (((bank, initial) - pairs.mean(0)) / pairs.std(0)).sum() / spread
        assert found.accuracy == pytest.approx(accuracy_of(z), abs=1e-9)
        # The random networks are the four of the space, so that each of these is among them.
        assert np.isclose(pairs, (bank, initial)).all(1).any()
    shared = (
        file["cpu_seconds"] + BankFile(ready.scale_path().with_name("weight-bank.npz")).cpu_seconds
    )
    assert found.timings["shared_cpu_seconds"] == pytest.approx(shared)


def test_spread_scales_accuracies(ready):
    twice = dataclasses.replace(ready, spread=2 * ready.spread).build()
    for network in NETWORKS:
        u = 2 * ready.build()(network, 0).accuracy - 1
        v = 2 * twice(network, 0).accuracy - 1
        assert v / (1 - abs(v)) == pytest.approx(2 * u / (1 - abs(u)))


def test_scoring_random_networks_goes_on_where_it_was_interrupted(ready, tmp_path, monkeypatch):
    whole = json.loads(ready.scale_path().read_text())["scores"]
    seen = []

    def interrupt(done, total, line):
        seen.append((done, total, line))
        if seen[-1] == (5, 12, "scores of random networks"):
            raise KeyboardInterrupt

    config = dataclasses.replace(CONFIG, bank=str(tmp_path / "weight-bank.npz"))
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, config, interrupt)
    assert len(json.loads(config.scale_path().read_text())["scores"]) == 5
    seen.clear()
    made(tmp_path, config, lambda *progress: seen.append(progress))
    assert [done for done, *_ in seen] == list(range(6, 13))
    assert json.loads(config.scale_path().read_text())["scores"] == whole
    # More networks begin with the same ones.
    made(tmp_path, dataclasses.replace(config, standard_networks=14))
    assert json.loads(config.scale_path().read_text())["scores"][:12] == whole


def test_a_search_by_both_scores(tmp_path):
    experiment = Experiment(
        name="tiny",
        space=TinySpace(),
        controller=RandomSearch(),
        evaluator=CONFIG,
        reward=RewardConfig(target_madds=1e5),
        search=SearchConfig(trials=6, batch=2, seed=0),
        engine=INLINE,
    )
    run = mnas.search(experiment, tmp_path / "run")
    assert [result.error for result in run.results] == [None] * 6
    assert (tmp_path / "run" / "weight-bank.synflow.json").exists()
    best = json.loads((tmp_path / "run" / "best.json").read_text())["search"]
    assert 0.4 < best["accuracy"] < 0.6
    scale = json.loads((tmp_path / "run" / "weight-bank.synflow.json").read_text())
    bank = BankFile(tmp_path / "run" / "weight-bank.npz")
    assert best["cpu_seconds_per_child"] > (bank.cpu_seconds + scale["cpu_seconds"]) / 4


def test_a_score_that_is_not_finite_fails_the_child_and_is_left_out_of_the_scale(
    ready, tmp_path, monkeypatch
):
    def overflow(config, original=bank_zero_cost.ZeroCostEvaluator.scores):
        def scores(self, network, seed):
            if network.blocks[1].repeats == 2:
                raise FloatingPointError("beyond the range")
            return original(self, network, seed)

        return scores

    monkeypatch.setattr(bank_zero_cost.ZeroCostEvaluator, "scores", overflow(CONFIG))
    config = made(tmp_path, dataclasses.replace(CONFIG, bank=str(tmp_path / "bank.npz")))
    scores = json.loads(config.scale_path().read_text())["scores"]
    assert 2 <= sum(score is not None for score in scores) < 12
    with pytest.raises(FloatingPointError, match=r"scores of .* are \(-\d\.\d+, nan\)"):
        config.build()(DEEP, 0)
    assert config.build()(SMALL, 0).error is None


def test_a_scale_of_other_settings_or_too_few_networks_is_rejected(ready, tmp_path):
    with pytest.raises(UsageError, match=r"score was 'likelihood' and is 'accuracy' now"):
        dataclasses.replace(ready, score="accuracy").build()
    with pytest.raises(UsageError, match="12 random networks have scores, not 13"):
        dataclasses.replace(ready, standard_networks=13).build()
    with pytest.raises(UsageError, match=r"naswot\.json can't be read"):
        dataclasses.replace(ready, zero_cost="naswot").build()


def test_check_rejects_networks_that_the_images_do_not_fit():
    CONFIG.check(DEEP)
    with pytest.raises(UsageError, match="classes = 7, and digits has 10"):
        CONFIG.check(DEEP.replace(classes=7))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zero_cost": "jacobian"}, "zero_cost = 'jacobian'; accepted: synflow, naswot"),
        ({"zero_cost_images": 1}, "zero_cost_images = 1"),
        ({"standard_networks": 1}, "standard_networks = 1"),
        ({"spread": 0.0}, "spread = 0"),
        ({"spread": 1.5}, r"spread = 1\.5"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(UsageError, match=f"bank-zero-cost: {message}"):
        dataclasses.replace(CONFIG, **settings)
