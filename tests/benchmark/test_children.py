"""Random networks and images: distinct and reproducible."""

import json

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.benchmark.children import around_b0, b0, description, random_children, write_images


def test_children_are_distinct_and_reproducible():
    children = random_children(30, 32, seed=0)
    assert len({child.canonical_hash() for child in children}) == 30
    assert random_children(30, 32, seed=0) == children
    assert random_children(7, 32, seed=0) == children[:7]
    assert random_children(7, 32, seed=1) != children[:7]


def test_b0_is_in_the_space():
    space = around_b0(32)
    assert space.decode(space.encode(b0(32))).canonical_hash() == b0(32).canonical_hash()
    # Stages 1 and 7 have 1 or 2 layers, the others B0's number or one fewer or more.
    assert space.cardinality() == (2 * 3 * 2) ** 7 * 2**2 * 3**5


def test_a_description_holds_everything_needed_to_build():
    child = random_children(1, 32, seed=0)[0]
    described = json.loads(json.dumps(description(child)))
    assert Architecture.from_dict(described["spec"]) == child
    assert described["params"] == network_cost(child).params
    assert len(described["layers"]) == len(child.layers())
    # B0's second layer: 16 filters, expanded by 6; a quarter of 16 in squeeze-and-excitation.
    second = description(b0(32))["layers"][1]
    assert (second["expanded_filters"], second["se_filters"]) == (96, 4)


@pytest.mark.parametrize("resolution", [32, 45])
def test_images_are_reproducible_and_show_their_class(resolution, tmp_path):
    for name in ("a.npz", "b.npz"):
        write_images(tmp_path / name, 200, 20, resolution, seed=0)
    with np.load(tmp_path / "a.npz") as first, np.load(tmp_path / "b.npz") as second:
        arrays = dict(first)
        assert all((second[name] == array).all() for name, array in arrays.items())
    images, labels = arrays["train_images"], arrays["train_labels"]
    assert images.shape == (200, resolution, resolution, 3) and images.dtype == np.uint8
    means = np.stack([images[labels == label].mean(0) for label in range(10)])
    held_out = arrays["held_out_images"][:, None].astype(float)
    nearest = ((held_out - means) ** 2).sum((2, 3, 4)).argmin(1)
    assert (nearest == arrays["held_out_labels"]).all()
