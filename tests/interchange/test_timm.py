"""Comparison with timm itself: logits in both directions, and networks built from our arch_def.

Slow, and skipped unless MNAS_TIMM_PYTHON names an interpreter that has timm (`timm_peer.py`):

    MNAS_TIMM_PYTHON=~/torch/bin/python pytest -m slow tests/interchange
"""

import json
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import TIMM
from mnas.architecture.text_forms import arch_def, from_arch_def
from mnas.errors import UsageError
from mnas.export.text import to_timm
from mnas.nn.weights import save_weights
from mnas.training.initial import initial_weights
from mnas.training.transfer import TransferConfig
from tests.interchange import weights_rule
from tests.interchange.parity import TOLERANCE, ask, compare, logits, rule_variables
from tests.parts import registered

SPACES = registered("space")

PYTHON = os.environ.get("MNAS_TIMM_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="MNAS_TIMM_PYTHON names no interpreter with timm"),
]
RANDOM = 50


@pytest.mark.parametrize("model", TIMM)
def test_logits_agree_in_both_directions(model, tmp_path):
    row = compare(PYTHON, model, tmp_path)
    assert row.params == row.timm_params
    assert row.from_timm <= TOLERANCE
    assert row.to_timm <= TOLERANCE
    assert row.images > 10 * TOLERANCE


def networks_with_arch_def(name: str, count: int) -> list[Architecture]:
    """Return the first random networks of a space that timm can represent."""
    space = SPACES[name](resolution=32, classes=10).build()
    rng, networks = np.random.default_rng(0), []
    for _ in range(100_000):
        architecture = space.decode(space.sample(rng))
        try:
            arch_def(architecture)
        except UsageError as error:
            assert str(error).startswith("blocks[")
            assert str(error).count("\n") == 0
            continue
        networks.append(architecture)
        if len(networks) == count:
            return networks
    raise AssertionError(f"{name}: {len(networks)} of 100,000 networks have an arch_def")


@pytest.mark.parametrize("name", SPACES)
def test_timm_builds_random_networks_with_the_same_params(name):
    networks = networks_with_arch_def(name, RANDOM)
    jobs = [{"do": "build", "description": json.loads(to_timm(n))} for n in networks]
    built = [answer["params"] for answer in ask(PYTHON, jobs)]
    assert built == [network_cost(network).params for network in networks]


@pytest.mark.parametrize("name", SPACES)
def test_timm_loads_a_childs_weights_strictly(name, tmp_path):
    (architecture,) = networks_with_arch_def(name, 1)
    assert_loaded_strictly(architecture, tmp_path)


def test_timm_loads_weights_of_stages_of_several_strings_strictly(tmp_path):
    # As in Single-Path NAS, arXiv 1904.02877.
    stages = [
        ["ds_r1_k3_s1_c16_noskip"],
        ["ir_r1_k5_s2_e6_c40", "ir_r3_k3_s1_e3_c40"],
        ["ir_r1_k5_s2_e6_c80", "ir_r3_k3_s1_e3_c80_se0.25"],
        ["ir_r1_k3_s1_e6_c96_noskip"],
    ]
    assert_loaded_strictly(from_arch_def(stages, resolution=32, classes=10), tmp_path)


def assert_loaded_strictly(architecture: Architecture, tmp_path: Path) -> None:
    """Check that timm loads our weights strictly and computes the same logits."""
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
    computed = logits(architecture, variables, images)
    expected = np.load(tmp_path / "logits.npy")
    assert weights_rule.relative_difference(computed, expected) <= TOLERANCE


def test_timms_weights_start_a_training_with_other_classes(tmp_path):
    files = {name: str(tmp_path / name) for name in ("images", "logits", "weights")}
    np.save(f"{files['images']}.npy", weights_rule.images(1, 32))
    job = {"do": "fill", "model": "mobilenetv2_050", **files, "images": f"{files['images']}.npy"}
    ask(PYTHON, [job])
    architecture = TIMM["mobilenetv2_050"].replace(resolution=32, classes=10)
    initial = initial_weights(TransferConfig(files["weights"]), architecture, seed=0)
    assert initial.new == ("classifier.bias", "classifier.weight")
    assert initial.classes == 1000
    expected = rule_variables(architecture)
    for variables in (initial.variables, expected):
        variables["head"]["params"] = {**variables["head"]["params"], "kernel": 0, "bias": 0}
    jax.tree.map(np.testing.assert_array_equal, initial.variables, expected)
