"""The Flax peer builds the same networks as we do, and trains them."""

import math

import jax
import pytest

from mnas.benchmark.children import b0, description, random_children, write_images
from mnas.benchmark.contenders import plain_flax
from mnas.nn.network import count_params, variable_shapes
from mnas.training.config import TrainingConfig

CHILDREN = [b0(32), *random_children(3, 32, seed=0)]


@pytest.mark.parametrize("child", CHILDREN, ids=lambda child: child.name)
def test_it_has_the_parameters_of_ours(child):
    described = description(child)
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), "float32")
    model = plain_flax.network(described)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
    assert count == count_params(variable_shapes(child)) == described["params"]


@pytest.mark.slow  # half a minute or more of compiling
def test_it_trains_and_is_timed(tmp_path):
    write_images(tmp_path / "images.npz", 320, 30, 32, seed=0)
    training = TrainingConfig(epochs=1, batch_size=16)
    settings = {name: getattr(training, name) for name in training.__dataclass_fields__}
    side = plain_flax.Side({"images": str(tmp_path / "images.npz"), "training": settings})
    (child,) = random_children(1, 32, seed=0)
    trained = side.train(description(child))
    assert 0 <= trained["accuracy"] <= 1 and trained["compile_seconds"] > 0
    assert side.build(description(child)) == description(child)["params"]
    first = float(side.step())
    for _ in range(20):
        loss = side.step()
    side.wait(loss)
    assert float(loss) < first
