import pytest

from mnas.architecture.published import PUBLISHED
from mnas.architecture.scaling import multiply
from mnas.errors import UsageError
from mnas.search_spaces.efficientnet import EfficientNetSpace


def test_names_of_decisions():
    space = EfficientNetSpace().build()
    fields = ("expand_ratio", "kernel", "se_ratio", "repeats", "skip", "filters")
    names = [f"blocks[{stage}].{field}" for stage in range(7) for field in fields]
    assert [decision.name for decision in space.decisions] == names


def test_cardinality():
    # 36 = 3 ratios · 2 kernels · 2 SE · 3 filters, times layers with their skips (2 where the stage
    # has a second layer): 1 + 2 for 1 or 2 layers, 1 + 2 + 2 for 1 to 3, 2 + 2 + 2 for more.
    by_hand = (36 * 3) * (36 * 5) * (36 * 6) ** 4 * (36 * 3)
    assert EfficientNetSpace().build().cardinality() == by_hand


def test_filters_can_be_fixed_to_b0s():
    space = EfficientNetSpace(filters="b0").build()
    assert space.cardinality() == (12 * 3) * (12 * 5) * (12 * 6) ** 4 * (12 * 3)
    b0 = PUBLISHED["efficientnet-b0"]
    assert space.decode(space.encode(b0)).canonical_hash() == b0.canonical_hash()
    with pytest.raises(ValueError, match=r"blocks\[5\]\.filters = 160 \(accepted: 192\)"):
        space.encode(PUBLISHED["mnasnet-a1"].replace(activation="swish"))


def test_b0_is_in_the_space():
    space = EfficientNetSpace().build()
    b0 = PUBLISHED["efficientnet-b0"]
    vector = space.encode(b0)
    assert space.decode(vector).replace(name=b0.name) == b0
    values = space.describe(vector)
    assert [values[f"blocks[{stage}].repeats"] for stage in range(7)] == [1, 2, 2, 3, 3, 4, 1]
    assert [values[f"blocks[{stage}].filters"] for stage in (4, 5)] == [112, 192]
    # The skip is inactive in a stage of one layer.
    assert [f"blocks[{stage}].skip" in values for stage in range(7)] == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("name", ["mnasnet-a1", "mnasnet-b1"])
def test_mnasnet_is_in_the_space_with_relu(name):
    space = EfficientNetSpace(activation="relu").build()
    decoded = space.decode(space.encode(PUBLISHED[name]))
    assert decoded.canonical_hash() == PUBLISHED[name].canonical_hash()
    with pytest.raises(ValueError, match=r": activation = 'relu' \(accepted: swish\)$"):
        EfficientNetSpace().build().encode(PUBLISHED[name])


def test_encoding_timms_padding_names_the_differences():
    as_in_timm = PUBLISHED["efficientnet-b0"].replace(padding="symmetric", bn_epsilon=1e-5)
    with pytest.raises(ValueError, match=r"padding = 'symmetric' .*; bn_epsilon = 1e-05 "):
        EfficientNetSpace().build().encode(as_in_timm)


def test_settings_apply_to_the_networks():
    space = EfficientNetSpace(resolution=32, classes=10, head=256, activation="relu").build()
    architecture = space.decode([0] * len(space.sizes))
    assert (architecture.resolution, architecture.classes, architecture.head) == (32, 10, 256)
    assert architecture.activation == "relu"


def test_stem_of_stride_1_quadruples_the_pixels_of_all_layers():
    space = EfficientNetSpace(resolution=32, stem_stride=1).build()
    b0 = PUBLISHED["efficientnet-b0"].replace(resolution=32, stem_stride=1)
    assert space.decode(space.encode(b0)).canonical_hash() == b0.canonical_hash()
    with pytest.raises(ValueError, match=r"stem_stride = 3; accepted: 1, 2$"):
        EfficientNetSpace(stem_stride=3).build().decode([0] * len(space.sizes))


def test_a_width_scales_stem_stages_and_head_as_compound_scaling_does():
    space = EfficientNetSpace(filters="b0", width=0.5).build()
    half = multiply(PUBLISHED["efficientnet-b0"], width=0.5)
    assert (half.stem, half.head) == (16, 640)
    assert space.decode(space.encode(half)).canonical_hash() == half.canonical_hash()
    assert space.cardinality() == EfficientNetSpace(filters="b0").build().cardinality()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0.5}, r"width = 0\.5; accepted: 1, or filters = 'b0'"),
        ({"width": 0.0, "filters": "b0"}, "width = 0"),
        ({"width": float("nan"), "filters": "b0"}, "width = nan"),
    ],
)
def test_widths_that_no_space_has_are_rejected(settings, message):
    with pytest.raises(UsageError, match=message):
        EfficientNetSpace(**settings)
