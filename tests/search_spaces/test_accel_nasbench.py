import pytest

from mnas.architecture.published import PUBLISHED
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace

SPACE = AccelNasbenchSpace().build()


def test_decisions_are_in_the_benchmarks_order():
    assert [decision.name for decision in SPACE.decisions] == [
        f"blocks[{stage}].{field}"
        for stage in range(7)
        for field in ("expand_ratio", "kernel", "repeats", "se_ratio")
    ]
    assert SPACE.sizes.tolist() == [3, 2, 3, 2] * 5 + [3, 2, 4, 2] + [3, 2, 3, 2]


def test_cardinality():
    assert SPACE.cardinality() == 36**6 * 48 == 104_485_552_128


def test_b0_round_trip():
    b0 = PUBLISHED["efficientnet-b0"]
    vector = SPACE.encode(b0)
    assert vector.tolist() == [
        0, 0, 0, 1,
        2, 0, 1, 1,
        2, 1, 1, 1,
        2, 0, 2, 1,
        2, 1, 2, 1,
        2, 1, 3, 1,
        2, 0, 0, 1,
    ]  # fmt: skip
    assert SPACE.decode(vector).replace(name=b0.name) == b0


def test_encoding_mnasnet_names_the_differences():
    with pytest.raises(ValueError) as caught:
        SPACE.encode(PUBLISHED["mnasnet-a1"])
    assert "blocks[2].expand_ratio = 3 (accepted: 1, 4, 6)" in str(caught.value)
    assert "activation = 'relu' (accepted: swish)" in str(caught.value)
    assert "blocks[5].filters = 160 (accepted: 192)" in str(caught.value)
