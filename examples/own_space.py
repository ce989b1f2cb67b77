"""A space of your own, in which some decisions matter only for certain values of others."""

import dataclasses
from functools import partial

import numpy as np

import mnas


@dataclasses.dataclass(frozen=True)
class ThreeStages:
    """Three stages; the expand ratio is a decision of inverted residuals only."""

    resolution: int = 32
    """Resolution of the input images, pixels."""
    classes: int = 10
    """Number of classes."""

    def build(self) -> mnas.Space:
        """Return the space."""
        stages = tuple(
            partial(
                mnas.Block,
                op=mnas.OneOf("mbconv", "separable"),
                kernel=mnas.OneOf(3, 5, 7),
                # Inactive, and the first choice, unless `op` is "mbconv".
                expand_ratio=mnas.OneOf(1, 3, 6, when={"op": ["mbconv"]}),
                repeats=mnas.OneOf(1, 2, 3),
                stride=2,
                filters=filters,
            )
            for filters in (24, 40, 80)
        )
        template = partial(
            mnas.Architecture, resolution=self.resolution, classes=self.classes, blocks=stages
        )
        return mnas.Space("three-stages", template)


if __name__ == "__main__":
    space = ThreeStages().build()
    print(f"{len(space.decisions)} decisions, {space.cardinality():,} networks")
    for decision in space.decisions[:4]:
        print(f"  {decision.name}: {decision.choices}")

    # In both vectors, stage 1 is a separable convolution: they are one network.
    first = np.zeros(len(space.sizes), int)
    first[0] = 1
    second = first.copy()
    second[2] = 2
    print("active:", space.active(second)[:4])
    same = space.decode(first).canonical_hash() == space.decode(second).canonical_hash()
    print("one network:", same)

    # `encode` is the inverse, and names what the space can't represent.
    network = space.decode(first)
    assert (space.encode(network) == space.canonical(first)).all()
    try:
        space.encode(network.replace(resolution=64))
    except mnas.UsageError as error:
        print(error)
