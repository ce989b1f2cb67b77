"""`Block`: accepted fields."""

import dataclasses

import numpy as np
import pytest

from mnas.architecture.block import Block
from mnas.errors import UsageError


@pytest.mark.parametrize(
    "field, value, accepted",
    [
        ("op", "sepconv", "mbconv, conv"),
        ("kernel", 2, "odd whole number"),
        ("kernel", -3, "odd whole number"),
        ("kernel", 3.0, "odd whole number"),
        ("kernel", True, "odd whole number"),
        ("stride", 3, "1, 2"),
        ("stride", 0, "at least 1"),
        ("stride", 1.0, "whole number"),
        ("stride", True, "whole number"),
        ("filters", 0, "at least 1"),
        ("filters", 16.0, "whole number"),
        ("filters", np.int64(16), "whole number"),
        ("expand_ratio", 0, "at least 1"),
        ("expand_ratio", 1.5, "whole number"),
        ("repeats", 0, "at least 1"),
        ("repeats", True, "whole number"),
        ("se_ratio", -0.1, "0 to 1"),
        ("se_ratio", 1.1, "0 to 1"),
        ("se_ratio", float("nan"), "0 to 1"),
        ("se_ratio", True, "0 to 1"),
        ("se_ratio", "0.25", "0 to 1"),
        ("skip", "id", "identity, none, pool"),
        ("skip", None, "identity, none, pool"),
    ],
)
def test_invalid_fields_are_named(field, value, accepted):
    good = {"kernel": 3, "stride": 1, "filters": 16}
    with pytest.raises(
        UsageError, match=rf"^block: {field} = .*; accepted: .*{accepted}"
    ) as caught:
        Block(**{**good, field: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    "op, field, value, accepted",
    [
        ("separable", "expand_ratio", 6, "1"),
        ("basic", "expand_ratio", 4, "1"),
        ("bottleneck", "expand_ratio", 3, "a divisor of its 16 filters"),
        ("basic", "se_ratio", 0.25, "0"),
        ("bottleneck", "se_ratio", 0.25, "0"),
        ("identity", "expand_ratio", 6, "1"),
        ("identity", "se_ratio", 0.25, "0"),
        ("identity", "kernel", 3, "1"),
    ],
)
def test_fields_that_an_op_lacks_are_rejected(op, field, value, accepted):
    with pytest.raises(
        UsageError, match=f"{field} = {value} with op '{op}'; accepted: {accepted}$"
    ):
        Block(**{"kernel": 3, "stride": 1, "filters": 16, "op": op, field: value})


def test_identity_is_a_layer_only_where_the_shape_changes():
    same = Block(op="identity", kernel=1, stride=1, filters=16, repeats=3)
    assert same.layers(16) == ()
    for block, in_filters in ((same, 8), (dataclasses.replace(same, stride=2), 16)):
        (layer,) = block.layers(in_filters)
        assert (layer.op, layer.kernel, layer.filters, layer.skip) == ("identity", 1, 16, "none")
    with pytest.raises(UsageError, match="skip = 'none' with op 'identity'; accepted: 'identity'"):
        dataclasses.replace(same, skip="none")
