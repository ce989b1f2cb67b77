"""Our networks give timm's logits for the same weights: pinned ones, made by `golden.py`."""

import json

import numpy as np
import pytest

from mnas.architecture.published import TIMM
from tests.interchange import weights_rule
from tests.interchange.golden import FILE, FIRST, RESOLUTION
from tests.interchange.parity import IMAGES, logits, rule_variables

GOLDEN = json.loads(FILE.read_text())["models"]
# One of each kind; the others are larger, and of the same code.
QUICK = ("tf_efficientnet_b0", "mobilenetv2_100", "resnet50")
TOLERANCE = 1e-5


def test_all_models_are_pinned():
    assert list(GOLDEN) == list(TIMM)


@pytest.mark.parametrize(
    "model", [m if m in QUICK else pytest.param(m, marks=pytest.mark.slow) for m in TIMM]
)
def test_logits_are_timms(model):
    architecture = TIMM[model].replace(resolution=RESOLUTION)
    images = weights_rule.images(IMAGES, RESOLUTION)
    ours = logits(architecture, rule_variables(architecture), images)
    golden, largest = np.array(GOLDEN[model]["logits"]), GOLDEN[model]["largest"]
    assert np.abs(ours).max() == pytest.approx(largest, rel=TOLERANCE)
    np.testing.assert_allclose(ours[:, :FIRST], golden, rtol=0, atol=TOLERANCE * largest)


def test_pinned_logits_tell_images_and_models_apart():
    """Else the comparison would show nothing."""
    for model, pinned in GOLDEN.items():
        one, other = np.array(pinned["logits"])
        assert np.abs(one - other).max() > 50 * TOLERANCE * pinned["largest"], model
    same_weights = ("tf_efficientnet_b0", "efficientnet_b0")  # padding and epsilon differ
    first, second = (np.array(GOLDEN[model]["logits"]) for model in same_weights)
    assert np.abs(first - second).max() > 50 * TOLERANCE * GOLDEN["efficientnet_b0"]["largest"]


def test_the_rule_draws_what_it_drew():
    """A changed rule would make the pinned logits those of other weights."""
    kernel = weights_rule.tensor("conv_head.weight", (1, 2, 1, 1)).ravel()
    assert kernel.tolist() == pytest.approx([-0.4581829, 1.1795382], rel=1e-6)
    mean = weights_rule.tensor("bn1.running_mean", (2,), seed=1)
    assert mean.tolist() == pytest.approx([0.0390282, 0.1968977], rel=1e-5)
    assert weights_rule.tensor("bn1.num_batches_tracked", ()).dtype == np.int64
