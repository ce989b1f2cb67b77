"""Small networks that together cover every block, skip connection, activation and padding."""

import functools
from typing import NamedTuple

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.nn.network import Variables
from tests.interchange import weights_rule
from tests.interchange.parity import logits, rule_variables

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
                Block(op="identity", kernel=1, stride=2, filters=12),
                Block(op="identity", kernel=1, stride=1, filters=12),
            ),
            resolution=18,
            stem=8,
            stem_stride=1,
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


class Reference(NamedTuple):
    """Variables by block, images [3, 3, R, R] and the logits [3, classes] of our network."""

    variables: dict[str, Variables]
    images: np.ndarray
    logits: np.ndarray


@functools.cache  # compiled once for all tests
def reference(architecture: Architecture) -> Reference:
    """Return variables and images by `weights_rule`, and the logits that our network computes."""
    variables = rule_variables(architecture)
    images = weights_rule.images(3, architecture.resolution)
    return Reference(variables, images, logits(architecture, variables, images))
