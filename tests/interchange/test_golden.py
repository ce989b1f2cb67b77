"""Our networks compute timm's logits, pinned by `golden.py`, from the same weights."""

import json

import numpy as np
import pytest

from mnas.architecture.published import TIMM
from tests.interchange import weights_rule
from tests.interchange.golden import FILE, FIRST, RESOLUTION
from tests.interchange.parity import IMAGES, logits, rule_variables

GOLDEN = json.loads(FILE.read_text())["models"]
# One of each family; the others are larger and run the same code.
QUICK = ("tf_efficientnet_b0", "mobilenetv2_100", "resnet50")
TOLERANCE = 1e-5


def test_all_models_are_pinned():
    assert list(GOLDEN) == list(TIMM)


@pytest.mark.parametrize(
    "model", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in TIMM]
)
def test_logits_agree_with_timm(model):
    architecture = TIMM[model].replace(resolution=RESOLUTION)
    images = weights_rule.images(IMAGES, RESOLUTION)
    computed = logits(architecture, rule_variables(architecture), images)
    golden, largest = np.array(GOLDEN[model]["logits"]), GOLDEN[model]["largest"]
    assert np.abs(computed).max() == pytest.approx(largest, rel=TOLERANCE)
    np.testing.assert_allclose(computed[:, :FIRST], golden, rtol=0, atol=TOLERANCE * largest)


def test_pinned_logits_differ_between_images_and_models():
    """Otherwise the comparison would prove nothing."""
    for model, pinned in GOLDEN.items():
        one, other = np.array(pinned["logits"])
        assert np.abs(one - other).max() > 50 * TOLERANCE * pinned["largest"], model
    same_weights = ("tf_efficientnet_b0", "efficientnet_b0")  # padding and epsilon differ
    first, second = (np.array(GOLDEN[model]["logits"]) for model in same_weights)
    assert np.abs(first - second).max() > 50 * TOLERANCE * GOLDEN["efficientnet_b0"]["largest"]


def test_weights_rule_is_unchanged():
    """The pinned logits belong to the weights of this rule."""
    kernel = weights_rule.tensor("conv_head.weight", (1, 2, 1, 1)).ravel()
    assert kernel.tolist() == pytest.approx([-0.4581829, 1.1795382], rel=1e-6)
    mean = weights_rule.tensor("bn1.running_mean", (2,), seed=1)
    assert mean.tolist() == pytest.approx([0.0390282, 0.1968977], rel=1e-5)
    assert weights_rule.tensor("bn1.num_batches_tracked", ()).dtype == np.int64
