"""Settings of proxies by name: what they keep of the evaluator's, flags, unknown names."""

import dataclasses

import pytest

from mnas.cli.named_experiment import exchange, parts_description
from mnas.data.images import DataConfig
from mnas.errors import UsageError
from mnas.evaluation import unwrapped
from mnas.evaluators.bank_zero_cost import BankZeroCostConfig
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.presets import PRESETS, with_recipe
from mnas.evaluators.proxy import ProxyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.weight_bank import WeightBankConfig
from mnas.experiment import registry
from mnas.training.config import TrainingConfig
from mnas.training.recipes import RECIPES
from tests.evaluators.test_proxy import TINY

OWN = ProxyConfig(
    data=DataConfig(source="digits", split_seed=5, validation=40, feeding="stream"),
    training=TrainingConfig(precision="bfloat16"),
    latency_table="/table.json",
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_keeps_images_precision_and_latency_table(name):
    found = with_recipe(OWN, name)
    preset = PRESETS[name].config
    kinds = {"bank": WeightBankConfig, "bank-naswot": BankZeroCostConfig}
    assert type(found) is kinds.get(name, ProxyConfig)
    assert (found.data.source, found.data.split_seed, found.data.feeding) == ("digits", 5, "stream")
    assert found.data.train_images == preset.data.train_images
    assert found.data.validation == (0.04 if name in kinds else 0.1)
    assert (found.training.precision, found.latency_table) == ("bfloat16", "/table.json")
    assert dataclasses.replace(found.training, precision="auto") == preset.training
    assert (found.width, found.score) == (preset.width, "likelihood")


def test_presets_are_ordered_by_the_images_of_a_child():
    images = [
        preset.config.data.train_images * preset.config.training.epochs
        for name, preset in PRESETS.items()
        if name.startswith("proxy-")
    ]
    assert images == [7_500, 22_500, 45_000]


def test_a_preset_within_a_wrapper_and_from_another_evaluator():
    assert with_recipe(NoisyConfig(OWN), "bank") == NoisyConfig(with_recipe(OWN, "bank"))
    assert with_recipe(WeightBankConfig(), "proxy-10s") == with_recipe(ProxyConfig(), "proxy-10s")


def test_a_recipe_of_whole_networks_sets_the_training_only():
    found = with_recipe(OWN, "cifar")
    training = dataclasses.replace(RECIPES["cifar"].config, precision="bfloat16")
    assert found == dataclasses.replace(OWN, training=training)


def test_a_child_is_trained_by_a_preset():
    config = with_recipe(dataclasses.replace(OWN, latency_table=None), "proxy-10s")
    config = dataclasses.replace(
        config, training=dataclasses.replace(config.training, precision="float32")
    )
    config.check(TINY)
    assert 0.1 < config.build()(TINY, 0).accuracy < 1


@pytest.mark.parametrize("words", ["--recipe bank", "--recipe=bank"])
def test_searches_take_presets_and_their_flags_override_them(words):
    digits = registry.load_experiment("digits")
    flags = f"--seed 1 {words} --evaluator.width 1".split()
    found, rest = exchange(digits, flags)
    assert found.evaluator == with_recipe(digits.evaluator, "bank")
    assert rest == ["--seed", "1", "--evaluator.width", "1"]
    noisy, _ = exchange(digits, ["--recipe", "proxy-30s", "--evaluator", "noisy"])
    assert unwrapped(noisy.evaluator) == with_recipe(digits.evaluator, "proxy-30s")
    assert "proxy-60s, short training, about 60 CPU-seconds" in parts_description()


@pytest.mark.parametrize(
    ("evaluator", "name", "message"),
    [
        (OWN, "proxy-20s", "unknown recipe 'proxy-20s'; did you mean proxy-"),
        (OWN, "", "unknown recipe ''"),
        (SurrogateConfig(), "bank", "recipe = 'bank' with SurrogateConfig, which trains nothing"),
        (NoisyConfig(), "cifar", "recipe = 'cifar' with SurrogateConfig, which trains nothing"),
    ],
)
def test_unknown_names_and_evaluators_that_train_nothing_are_rejected(evaluator, name, message):
    with pytest.raises(UsageError, match=message):
        with_recipe(evaluator, name)
