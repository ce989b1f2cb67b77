"""Random samples and neighbours."""

import numpy as np

from tests.space.spaces import every_vector, nested


def test_samples_are_canonical_and_reach_every_network(space):
    rng = np.random.default_rng(0)
    samples = [space.sample(rng) for _ in range(1500)]
    assert all((space.canonical(sample) == sample).all() for sample in samples)
    assert len({tuple(sample.tolist()) for sample in samples}) == space.cardinality()


def test_samples_depend_on_the_generator_only(space):
    first, second = (space.sample(np.random.default_rng(7)) for _ in range(2))
    assert first.tolist() == second.tolist()


def test_active_choices_are_sampled_uniformly():
    space = nested()
    rng = np.random.default_rng(0)
    samples = np.array([space.sample(rng) for _ in range(6000)])
    mbconv = samples[samples[:, 0] == 1]
    assert abs(len(mbconv) / 6000 - 1 / 2) < 0.03
    assert abs((mbconv[:, 1] == 0).mean() - 1 / 3) < 0.03
    expanded = mbconv[mbconv[:, 1] > 0]
    assert abs((expanded[:, 2] == 2).mean() - 1 / 3) < 0.03


def test_neighbours_by_hand():
    space = nested()
    neighbours = [neighbour.tolist() for neighbour in space.neighbours([0, 2, 2])]
    assert neighbours == [[1, 0, 0]]  # decisions that become active have their first choice
    neighbours = [neighbour.tolist() for neighbour in space.neighbours([1, 1, 2])]
    assert neighbours == [[0, 0, 0], [1, 0, 0], [1, 2, 2], [1, 1, 0], [1, 1, 1]]


def test_neighbours_are_canonical_and_build_different_networks(space):
    for vector in space.canonical(every_vector(space)):
        neighbours = list(space.neighbours(vector))
        assert len(neighbours) == (space.sizes - 1)[space.active(vector)].sum()
        hashes = {space.decode(neighbour).canonical_hash() for neighbour in neighbours}
        assert len(hashes) == len(neighbours)
        assert space.decode(vector).canonical_hash() not in hashes
        assert all((space.canonical(n) == n).all() for n in neighbours)
