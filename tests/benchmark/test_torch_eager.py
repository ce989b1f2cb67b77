"""The PyTorch contender, where PyTorch is installed."""

import dataclasses

import pytest

from mnas.benchmark.children import b0, description, random_children, write_images
from mnas.training.config import TrainingConfig


@pytest.mark.slow
def test_builds_networks_with_our_params_and_reduces_their_loss(tmp_path):
    pytest.importorskip("torch")
    from mnas.benchmark.contenders.torch_eager import Contender

    write_images(tmp_path / "images.npz", 320, 30, 32, seed=0)
    settings = TrainingConfig(epochs=1, batch_size=16, learning_rate=5e-4)
    job = {"images": str(tmp_path / "images.npz"), "settings": dataclasses.asdict(settings)}
    contender = Contender({**job, "threads": 1, "compile": False})
    for child in (b0(32), *random_children(3, 32, seed=0)):
        assert contender.build(description(child)) == description(child)["params"]
        first = contender.step().item()
        for _ in range(20):
            loss = contender.step()
        assert loss.item() < first
    assert 0 <= contender.train(description(child))["accuracy"] <= 1
