"""Canonical vectors, active decisions, cardinality, and malformed vectors."""

from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space
from tests.space.spaces import (
    conditional,
    every_vector,
    fixed_parent,
    nested,
    plain,
    shared,
    two_conditions,
)


def test_canonical_and_active_by_hand():
    space = nested()  # op, expand ratio, SE
    cases = [
        ([0, 0, 0], [0, 0, 0], [1, 0, 0]),
        ([0, 2, 2], [0, 0, 0], [1, 0, 0]),
        ([1, 0, 2], [1, 0, 0], [1, 1, 0]),
        ([1, 2, 0], [1, 2, 0], [1, 1, 1]),
        ([1, 1, 2], [1, 1, 2], [1, 1, 1]),
    ]
    for vector, canonical, active in cases:
        assert space.canonical(vector).tolist() == canonical
        assert space.active(vector).tolist() == [bool(a) for a in active]


def test_a_condition_on_an_inactive_decision_applies_to_its_first_choice():
    space = Space(
        "first",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("conv", "mbconv"),
                    expand_ratio=OneOf(1, 6, when={"op": ["mbconv"]}),
                    se_ratio=OneOf(0.0, 0.25, when={"expand_ratio": [1]}),
                    kernel=3,
                    stride=2,
                    filters=16,
                ),
            ),
        ),
    )
    assert space.active([0, 1, 1]).tolist() == [True, False, True]
    assert space.canonical([0, 1, 1]).tolist() == [0, 0, 1]
    assert space.active([1, 1, 1]).tolist() == [True, True, False]
    assert space.cardinality() == 2 + (2 + 1)


def test_batches_of_vectors_are_handled_as_one_by_one(space):
    vectors = every_vector(space)
    rng = np.random.default_rng(0)
    grid = rng.permutation(vectors)[: len(vectors) // 2 * 2].reshape(2, -1, vectors.shape[1])
    for function in (space.canonical, space.active):
        batch = function(grid)
        assert batch.shape == grid.shape
        for index in np.ndindex(grid.shape[:-1]):
            assert batch[index].tolist() == function(grid[index]).tolist()
    assert space.canonical(vectors).dtype == np.int32
    assert space.active(vectors).dtype == bool


def test_canonical_is_idempotent_and_does_not_modify_its_argument(space):
    vectors = every_vector(space).astype(np.int32)
    before = vectors.copy()
    canonical = space.canonical(vectors)
    assert (vectors == before).all()
    assert (space.canonical(canonical) == canonical).all()
    assert (space.active(canonical) == space.active(vectors)).all()
    assert not canonical[~space.active(vectors)].any()


def test_active_agrees_with_conditions_and_arrays(space):
    count, width = space.parents.shape
    for vector in space.canonical(every_vector(space)):
        by_conditions = [
            all(vector[parent] in indices for parent, indices in decision.conditions)
            for decision in space.decisions
        ]
        by_arrays = [
            all(space.accepted[d, p, vector[space.parents[d, p]]] for p in range(width))
            for d in range(count)
        ]
        assert space.active(vector).tolist() == by_conditions == by_arrays
    assert all(p < d for d, row in enumerate(space.parents) for p in row if p)  # parents come first
    assert space.active(np.zeros(count, int)).shape == (count,)


def test_canonical_vectors_and_networks_correspond_one_to_one(space):
    hashes = {}
    for vector in every_vector(space):
        key = tuple(space.canonical(vector).tolist())
        hashes.setdefault(space.decode(vector).canonical_hash(), set()).add(key)
    assert all(len(keys) == 1 for keys in hashes.values())
    assert space.cardinality() == len(hashes)


@pytest.mark.parametrize(
    "build, by_hand",
    [
        (plain, 2 * 3 * 2 * 3),
        (conditional, (3 + 1) * 2 * (1 + 2 * 3)),
        (two_conditions, (3 + (1 + 2 * 2)) * 2),  # conv: 3 depths; mbconv: 1, or 2 with and without
        (nested, 1 + (1 + 2 * 3)),
        (shared, 3 * (1 + 2) * 2 * 2 * 2),
        (fixed_parent, 2 * 2 * 2),
    ],
)
def test_cardinality_by_hand(build, by_hand):
    assert build().cardinality() == by_hand
    assert type(build().cardinality()) is int


@pytest.mark.parametrize(
    "vector, message",
    [
        ([0, 0, 0], r"shape \(3,\).*accepted: whole numbers \[..., 4\]"),
        ([[0, 0, 0, 0, 0]], r"shape \(1, 5\)"),
        (0, r"shape \(\)"),
        ([], r"shape \(0,\)"),
        ([0.0, 0.0, 0.0, 0.0], "type float64"),
        ([True, True, True, True], "type bool"),
        ([0, 3, 0, 0], r"blocks\[0\].filters = choice 3; accepted: 0 to 2"),
        ([0, 0, 0, -1], r"blocks\[1\].repeats = choice -1; accepted: 0 to 2"),
        ([[0, 0, 0, 0], [2, 0, 0, 0]], r"blocks\[0\].kernel = choice 2; accepted: 0 to 1"),
    ],
)
def test_malformed_vectors_are_value_errors(vector, message):
    space = plain()
    for function in (space.canonical, space.active, space.decode, space.describe):
        with pytest.raises(ValueError, match=message):
            function(vector)


def test_decode_takes_one_vector():
    with pytest.raises(ValueError, match=r"decode takes one vector, not \(2, 4\)"):
        plain().decode([[0, 0, 0, 0], [0, 0, 0, 0]])
