import itertools
from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.architecture.published import PUBLISHED
from mnas.space import OneOf, Space

SMALL = {"resolution": 32, "classes": 10}


def plain() -> Space:
    """The example in the module's docstring."""
    return Space(
        "plain",
        partial(
            Architecture,
            blocks=(
                partial(Block, kernel=OneOf(3, 5), stride=2, filters=OneOf(16, 24, 32)),
                partial(Block, kernel=OneOf(3, 5), stride=2, filters=40, repeats=OneOf(1, 2, 3)),
            ),
            **SMALL,
        ),
    )


def conditional() -> Space:
    """A choice that depends on two others, with another that nothing depends on between them."""
    return Space(
        "conditional",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("mbconv", "conv"),
                    kernel=OneOf(3, 5),
                    repeats=OneOf(1, 2, 3),
                    expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
                    skip=OneOf("identity", "none", "pool", when={"repeats": [2, 3]}),
                    stride=2,
                    filters=16,
                ),
            ),
            **SMALL,
        ),
    )


def two_conditions() -> Space:
    """SE of 0.5 only for MBConv with more than one layer: one decision with two parents."""
    return Space(
        "two-conditions",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    op=OneOf("conv", "mbconv"),
                    repeats=OneOf(1, 2, 3),
                    se_ratio=OneOf(0.0, 0.5, when={"op": ["mbconv"], "repeats": [2, 3]}),
                    kernel=3,
                    stride=2,
                    filters=OneOf(16, 24),
                ),
            ),
            **SMALL,
        ),
    )


def nested() -> Space:
    """op -> expand ratio -> SE: inactive all the way down.

    Where the op is 'conv', the ratio stands at 1, which SE doesn't go with.
    """
    block = partial(
        Block,
        op=OneOf("conv", "mbconv"),
        expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
        se_ratio=OneOf(0.0, 0.25, 0.5, when={"expand_ratio": [3, 6]}),
        kernel=3,
        stride=2,
    )
    # Both stages are made of the same OneOf objects: one cell, twice.
    stages = (partial(block, filters=16), partial(block, filters=24))
    return Space("nested", partial(Architecture, blocks=stages, **SMALL))


def shared() -> Space:
    """One kernel for both stages, and what depends on the shared layers is shared too."""
    kernel, repeats = OneOf(3, 5, 7), OneOf(1, 2)
    skip = OneOf("identity", "none", when={"repeats": [2]})
    stage = partial(Block, kernel=kernel, repeats=repeats, skip=skip, stride=2)
    return Space(
        "shared",
        partial(
            Architecture,
            blocks=(partial(stage, filters=OneOf(16, 24)), partial(stage, filters=OneOf(32, 40))),
            head=OneOf(64, 128),
            **SMALL,
        ),
    )


def fixed_parent() -> Space:
    """Conditions on siblings that are not open: always true, so no condition at all."""
    return Space(
        "fixed-parent",
        partial(
            Architecture,
            blocks=(
                partial(
                    Block,
                    repeats=2,
                    skip=OneOf("identity", "none", when={"repeats": [2, 3]}),
                    kernel=OneOf(3, 5),
                    stride=2,
                    filters=16,
                ),
            ),
            activation=OneOf("swish", "relu"),
            **SMALL,
        ),
    )


SPACES = [plain, conditional, two_conditions, nested, shared, fixed_parent]


@pytest.fixture(params=SPACES, ids=lambda make: make.__name__)
def space(request) -> Space:
    return request.param()


def every_vector(space: Space) -> np.ndarray:
    return np.array(list(itertools.product(*map(range, space.sizes))))


# --- names and order ---


def test_decisions_are_named_in_the_order_they_are_written():
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


def test_conditions_as_data_and_as_arrays():
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


# --- decoding and encoding ---


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


def test_a_shared_choice_is_made_once():
    space = shared()
    architecture = space.decode([2, 1, 1, 0, 1, 0])
    assert [block.kernel for block in architecture.blocks] == [7, 7]
    assert [block.skip for block in architecture.blocks] == ["none", "none"]
    assert [block.filters for block in architecture.blocks] == [16, 40]
    two_kernels = architecture.replace(
        blocks=(architecture.blocks[0], Block(3, 2, 40, repeats=2, skip="none"))
    )
    with pytest.raises(ValueError, match=r"blocks\[1\].kernel = 3 \(accepted: 7\)"):
        space.encode(two_kernels)


def test_encode_is_the_inverse_of_decode(space):
    for vector in every_vector(space):
        architecture = space.decode(vector).replace(name="whatever")
        encoded = space.encode(architecture)
        assert encoded.dtype == np.int32
        assert encoded.tolist() == space.canonical(vector).tolist()
        assert space.decode(encoded).canonical_hash() == architecture.canonical_hash()


def test_inactive_choices_need_not_be_the_first_to_encode():
    single = Architecture((Block(3, 2, 16, repeats=1, skip="none"),), **SMALL)
    assert conditional().encode(single).tolist() == [0, 0, 0, 0, 0]


def test_encode_names_all_that_it_can_not_express():
    wrong = Architecture((Block(7, 2, 16), Block(3, 1, 48, se_ratio=0.25)), head=99, **SMALL)
    with pytest.raises(ValueError) as caught:
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
    with pytest.raises(ValueError, match=r"len\(blocks\) = 7 \(accepted: 2\)"):
        plain().encode(PUBLISHED["efficientnet-b0"])


