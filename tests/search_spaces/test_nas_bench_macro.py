"""NAS-Bench-Macro's networks: costs of its table, equal networks, what is built."""

import itertools

import numpy as np
import pytest

from mnas.architecture.cost import network_cost
from mnas.search_spaces.nas_bench_macro import NasBenchMacroSpace

SPACE = NasBenchMacroSpace().build()
# (name, params, mult-adds) of the benchmark's table (xiusu/NAS-Bench-Macro, Apache-2.0).
ROWS = [
    ("00000112", 1742762, 31562240),
    ("00000200", 672298, 16933376),
    ("00002000", 607018, 21524992),
    ("00002102", 1558186, 38971904),
    ("20012022", 2395498, 64573952),
]


def network(name):
    return SPACE.decode([int(choice) for choice in name])


@pytest.mark.parametrize(("name", "params", "mult_adds"), ROWS)
def test_costs_are_those_of_the_benchmark(name, params, mult_adds):
    cost = network_cost(network(name))
    assert (cost.params, cost.mult_adds) == (params, mult_adds)


def test_has_3969_networks():
    vectors = itertools.product(range(3), repeat=8)
    hashes = {SPACE.decode(vector).canonical_hash() for vector in vectors}
    assert len(hashes) == 3969 and SPACE.cardinality() == 3**8


def test_position_of_an_identity_within_a_stage_does_not_matter_but_at_its_start():
    equal, other = [("00110000", "00101000"), ("00000102", "00000120")], ("01000000", "10000000")
    for names in (*equal, other):
        one, two = (network(name).canonical_hash() for name in names)
        assert (one == two) == (names != other)


def test_layers_strides_and_resolutions():
    layers = network("01000201").layers()
    assert [(layer.op, layer.stride, layer.filters, layer.kernel) for layer in layers] == [
        ("identity", 2, 64, 1),
        ("mbconv", 1, 64, 3),
        ("identity", 2, 128, 1),
        ("mbconv", 2, 256, 5),
        ("mbconv", 1, 256, 3),
    ]


def test_networks_are_encoded_as_their_decisions():
    for vector in np.random.default_rng(0).integers(0, 3, (5, 8)):
        assert SPACE.encode(SPACE.decode(vector)).tolist() == vector.tolist()
