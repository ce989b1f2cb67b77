import re

import pytest

from mnas.architecture.published import PUBLISHED
from mnas.search_spaces.mnasnet import MnasNetSpace

GRID = MnasNetSpace().build()
EXTENDED = MnasNetSpace(published_filters=True).build()


def test_the_grid_is_the_papers():
    choices = {decision.name: decision.choices for decision in GRID.decisions}
    assert len(choices) == 7 * 7
    for stage, (layers, filters) in enumerate(
        [
            ({1, 2}, {12, 16, 20}),
            ({1, 2, 3}, {18, 24, 30}),
            ({2, 3, 4}, {24, 32, 40}),
            ({3, 4, 5}, {48, 64, 80}),
            ({2, 3, 4}, {72, 96, 120}),
            ({2, 3, 4}, {120, 160, 200}),
            ({1, 2}, {240, 320, 400}),
        ]
    ):
        assert set(choices[f"blocks[{stage}].repeats"]) == layers
        assert set(choices[f"blocks[{stage}].filters"]) == filters
        assert set(choices[f"blocks[{stage}].op"]) == {"conv", "mbconv"}
        assert set(choices[f"blocks[{stage}].expand_ratio"]) == {1, 3, 6}
        assert set(choices[f"blocks[{stage}].kernel"]) == {3, 5}
        assert set(choices[f"blocks[{stage}].se_ratio"]) == {0.0, 0.25}
        assert set(choices[f"blocks[{stage}].skip"]) == {"identity", "none", "pool"}


def test_cardinality():
    # 48 = (conv, or MBConv of 3 ratios) · 2 kernels · 2 SE · 3 filters; 3 skips from 2 layers on.
    by_hand = (48 * 4) * (48 * 7) * (48 * 9) ** 4 * (48 * 4)
    assert GRID.cardinality() == by_hand
    assert f"{by_hand:.1e}" == "4.3e+17"
    assert EXTENDED.cardinality() == by_hand // 3**2 * 4**2


def test_encoding_b0_names_the_filters_outside_the_grid():
    b0 = PUBLISHED["efficientnet-b0"].replace(activation="relu")
    with pytest.raises(ValueError) as caught:
        GRID.encode(b0)
    mismatches = re.findall(r"(\S+) = (\S+) \(accepted: (.*?)\)", str(caught.value))
    assert mismatches == [
        ("blocks[4].filters", "112", "96, 72, 120"),
        ("blocks[5].filters", "192", "160, 120, 200"),
    ]
    with pytest.raises(ValueError, match=r"activation = 'swish'.*blocks.4..filters.*blocks.5."):
        GRID.encode(PUBLISHED["efficientnet-b0"])


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_published_networks_are_in_the_extended_grid(name):
    network = PUBLISHED[name]
    decoded = EXTENDED.decode(EXTENDED.encode(network))
    assert decoded.canonical_hash() == network.canonical_hash()
    with pytest.raises(ValueError, match=r"blocks\[[45]\].filters"):
        GRID.encode(network)
