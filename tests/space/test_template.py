"""Templates: names, order and conditions of decisions; malformed templates."""

from functools import partial

import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space
from tests.space.spaces import fixed_parent, plain, shared, two_conditions


def test_decisions_are_named_by_path_in_written_order():
    assert [decision.name for decision in plain().decisions] == [
        "blocks[0].kernel",
        "blocks[0].filters",
        "blocks[1].kernel",
        "blocks[1].repeats",
    ]
    assert plain().sizes.tolist() == [2, 3, 2, 3]
    assert [decision.name for decision in shared().decisions] == [
        "blocks[0].kernel",
        "blocks[0].repeats",
        "blocks[0].skip",
        "blocks[0].filters",
        "blocks[1].filters",
        "head",
    ]


def test_conditions_are_available_as_data_and_as_arrays():
    space = two_conditions()
    names = [decision.name for decision in space.decisions]
    assert names == [f"blocks[0].{field}" for field in ("op", "repeats", "se_ratio", "filters")]
    assert [decision.conditions for decision in space.decisions] == [
        (),
        (),
        ((0, frozenset({1})), (1, frozenset({1, 2}))),
        (),
    ]
    assert space.parents.tolist() == [[0, 0], [0, 0], [0, 1], [0, 0]]
    assert space.accepted.shape == (4, 2, 3)
    assert space.accepted[2].tolist() == [[False, True, False], [False, True, True]]
    assert space.accepted[[0, 1, 3]].all()
    assert [decision.conditions for decision in fixed_parent().decisions] == [(), (), ()]


def test_one_of_requires_distinct_choices():
    for choices in ((), (3, 3), (1, 1.0), ("a", "b", "a")):
        with pytest.raises(ValueError, match="accepted: one choice or more, all different"):
            OneOf(*choices)
    assert OneOf(3, 5) != OneOf(3, 5)


def template(**block):
    fields = {"kernel": 3, "stride": 2, "filters": 16, **block}
    return partial(Architecture, blocks=(partial(Block, **fields),))


@pytest.mark.parametrize(
    "wrong, message",
    [
        (template(), "no choice is open; accepted: one OneOf or more"),
        (
            template(skip=OneOf("identity", "none", when={"depth": [2]})),
            r"blocks\[0\].skip depends on 'depth'; accepted: a sibling written before it "
            r"\(kernel, stride, filters\)",
        ),
        (
            partial(
                Architecture,
                blocks=(
                    partial(
                        Block,
                        skip=OneOf("identity", "none", when={"repeats": [2]}),
                        repeats=OneOf(1, 2),
                        kernel=3,
                        stride=2,
                        filters=16,
                    ),
                ),
            ),
            r"depends on 'repeats'; accepted: a sibling written before it \(none\)",
        ),
        (
            template(repeats=OneOf(1, 2), skip=OneOf("identity", "none", when={"repeats": [4, 5]})),
            r"blocks\[0\].skip is never active: repeats can't be any of 4, 5",
        ),
        (
            template(se_ratio=OneOf(0.0, 0.25, when={"kernel": [5]})),
            "never active: kernel can't be any of 5",
        ),
        (template(filters=OneOf(0, 16)), "filters = 0"),
        (
            partial(Architecture, (partial(Block, 3, 2, 16),), head=OneOf(64, 128)),
            "the template has unnamed arguments",
        ),
        (
            partial(Architecture, blocks=(partial(Block, 3, stride=2, filters=OneOf(8, 16)),)),
            r"blocks\[0\] has unnamed arguments \(3,\); accepted: keywords",
        ),
    ],
)
def test_malformed_templates_are_value_errors(wrong, message):
    with pytest.raises(ValueError, match=message):
        Space("wrong", wrong)


def test_a_shared_choice_must_have_the_same_conditions_everywhere():
    skip = OneOf("identity", "none", when={"repeats": [2]})
    stages = [
        partial(Block, kernel=3, repeats=OneOf(1, 2), skip=skip, stride=2, filters=f)
        for f in (8, 9)
    ]
    with pytest.raises(ValueError, match=r"blocks\[1\].skip is the same decision as blocks\[0\]"):
        Space("wrong", partial(Architecture, blocks=tuple(stages)))
