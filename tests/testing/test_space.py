"""`check_space` finds violations of the contract."""

from functools import partial

import numpy as np
import pytest

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.space import OneOf, Space
from mnas.testing import check_space


def template(**fields):
    block = partial(Block, **{"kernel": 3, "stride": 2, "filters": 16, **fields})
    return partial(Architecture, blocks=(block,), resolution=32, classes=10)


VALID = template(
    op=OneOf("mbconv", "conv"),
    expand_ratio=OneOf(1, 3, 6, when={"op": ["mbconv"]}),
    filters=OneOf(16, 24),
)


def test_a_valid_space_passes():
    check_space(Space("valid", VALID))
    check_space(Space("without conditions", template(kernel=OneOf(3, 5))))


def test_a_missing_condition_is_found():
    """A stage of one layer has no skip connection, so `skip` must depend on `repeats`."""
    missing = template(repeats=OneOf(1, 2), skip=OneOf("identity", "none"))
    with pytest.raises(AssertionError, match="decode to one network"):
        check_space(Space("missing", missing))


class InactiveMatters(Space):
    """Inactive decisions change the stem."""

    def decode(self, decisions):
        inactive = np.asarray(decisions)[~self.active(decisions)]
        return super().decode(decisions).replace(stem=32 + int(inactive.sum()))


class NotCanonical(Space):
    def sample(self, rng):
        return rng.integers(0, self.sizes).astype(np.int32)


class NotIdempotent(Space):
    def canonical(self, decisions):
        vector = super().canonical(decisions)
        vector[..., 0] = 1 - vector[..., 0]  # the filters, which are always active
        return vector


class MissingNeighbour(Space):
    def neighbours(self, decisions):
        return list(super().neighbours(decisions))[1:]


class WrongEncoding(Space):
    def encode(self, architecture):
        return super().encode(architecture) * 0


class WrongCardinality(Space):
    def cardinality(self):
        return int(np.prod(self.sizes))


class WrongArrays(Space):
    def __init__(self, name, template):
        super().__init__(name, template)
        self.accepted = np.ones_like(self.accepted)

    def active(self, decisions):
        return Space("other", self.template).active(decisions)

    def canonical(self, decisions):
        return Space("other", self.template).canonical(decisions)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (InactiveMatters, r"inactive decisions change the network"),
        (NotCanonical, r"expand_ratio is not canonical in samples"),
        (NotIdempotent, r"blocks\[0\].filters is active, but changed by canonical"),
        (MissingNeighbour, r"neighbours of .* expected"),
        (WrongEncoding, r"encode\(decode\(v\)\) is"),
        (WrongCardinality, r"cardinality is 12; fewer than 12 expected"),
        (WrongArrays, r"expand_ratio is active according to parents and accepted only"),
    ],
)
def test_broken_spaces_are_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_space(broken("broken", VALID))


def test_decisions_with_equal_names_are_found():
    space = Space("valid", VALID)
    space.decisions = (*space.decisions[:2], space.decisions[0])
    with pytest.raises(AssertionError, match=r"decisions with the same name: blocks\[0\].filters"):
        check_space(space)
