"""Beside timm itself, live: logits both ways, and the networks that timm builds of our arch_def.

Slow, and only where MNAS_TIMM_PYTHON names an interpreter that has timm (`timm_peer.py`):

    MNAS_TIMM_PYTHON=~/torch/bin/python pytest -m slow tests/interchange
"""

import json
import os

import numpy as np
import pytest
from mnas.search_spaces import SPACES

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import TIMM
from mnas.architecture.text_forms import arch_def
from mnas.export.text import to_timm
from mnas.nn.weights import save_weights
from tests.interchange import weights_rule
from tests.interchange.parity import TOLERANCE, ask, compare, logits, rule_variables

PYTHON = os.environ.get("MNAS_TIMM_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="MNAS_TIMM_PYTHON names no interpreter with timm"),
]
RANDOM = 50


@pytest.mark.parametrize("model", TIMM)
def test_logits_agree_both_ways(model, tmp_path):
    row = compare(PYTHON, model, tmp_path)
    assert row.params == row.timm_params
    assert row.from_timm <= TOLERANCE
    assert row.to_timm <= TOLERANCE
    assert row.images > 10 * TOLERANCE


def expressible(name: str, count: int) -> list[Architecture]:
    """The first random networks of a space that timm has words for; what it hasn't is named."""
    space = SPACES[name](resolution=32, classes=10).build()
    rng, found = np.random.default_rng(0), []
    for _ in range(100_000):
        architecture = space.decode(space.sample(rng))
        try:
            arch_def(architecture)
        except ValueError as error:
            assert str(error).startswith("blocks[")
            assert str(error).count("\n") == 0
            continue
        found.append(architecture)
        if len(found) == count:
            return found
    raise AssertionError(f"{name}: {len(found)} of 100,000 networks have an arch_def")


@pytest.mark.parametrize("name", SPACES)
def test_timm_builds_random_networks_with_our_params(name):
    networks = expressible(name, RANDOM)
    jobs = [{"do": "build", "description": json.loads(to_timm(n))} for n in networks]
    built = [answer["params"] for answer in ask(PYTHON, jobs)]
    assert built == [network_cost(network).params for network in networks]


@pytest.mark.parametrize("name", SPACES)
def test_timm_loads_a_childs_weights_strictly(name, tmp_path):
    (architecture,) = expressible(name, 1)
    variables = rule_variables(architecture)
    save_weights(tmp_path / "child.safetensors", architecture, variables)
    images = weights_rule.images(2, architecture.resolution)
    np.save(tmp_path / "images.npy", images)
    job = {
        "do": "load",
        "description": json.loads(to_timm(architecture)),
        "weights": str(tmp_path / "child.safetensors"),
        "images": str(tmp_path / "images.npy"),
        "logits": str(tmp_path / "logits.npy"),
    }
    ask(PYTHON, [job])
    ours = logits(architecture, variables, images)
    theirs = np.load(tmp_path / "logits.npy")
    assert weights_rule.relative_difference(ours, theirs) <= TOLERANCE