def test_encode_names_an_inactive_choice_that_would_have_mattered():
    # This template says that SE of a plain convolution does not matter. It does.
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
    with pytest.raises(ValueError, match=r"blocks\[0\].se_ratio = 0.25 \(accepted: 0.0\)"):
        space.encode(squeezed)


# --- canonical vectors and active decisions ---


def test_canonical_and_active_by_hand():
    space = nested()  # op, expand ratio, SE
    cases = [
        ([0, 0, 0], [0, 0, 0], [1, 0, 0]),
        ([0, 2, 2], [0, 0, 0], [1, 0, 0]),
        ([1, 0, 2], [1, 0, 0], [1, 1, 0]),
        ([1, 2, 0], [1, 2, 0], [1, 1, 1]),
        ([1, 1, 2], [1, 1, 2], [1, 1, 1]),
    ]
    for given, canonical, active in cases:
        assert space.canonical(given).tolist() == canonical
        assert space.active(given).tolist() == [bool(a) for a in active]


def test_a_condition_on_an_inactive_decision_looks_at_its_first_choice():
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


def test_many_vectors_at_once_are_as_one_by_one(space):
    vectors = every_vector(space)
    rng = np.random.default_rng(0)
    grid = rng.permutation(vectors)[: len(vectors) // 2 * 2].reshape(2, -1, vectors.shape[1])
    for function in (space.canonical, space.active):
        together = function(grid)
        assert together.shape == grid.shape
        for index in np.ndindex(grid.shape[:-1]):
            assert together[index].tolist() == function(grid[index]).tolist()
    assert space.canonical(vectors).dtype == np.int32
    assert space.active(vectors).dtype == bool


def test_canonical_leaves_its_argument_alone_and_is_idempotent(space):
    vectors = every_vector(space).astype(np.int32)
    before = vectors.copy()
    canonical = space.canonical(vectors)
    assert (vectors == before).all()
    assert (space.canonical(canonical) == canonical).all()
    assert (space.active(canonical) == space.active(vectors)).all()
    assert not canonical[~space.active(vectors)].any()


def test_active_agrees_with_the_conditions_and_with_the_arrays(space):
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


def test_networks_differ_exactly_where_canonical_vectors_do(space):
    hashes = {}
    for vector in every_vector(space):
        key = tuple(space.canonical(vector).tolist())
        hashes.setdefault(space.decode(vector).canonical_hash(), set()).add(key)
    assert all(len(keys) == 1 for keys in hashes.values())
    assert space.cardinality() == len(hashes)


@pytest.mark.parametrize(
    "make, by_hand",
    [
        (plain, 2 * 3 * 2 * 3),
        (conditional, (3 + 1) * 2 * (1 + 2 * 3)),
        (two_conditions, (3 + (1 + 2 * 2)) * 2),  # conv: 3 depths; mbconv: 1, or 2 with and without
        (nested, 1 + (1 + 2 * 3)),
        (shared, 3 * (1 + 2) * 2 * 2 * 2),
        (fixed_parent, 2 * 2 * 2),
    ],
)
def test_cardinality_by_hand(make, by_hand):
    assert make().cardinality() == by_hand
    assert type(make().cardinality()) is int


# --- exploring ---


def test_samples_are_canonical_and_reach_everything(space):
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
    found = [neighbour.tolist() for neighbour in space.neighbours([0, 2, 2])]
    assert found == [[1, 0, 0]]  # what wakes up stands at its first choice
    found = [neighbour.tolist() for neighbour in space.neighbours([1, 1, 2])]
    assert found == [[0, 0, 0], [1, 0, 0], [1, 2, 2], [1, 1, 0], [1, 1, 1]]


def test_neighbours_are_canonical_and_build_other_networks(space):
    for vector in space.canonical(every_vector(space)):
        neighbours = list(space.neighbours(vector))
        assert len(neighbours) == (space.sizes - 1)[space.active(vector)].sum()
        hashes = {space.decode(neighbour).canonical_hash() for neighbour in neighbours}
        assert len(hashes) == len(neighbours)
        assert space.decode(vector).canonical_hash() not in hashes
        assert all((space.canonical(n) == n).all() for n in neighbours)


# --- errors ---


def test_one_of_needs_different_choices():
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
def test_wrong_templates_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        Space("wrong", wrong)


def test_a_shared_choice_must_depend_on_the_same_everywhere():
    skip = OneOf("identity", "none", when={"repeats": [2]})
    stages = [
        partial(Block, kernel=3, repeats=OneOf(1, 2), skip=skip, stride=2, filters=f)
        for f in (8, 9)
    ]
    with pytest.raises(ValueError, match=r"blocks\[1\].skip is the same decision as blocks\[0\]"):
        Space("wrong", partial(Architecture, blocks=tuple(stages)))


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
def test_wrong_vectors_are_named(vector, message):
    space = plain()
    for function in (space.canonical, space.active, space.decode, space.describe):
        with pytest.raises(ValueError, match=message):
            function(vector)


def test_decode_takes_one_vector():
    with pytest.raises(ValueError, match=r"decode takes one vector, not \(2, 4\)"):
        plain().decode([[0, 0, 0, 0], [0, 0, 0, 0]])
