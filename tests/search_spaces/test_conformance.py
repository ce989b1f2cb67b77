"""Every registered space satisfies the contract of `mnas.space`."""

import dataclasses

import numpy as np
import pytest

from mnas.search_spaces import MnasNetSpace
from mnas.testing import check_space
from tests.parts import registered

SPACES = registered("space")
CONFIGS = {
    **{name: config() for name, config in SPACES.items()},
    "mnasnet-published": MnasNetSpace(published_filters=True),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_spaces_conform(config):
    check_space(config.build())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_decision_has_at_least_two_choices(config):
    assert all(len(decision.choices) > 1 for decision in config.build().decisions)


@pytest.mark.parametrize("config", SPACES.values(), ids=SPACES)
def test_configurations_are_frozen_and_set_resolution_and_classes(config):
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().resolution = 1
    small = config(resolution=64, classes=10).build()
    architecture = small.decode(np.zeros(len(small.sizes), int))
    assert (architecture.resolution, architecture.classes) == (64, 10)
