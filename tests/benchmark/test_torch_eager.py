"""The PyTorch peer, where there is one: the same networks as ours, and their loss falls."""

import ast
import sys

import pytest

from mnas.benchmark import processes
from mnas.benchmark.children import b0, description, random_children, write_images


@pytest.mark.parametrize(
    ("file", "libraries"), [("worker.py", set()), ("torch_eager.py", {"numpy", "torch"})]
)
def test_it_needs_nothing_of_ours(file, libraries):
    imported = set()
    for node in ast.walk(ast.parse((processes.HERE / file).read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported <= libraries | set(sys.stdlib_module_names)


@pytest.mark.slow
def test_it_builds_the_networks_of_ours_and_trains_them(tmp_path):
    pytest.importorskip("torch")
    from mnas.benchmark.contenders import torch_eager

    write_images(tmp_path / "images.npz", 320, 30, 32, seed=0)
    training = {
        **{"epochs": 1, "batch_size": 16, "learning_rate": 5e-4, "warmup_epochs": 0.5},
        **{"rms_decay": 0.9, "momentum": 0.9, "epsilon": 1e-3, "weight_decay": 1e-5},
        "label_smoothing": 0.1,
    }
    job = {"images": str(tmp_path / "images.npz"), "training": training}
    side = torch_eager.Side({**job, "threads": 1, "compiled": False})
    for child in (b0(32), *random_children(3, 32, seed=0)):
        assert side.build(description(child)) == description(child)["params"]
        first = side.step().item()
        for _ in range(20):
            loss = side.step()
        assert loss.item() < first
    assert 0 <= side.train(description(child))["accuracy"] <= 1
