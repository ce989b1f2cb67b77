import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.evaluators.surrogate_fits import choices_of
from mnas.search_spaces.per_layer import PerLayerSpace

SPACE = PerLayerSpace().build()
B0 = PUBLISHED["efficientnet-b0"]


def b0_choices() -> np.ndarray:
    """Return the vector [48] of B0's 16 layers."""
    values = [
        (block.expand_ratio, block.kernel, block.se_ratio)
        for block in B0.blocks
        for _ in range(block.repeats)
    ]
    choices = [decision.choices for decision in SPACE.decisions]
    flat = [value for layer in values for value in layer]
    return np.array([c.index(value) for c, value in zip(choices, flat, strict=True)])


def test_names_of_decisions():
    assert [decision.name for decision in SPACE.decisions] == [
        f"blocks[{layer}].{field}"
        for layer in range(16)
        for field in ("expand_ratio", "kernel", "se_ratio")
    ]


def test_cardinality():
    assert SPACE.cardinality() == (3 * 2 * 2) ** 16 == 184_884_258_895_036_416


def test_every_combination_of_choices_builds_a_different_layer():
    """Layers are compared as resolved: expand ratio 1 has no expansion, SE at least one filter."""
    for layer in range(16):
        resolved = set()
        for own in np.ndindex(3, 2, 2):
            vector = np.zeros(48, int)
            vector[3 * layer : 3 * layer + 3] = own
            architecture = SPACE.decode(vector)
            built = architecture.layers()[layer]
            resolved.add((built.expand_ratio, built.kernel, built.se_filters))
            assert len(architecture.layers()) == 16
            others = [b for b in range(16) if b != layer]
            first = SPACE.decode([0] * 48)
            assert all(architecture.blocks[b] == first.blocks[b] for b in others)
        assert len(resolved) == 12


def test_the_order_of_layers_matters():
    # The same layers in another order, in the stage of four layers with equal filters.
    hashes = set()
    for layer in range(12, 15):
        vector = np.zeros(48, int)
        vector[3 * layer] = 2
        hashes.add(SPACE.decode(vector).canonical_hash())
    assert len(hashes) == 3


def test_filters_and_strides_are_b0s():
    first = SPACE.decode([0] * 48)
    assert [(b.filters, b.stride) for b in first.blocks] == [
        (layer.filters, layer.stride) for layer in B0.layers()
    ]
    assert all(block.repeats == 1 and block.skip == "identity" for block in first.blocks)


def test_b0s_choices_build_b0():
    decoded = SPACE.decode(b0_choices())
    assert network_cost(decoded) == network_cost(B0)
    assert network_cost(decoded).mult_adds == 385_814_752
    assert decoded.canonical_hash() == B0.canonical_hash()
    assert SPACE.encode(decoded).tolist() == b0_choices().tolist()


def test_encoding_b0_as_stages_names_their_repeats():
    with pytest.raises(ValueError) as caught:
        SPACE.encode(B0)
    assert "len(blocks) = 7 (accepted: 16)" in str(caught.value)
    assert "blocks[1].repeats = 2 (accepted: 1)" in str(caught.value)


def test_the_surrogate_covers_none_of_the_networks():
    with pytest.raises(ValueError, match=r"len\(blocks\) = 16 .*accepted: 7$"):
        choices_of([SPACE.decode(b0_choices())])
