"""Networks that the surrogate was fitted to, for its tests."""

import functools

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.published import PUBLISHED
from mnas.evaluators.surrogate_fits import CHOICES
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace

B0 = PUBLISHED["efficientnet-b0"]
SPACE = AccelNasbenchSpace().build()
SIZES = [len(choices) for choices in CHOICES]


def random_choices(count: int, seed: int = 0) -> np.ndarray:
    """Return uniform vectors of choices, int [count, 28]."""
    return np.random.default_rng(seed).integers(0, SPACE.sizes, (count, len(SPACE.sizes)))


@functools.cache
def sample() -> tuple[Architecture, ...]:
    """Return 300 random networks."""
    return tuple(SPACE.decode(vector) for vector in random_choices(300))


def with_block(index: int, **changes: object) -> Architecture:
    """Return B0 with other fields in one stage."""
    blocks = list(B0.blocks)
    values = {name: getattr(blocks[index], name) for name in blocks[index].__dataclass_fields__}
    blocks[index] = type(blocks[index])(**{**values, **changes})
    return B0.replace(blocks=tuple(blocks))
