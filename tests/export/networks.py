"""Small networks that between them have every block, skip connection, activation and padding."""

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from tests.interchange import weights_rule

NETWORKS = {
    architecture.name: architecture
    for architecture in (
        Architecture(
            (
                Block(kernel=3, stride=1, filters=8, se_ratio=0.25),
                Block(kernel=5, stride=2, filters=16, expand_ratio=3, repeats=2, se_ratio=0.25),
                Block(kernel=3, stride=2, filters=16, expand_ratio=3, repeats=2, skip="pool"),
            ),
            resolution=20,
            stem=8,
            head=16,
            classes=4,
            name="mbconv",
        ),
        Architecture(
            (
                Block(op="conv", kernel=3, stride=1, filters=8, se_ratio=0.5, skip="identity"),
                Block(op="separable", kernel=3, stride=2, filters=12, skip="none"),
                Block(op="conv", kernel=5, stride=2, filters=12, repeats=2, skip="pool"),
            ),
            resolution=18,
            stem=8,
            head=0,
            classes=5,
            activation="relu6",
            name="convolutions",
        ),
        Architecture(
            (
                Block(op="basic", kernel=3, stride=1, filters=8, repeats=2, skip="projection"),
                Block(
                    op="bottleneck",
                    kernel=3,
                    stride=2,
                    filters=16,
                    expand_ratio=4,
                    repeats=2,
                    skip="projection",
                ),
            ),
            resolution=24,
            stem=8,
            stem_kernel=7,
            stem_pool=True,
            head=0,
            classes=4,
            activation="relu",
            padding="symmetric",
            bn_epsilon=1e-5,
            name="resnet",
        ),
    )
}


def images(architecture: Architecture, count: int = 3) -> np.ndarray:
    """Images [count, 3, R, R] for a network."""
    return weights_rule.images(count, architecture.resolution)
