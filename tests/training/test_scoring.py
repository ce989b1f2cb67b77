"""Scores of a chain of blocks on held-out images, by hand."""

import functools

import numpy as np
import pytest
from flax import linen as nn

from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.training.child import inference
from mnas.training.scoring import held_out_scores


class Brightness(nn.Module):
    """Logits (0, factor · brightness) of images; NaN of black ones where the factor is infinite."""

    factor: float

    def __call__(self, x, train):
        bright = x.mean((1, 2, 3)) * self.factor
        return np.float32([0, 1]) * bright[:, None]


def scores(factor, levels, labels):
    images = np.broadcast_to(np.uint8(levels)[:, None, None, None], (len(levels), 4, 4, 3))
    statistics = np.zeros(3, np.float32), np.ones(3, np.float32)
    feed = DeviceImages(Subset.of(images, np.array(labels)), statistics)
    compiled = functools.partial(inference, [("head", Brightness(factor))])
    return held_out_scores(compiled, {"head": {}}, feed, 2)


def test_accuracy_and_likelihood_by_hand():
    # Logits (0, ln 3), (0, ln 3), (0, 0): probabilities of class 1 are 3/4, 3/4 and 1/2; a tie is
    # the first class. Labels 1, 0, 1: their probabilities are 3/4, 1/4 and 1/2.
    found = scores(np.log(3), [1, 1, 0], [1, 0, 1])
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.likelihood == pytest.approx((3 / 4 * 1 / 4 * 1 / 2) ** (1 / 3), rel=1e-6)


def test_large_logits_do_not_overflow():
    found = scores(1e4, [255, 255], [1, 0])
    assert found.accuracy == 0.5
    assert found.likelihood == 0.0


def test_images_without_numbers_are_wrong():
    found = scores(np.inf, [0, 255], [0, 1])  # ∞ · 0, and 0 · ∞ in the first logit
    assert found == (0.0, 0.0)
