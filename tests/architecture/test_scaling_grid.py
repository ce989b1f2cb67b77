"""The grid of (α, β, γ): points by brute force, duplicates from rounding, invalid settings."""

import itertools

import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import Coefficients, scale
from mnas.architecture.scaling_grid import ScalingGrid
from mnas.errors import UsageError

B0 = PUBLISHED["efficientnet-b0"]


def test_combinations_equal_those_of_brute_force():
    grid = ScalingGrid(step=0.1, tolerance=0.1)
    values = [round(1 + 0.1 * n, 9) for n in range(13)]
    expected = {
        (alpha, beta, gamma)
        for alpha, beta, gamma in itertools.product(values, repeat=3)
        if 1.8 - 1e-9 <= alpha * beta**2 * gamma**2 <= 2.2 + 1e-9
    }
    assert set(grid.combinations()) == expected
    assert len(grid.combinations()) == len(expected) == 39


def test_the_papers_coefficients_are_on_the_default_grid():
    assert Coefficients(1.2, 1.1, 1.15) in ScalingGrid().combinations()  # product 1.92
    assert Coefficients(1.2, 1.1, 1.15) not in ScalingGrid(tolerance=0.03).combinations()


def test_points_are_distinct_networks_that_cover_all_combinations():
    grid = ScalingGrid()
    points = grid.points()
    by_hash = {network.canonical_hash(): c for c, network in points.items()}
    assert len(by_hash) == len(points) < len(grid.combinations())
    for coefficients in grid.combinations():
        kept = by_hash[scale(B0, 1, *coefficients).canonical_hash()]
        # Of equal networks, the combination with the product nearest to 2 is kept.
        assert abs(kept.product - 2) <= abs(coefficients.product - 2) + 1e-9
    resolutions = [network.resolution for network in points.values()]
    assert resolutions == sorted(resolutions) and resolutions[0] == 224


def test_settings_of_proxy_training_replace_those_of_the_base():
    base = ScalingGrid(base="r1_k3_s22_e1_i8_o8", resolution=20, classes=3, head=24).network()
    assert (base.resolution, base.classes, base.head, base.stem) == (20, 3, 24, 8)
    assert ScalingGrid().network() == B0


def test_the_mult_adds_constraint_holds_for_the_rounded_networks():
    by_formula, by_cost = (
        [network_cost(n).mult_adds / network_cost(B0).mult_adds for n in grid.points().values()]
        for grid in (ScalingGrid(), ScalingGrid(constraint="mult-adds"))
    )
    assert max(by_formula) > 3  # layers are rounded up
    assert by_cost and all(1.9 <= ratio <= 2.1 for ratio in by_cost)
    # Brute force over a larger grid finds the same combinations.
    values = [round(1 + 0.1 * n, 9) for n in range(20)]
    expected = [
        c
        for c in itertools.product(values, repeat=3)
        if c[0] * c[1] ** 2 * c[2] ** 2 < 5
        and abs(network_cost(scale(B0, 1, *c)).mult_adds / network_cost(B0).mult_adds - 2) <= 0.1
    ]
    grid = ScalingGrid(step=0.1, constraint="mult-adds")
    assert set(grid.combinations()) == set(expected) != set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"step": 0}, "step = 0; accepted: 0.01 to 1"),
        ({"tolerance": -0.1}, "tolerance = -0.1; accepted: 0 or more"),
        ({"product": 1}, "product = 1; accepted: above 1"),
        ({"constraint": "madds"}, "constraint = 'madds'; accepted: formula, mult-adds"),
    ],
)
def test_invalid_settings_are_named(settings, expected):
    with pytest.raises(UsageError, match=expected):
        ScalingGrid(**settings)


def test_a_grid_without_points_is_rejected():
    with pytest.raises(UsageError, match=r"no point.*step = 0.3; accepted: a smaller step"):
        ScalingGrid(step=0.3, tolerance=0).points()
    with pytest.raises(UsageError, match="no spec 'nothing'"):
        ScalingGrid(base="nothing").points()
