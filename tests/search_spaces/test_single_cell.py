import itertools

import numpy as np
import pytest

from mnas.architecture.published import PUBLISHED
from mnas.evaluators.surrogate_fits import choices_of, top1
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace
from mnas.search_spaces.single_cell import SingleCellSpace

SPACE = SingleCellSpace().build()
ALL = [SPACE.decode(v) for v in itertools.product(*map(range, SPACE.sizes))]


def test_decisions_are_named_after_the_first_stage():
    assert [decision.name for decision in SPACE.decisions] == [
        f"blocks[0].{field}" for field in ("expand_ratio", "kernel", "repeats", "se_ratio")
    ]


def test_cardinality():
    assert SPACE.cardinality() == 3 * 2 * 3 * 2 == 36 == len(ALL)
    assert len({architecture.canonical_hash() for architecture in ALL}) == 36


def test_stages_differ_in_filters_and_strides_only():
    b0 = PUBLISHED["efficientnet-b0"]
    for architecture in ALL:
        blocks = architecture.blocks
        assert len({(b.expand_ratio, b.kernel, b.repeats, b.se_ratio) for b in blocks}) == 1
        assert [(b.filters, b.stride) for b in blocks] == [(b.filters, b.stride) for b in b0.blocks]


def test_the_surrogate_covers_every_network():
    choices = choices_of(ALL)
    assert (choices.reshape(36, 7, 4) == choices[:, None, :4]).all()
    for fit in ("mlp", "ridge"):
        assert len(np.unique(top1(ALL, fit).mean)) == 36


def test_every_network_is_in_accel_nasbench():
    larger = AccelNasbenchSpace().build()
    for architecture in ALL:
        again = larger.decode(larger.encode(architecture))
        assert again.canonical_hash() == architecture.canonical_hash()


def test_encoding_b0_names_stages_that_differ_from_the_first():
    with pytest.raises(ValueError) as caught:
        SPACE.encode(PUBLISHED["efficientnet-b0"])
    assert "blocks[1].expand_ratio = 6 (accepted: 1)" in str(caught.value)
    assert "blocks[2].kernel = 5 (accepted: 3)" in str(caught.value)
    assert "blocks[5].repeats = 4 (accepted: 1)" in str(caught.value)
    assert "se_ratio" not in str(caught.value)
