"""The Flax contender builds the same networks as mnas, and trains them."""

import dataclasses
import math

import jax
import pytest

from mnas.benchmark.children import b0, description, random_children, write_images
from mnas.benchmark.contenders import plain_flax
from mnas.training.config import TrainingConfig

CHILDREN = [b0(32), *random_children(3, 32, seed=0)]


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
def test_networks_have_our_number_of_params(child):
    described = description(child)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), "float32")
    model = plain_flax.network(described)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
    assert count == described["params"]


@pytest.mark.slow  # half a minute or more of compiling
def test_training_reduces_the_loss_and_reports_compiling(tmp_path):
    write_images(tmp_path / "images.npz", 320, 30, 32, seed=0)
    settings = dataclasses.asdict(TrainingConfig(epochs=1, batch_size=16))
    job = {"images": str(tmp_path / "images.npz"), "settings": settings}
    contender = plain_flax.Contender(job)
    (child,) = random_children(1, 32, seed=0)
    trained = contender.train(description(child))
    assert 0 <= trained["accuracy"] <= 1 and trained["compile_seconds"] > 0
    assert contender.build(description(child)) == description(child)["params"]
    first = float(contender.step())
    for _ in range(20):
        loss = contender.step()
    contender.wait(loss)
    assert float(loss) < first
