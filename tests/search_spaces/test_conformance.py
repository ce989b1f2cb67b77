"""What every space that ships must keep; a new one is covered by being in `SPACES`."""

import dataclasses

import numpy as np
import pytest
from mnas.search_spaces import SPACES
from mnas.search_spaces.mnasnet import MnasNetSpace

BUILT = {name: config().build() for name, config in SPACES.items()}
BUILT["mnasnet-published"] = MnasNetSpace(published_filters=True).build()


@pytest.fixture(params=BUILT, scope="module")
def space(request):
    return BUILT[request.param]


@pytest.fixture(scope="module")
def vectors(space):
    """Raw vectors [60, D], inactive decisions anywhere; among them the first and last of all."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, space.sizes, (58, len(space.sizes)))
    return np.concatenate([drawn, np.zeros_like(drawn[:1]), [space.sizes - 1]])


@pytest.mark.parametrize("config", SPACES.values(), ids=SPACES)
def test_configurations_are_frozen_with_defaults(config):
    assert dataclasses.fields(config)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config().resolution = 1
    small = config(resolution=64, classes=10).build()
    architecture = small.decode(np.zeros(len(small.sizes), int))
    assert (architecture.resolution, architecture.classes) == (64, 10)


def test_names_are_unique_and_choices_differ(space):
    names = [decision.name for decision in space.decisions]
    assert len(set(names)) == len(names)
    assert all(len(decision.choices) > 1 for decision in space.decisions)


def test_decode_and_encode_are_inverse(space, vectors):
    for vector in vectors:
        assert space.encode(space.decode(vector)).tolist() == space.canonical(vector).tolist()


def test_inactive_decisions_never_change_the_network(space, vectors):
    changed = 0
    rng = np.random.default_rng(1)
    for vector in vectors:
        inactive = ~space.active(vector)
        other = np.where(inactive, rng.integers(0, space.sizes), vector)
        changed += (other != vector).any()
        assert space.decode(other).canonical_hash() == space.decode(vector).canonical_hash()
    if any(decision.conditions for decision in space.decisions):
        assert changed > 10


def test_active_decisions_always_change_the_network(space, vectors):
    for vector in vectors[-12:]:
        neighbours = list(space.neighbours(vector))
        hashes = [space.decode(neighbour).canonical_hash() for neighbour in neighbours]
        assert len(neighbours) == (space.sizes - 1)[space.active(vector)].sum()
        assert len({*hashes, space.decode(vector).canonical_hash()}) == len(neighbours) + 1


def test_canonical_vectors_that_differ_build_different_networks(space, vectors):
    by_hash = {}
    for vector in vectors:
        key = tuple(space.canonical(vector).tolist())
        assert by_hash.setdefault(space.decode(vector).canonical_hash(), key) == key


def test_arrays_agree_with_active(space, vectors):
    canonical = space.canonical(vectors)
    rows, columns = np.indices(space.parents.shape)
    by_arrays = space.accepted[rows, columns, canonical[:, space.parents]].all(-1)
    assert (by_arrays == space.active(vectors)).all()
    by_conditions = [
        [all(v[parent] in ok for parent, ok in d.conditions) for d in space.decisions]
        for v in canonical
    ]
    assert (np.array(by_conditions) == space.active(vectors)).all()


def test_cardinality_is_at_most_the_product(space):
    product = np.prod(space.sizes.astype(object))
    conditional = any(decision.conditions for decision in space.decisions)
    assert space.cardinality() < product if conditional else space.cardinality() == product
