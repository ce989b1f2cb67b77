"""Listed networks as a space, the grid of scalings, and scalings of equal cost."""

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import DIMENSIONS, scale
from mnas.search_spaces.scaling import ListedSpace, ScalingDimensionsSpace, ScalingGridSpace

B0, A1 = PUBLISHED["efficientnet-b0"], PUBLISHED["mnasnet-a1"]


def test_a_listed_space_decodes_and_encodes_its_networks():
    space = ListedSpace("two", {"first": B0, "second": A1})
    assert space.cardinality() == 2
    assert [space.decode([n]) for n in range(2)] == [B0, A1]
    assert space.encode(A1.replace(name="other")).tolist() == [1]
    assert space.describe([1]) == {"which": "second"}
    with pytest.raises(ValueError, match=r"space two can't represent mnasnet-b1: .* 2 listed"):
        space.encode(PUBLISHED["mnasnet-b1"])


def test_the_grid_contains_the_scaled_networks():
    config = ScalingGridSpace(base="mnasnet-a1", resolution=64, classes=10, step=0.1)
    space, points = config.build(), config.points()
    assert space.cardinality() == len(points)
    base = A1.replace(resolution=64, classes=10)
    for index, coefficients in enumerate(space.decisions[0].choices):
        expected = scale(base, 1, *coefficients)
        assert space.decode([index]).canonical_hash() == expected.canonical_hash()


def test_all_dimensions_are_scaled_to_equal_cost():
    space = ScalingDimensionsSpace(doublings=2).build()
    choices = space.decisions[0].choices
    assert choices == (("base", 1), *((d, f) for f in (2, 4) for d in DIMENSIONS))
    assert space.decode([0]) == B0
    for index, (_, factor) in enumerate(choices):
        ratio = network_cost(space.decode([index])).mult_adds / network_cost(B0).mult_adds
        assert np.isclose(ratio, factor, rtol=0.2)
    own = ScalingDimensionsSpace(doublings=1, alpha=1.0, beta=1.0, gamma=1.5).build()
    assert own.decode([4]).resolution == own.decode([3]).resolution  # compound is resolution alone


@pytest.mark.parametrize("doublings", [0, 11, 1.5])
def test_bad_settings_are_named(doublings):
    with pytest.raises(ValueError, match=f"doublings = {doublings}; accepted: .* at most 10"):
        ScalingDimensionsSpace(doublings=doublings)
