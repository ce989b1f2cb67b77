"""The experiment on CIFAR-10: its constants, its images, complete searches of tiny ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from mnas.__main__ import main
from mnas.api.run import load_run
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import multiply
from mnas.experiments.cifar10 import B0_MADDS, EXPERIMENT
from tests.registered import register
from tests.training.banks import TinySpace

# Expand ratio, kernel, stride and layers of B0's stages (arXiv 1905.11946, Table 1), and half of
# their filters, 16, 24, 40, 80, 112, 192, 320, as multiples of 8 that are at most 10% below it.
B0_STAGES = (
    (1, 3, 1, 1, 8),
    (6, 3, 2, 2, 16),
    (6, 5, 2, 2, 24),
    (6, 3, 2, 3, 40),
    (6, 5, 1, 3, 56),
    (6, 5, 2, 4, 96),
    (6, 3, 1, 1, 160),
)
FLAGS = (
    *("--space", "tiny", "--engine.kind", "inline", "--search.trials", "4", "--search.batch", "2"),
    *("--evaluator.training.epochs", "2", "--evaluator.training.batch-size", "16"),
)


def b0_mult_adds() -> int:
    """Count mult-adds of B0 of half the width at 32 pixels, stem of stride 1, layer by layer."""
    pixels, filters = 32 * 32, 16
    total = pixels * 3 * 3 * 3 * filters
    for expand_ratio, kernel, stride, layers, out in B0_STAGES:
        for layer in range(layers):
            expanded = filters * expand_ratio
            if expand_ratio > 1:
                total += pixels * filters * expanded
            if layer == 0:
                pixels //= stride**2
            total += pixels * kernel**2 * expanded
            total += 2 * expanded * (filters // 4)  # squeeze-and-excitation
            total += pixels * expanded * out
            filters = out
    return total + pixels * filters * 640 + 640 * 10


def test_target_is_b0_s_mult_adds_in_this_space():
    space = EXPERIMENT.space.build()
    b0 = PUBLISHED["efficientnet-b0"].for_images_of(space.decode([0] * len(space.sizes)))
    b0 = multiply(b0, width=0.5)
    assert space.decode(space.encode(b0)).canonical_hash() == b0.canonical_hash()
    assert network_cost(b0).mult_adds == b0_mult_adds() == B0_MADDS
    assert (EXPERIMENT.reward.target_madds, EXPERIMENT.reward.w) == (B0_MADDS, -0.07)
    assert EXPERIMENT.reference == "efficientnet-b0"


@pytest.mark.parametrize("flags", [[], ["--space.classes", "10"], ["--recipe", "proxy-30s"]])
def test_search_without_images_ends_in_one_line(flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["search", "cifar10", *flags]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "no images are named; accepted: --data with" in err
    assert "a .npz file" in err and "CIFAR's binary" in err
    assert not any(tmp_path.iterdir())


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Images of three classes, and a space of networks that are trained in seconds."""
    register(monkeypatch, "space", "tiny", TinySpace)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (100, 8, 8, 3), np.uint8)
    np.savez("x.npz", x_train=pixels, y_train=np.arange(100) % 3)


def scores(directory: str) -> dict[str, float]:
    results = load_run(directory).results
    assert len(results) == 4 and not any(result.error for result in results)
    return {result.hash: result.accuracy for result in results}


def test_searches_share_a_bank_and_differ_in_the_controller_alone(tiny, capsys):
    assert main(["search", "cifar10", "--data", "x.npz", "--out", "dyna", *FLAGS]) == 0
    assert "of the weight bank" in capsys.readouterr().err
    words = ["--controller", "random", "--evaluator.bank", "dyna/weight-bank.npz"]
    assert main(["search", "cifar10", "--data", "x.npz", "--out", "random", *words, *FLAGS]) == 0
    assert not Path("random/weight-bank.npz").exists()
    dyna, random = scores("dyna"), scores("random")
    assert (common := dyna.keys() & random.keys())
    assert all(dyna[network] == random[network] for network in common)
    best = json.loads(Path("dyna/best.json").read_text())
    assert best["classes"] == 3  # of the images
    settings = json.loads(Path("random/experiment.json").read_text())
    assert settings["kinds"]["controller"] == "RandomSearch"
    assert settings["evaluator"]["data"]["source"] == str(Path("x.npz").absolute())
    assert settings["search"]["selection"] == "model"
