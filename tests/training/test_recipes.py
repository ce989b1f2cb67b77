"""Recipes: published settings, and learning rates that follow the batch size."""

import pytest

from mnas.errors import UsageError
from mnas.training.config import TrainingConfig, learning_rate
from mnas.training.recipes import RECIPES, find_recipe


def test_efficientnet_has_the_published_settings():
    config = find_recipe("efficientnet").config
    assert (config.batch_size, config.learning_rate) == (256, 0.016)
    assert (config.epochs, config.warmup_epochs) == (350, 5)
    assert (config.rms_decay, config.momentum, config.epsilon) == (0.9, 0.9, 1e-3)
    assert (config.weight_decay, config.ema_decay, config.label_smoothing) == (1e-5, 0.9999, 0.1)
    assert (config.dropout, config.drop_path) == (0.2, 0.2)
    assert (config.flip, config.random_crop, config.randaugment) == (True, 0.08, 2)
    # 0.97 every 2.4 epochs: 12 epochs are five decays.
    assert learning_rate(config, 1200, 100) == pytest.approx(0.016 * 0.97**5)
    assert learning_rate(config, 0, 100) == pytest.approx(0.016 / 500)


def test_learning_rate_is_proportional_to_the_batch_size():
    recipe = find_recipe("efficientnet")
    assert recipe.for_batches_of(4096).learning_rate == pytest.approx(0.256)
    assert recipe.for_batches_of(256) == recipe.config


def test_proxy_settings_are_those_of_a_child_and_not_scaled():
    recipe = find_recipe("proxy")
    assert recipe.config == TrainingConfig(epochs=30)
    assert recipe.for_batches_of(512) == TrainingConfig(epochs=30, batch_size=512)


def test_unknown_recipe_names_those_there_are():
    with pytest.raises(UsageError, match=f"unknown recipe 'x'; accepted: {', '.join(RECIPES)}"):
        find_recipe("x")
