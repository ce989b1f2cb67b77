"""Non-dominated sets and hypervolumes, by hand-computed figures."""

import math

import numpy as np
import pytest

from mnas.analysis.front import Box, hypervolumes, non_dominated

UNIT = Box(0.0, 4.0, 0.0, 1.0)


def test_front_holds_the_points_that_none_dominates_by_rising_cost():
    costs, accuracies = [3.0, 1.0, 2.0, 2.0, 4.0, 1.0], [0.7, 0.5, 0.6, 0.4, 0.7, 0.5]
    assert non_dominated(costs, accuracies) == [1, 2, 0]
    assert non_dominated([], []) == []


def test_hypervolume_is_the_dominated_part_of_the_rectangle():
    # (2, .5) dominates 2 × .5 of 4; (1, .25) adds 1 × .25; (3, 1) adds 1 × .5.
    volumes = hypervolumes([2.0, 1.0, 3.0], [0.5, 0.25, 1.0], UNIT)
    assert volumes == pytest.approx([0.25, 0.3125, 0.4375])


def test_dominated_points_and_missing_values_leave_the_hypervolume():
    costs, accuracies = [2.0, 2.0, 3.0, None, 1.0, 1.0], [0.5, 0.5, 0.4, 1.0, None, math.nan]
    assert hypervolumes(costs, accuracies, UNIT) == pytest.approx([0.25] * 6)


def test_a_point_replaces_all_that_it_dominates():
    volumes = hypervolumes([3.0, 2.0, 1.0, 1.0], [0.6, 0.5, 0.6, 0.8], UNIT)
    assert volumes == pytest.approx([0.15, 0.275, 0.45, 0.6])


def test_hypervolume_equals_that_of_the_final_front():
    random = np.random.default_rng(1)
    costs, accuracies = random.uniform(0, 4, 200), random.uniform(0, 1, 200)
    front = non_dominated(costs.tolist(), accuracies.tolist())
    ends = [*costs[front[1:]], 4.0]
    area = sum((end - costs[i]) * accuracies[i] for i, end in zip(front, ends, strict=True))
    volumes = hypervolumes(costs.tolist(), accuracies.tolist(), UNIT)
    assert volumes[-1] == pytest.approx(area / 4)
    assert (np.diff(volumes) >= -1e-12).all()


def test_points_outside_the_rectangle_count_by_their_part_in_it():
    assert hypervolumes([-1.0, 5.0], [0.5, 0.9], UNIT) == pytest.approx([0.5, 0.5])


def test_rectangle_without_area_has_no_hypervolume():
    assert np.isnan(hypervolumes([1.0], [0.5], Box(1.0, 1.0, 0.0, 1.0))).all()


def test_box_holds_all_points_and_ignores_missing_ones():
    points = [(2.0, 0.5), (1.0, 0.7), (None, 0.9), (9.0, None)]
    assert Box.around(points) == Box(1.0, 2.0, 0.5, 0.7)
    assert Box.around([(None, 1.0)]) is None
