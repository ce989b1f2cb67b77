from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.errors import UsageError
from mnas.space import OneOf, Space
from tests.space.spaces import SMALL, conditional, every_vector, plain, shared


def test_decode_by_hand():
    architecture = plain().decode([1, 2, 0, 1])
    assert architecture == Architecture(
        (Block(kernel=5, stride=2, filters=32), Block(kernel=3, stride=2, filters=40, repeats=2)),
        **SMALL,
    )
    assert plain().describe([1, 2, 0, 1]) == {
        "blocks[0].kernel": 5,
        "blocks[0].filters": 32,
        "blocks[1].kernel": 3,
        "blocks[1].repeats": 2,
    }


def test_a_shared_choice_has_one_value_everywhere():
    space = shared()
    architecture = space.decode([2, 1, 1, 0, 1, 0])
    assert [block.kernel for block in architecture.blocks] == [7, 7]
    assert [block.skip for block in architecture.blocks] == ["none", "none"]
    assert [block.filters for block in architecture.blocks] == [16, 40]
    two_kernels = architecture.replace(
        blocks=(architecture.blocks[0], Block(3, 2, 40, repeats=2, skip="none"))
    )
    with pytest.raises(UsageError, match=r"blocks\[1\].kernel = 3 \(accepted: 7\)"):
        space.encode(two_kernels)


def test_encode_is_the_inverse_of_decode(space):
    for vector in every_vector(space):
        architecture = space.decode(vector).replace(name="whatever")
        encoded = space.encode(architecture)
        assert encoded.dtype == np.int32
        assert encoded.tolist() == space.canonical(vector).tolist()
        assert space.decode(encoded).canonical_hash() == architecture.canonical_hash()


def test_encode_ignores_values_of_inactive_decisions():
    single = Architecture((Block(3, 2, 16, repeats=1, skip="none"),), **SMALL)
    assert conditional().encode(single).tolist() == [0, 0, 0, 0, 0]


def test_encode_names_every_value_that_it_cannot_represent():
    wrong = Architecture((Block(7, 2, 16), Block(3, 1, 48, se_ratio=0.25)), head=99, **SMALL)
    with pytest.raises(UsageError) as caught:
        plain().encode(wrong.replace(name="odd one"))
    message = str(caught.value)
    assert message.startswith("space plain can't represent odd one: ")
    for part in (
        "blocks[0].kernel = 7 (accepted: 3, 5)",
        "blocks[1].stride = 1 (accepted: 2)",
        "blocks[1].filters = 48 (accepted: 40)",
        "blocks[1].se_ratio = 0.25 (accepted: 0.0)",
        "head = 99 (accepted: 1280)",
    ):
        assert part in message
    assert "blocks[0].filters" not in message
    with pytest.raises(UsageError, match=r"len\(blocks\) = 7 \(accepted: 2\)"):
        plain().encode(PUBLISHED["efficientnet-b0"])


def test_encode_names_an_inactive_decision_that_changes_the_network():
    # This template declares SE of a plain convolution inactive, although it matters.
    space = Space(
        "wrong",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("mbconv", "conv"),
                    se_ratio=OneOf(0.0, 0.25, when={"op": ["mbconv"]}),
                    kernel=3,
                    stride=2,
                    filters=16,
                ),
            ),
        ),
    )
    squeezed = Architecture((Block(3, 2, 16, op="conv", se_ratio=0.25),))
    with pytest.raises(UsageError, match=r"blocks\[0\].se_ratio = 0.25 \(accepted: 0.0\)"):
        space.encode(squeezed)
