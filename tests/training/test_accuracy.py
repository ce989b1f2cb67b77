"""Accuracies, their intervals, and what is scored."""

import jax.numpy as jnp
import numpy as np
import pytest

from mnas.data.feeds import DeviceImages
from mnas.data.images import Subset
from mnas.training.accuracy import Score, wilson_interval
from mnas.training.scoring import score


def test_wilson_intervals_by_hand():
    # Wilson (1927) by his formula: 10 of 10 gives n / (n + z²) to 1.
    assert wilson_interval(10, 10) == pytest.approx((10 / (10 + 1.959964**2), 1.0), abs=1e-6)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 1 - 10 / (10 + 1.959964**2)), abs=1e-6)
    # 50 of 100: 1/2 ± z / 2 · sqrt(1 / (n + z²)).
    half = 1.959964 / 2 / (100 + 1.959964**2) ** 0.5
    assert wilson_interval(50, 100) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)


def test_a_score_says_accuracies_intervals_and_n():
    found = Score(200, 100, 150)
    assert found.accuracy == 0.5
    assert found.to_dict()["top5"] == 0.75
    assert found.to_dict()["top1_interval"] == [*wilson_interval(100, 200)]
    assert str(found) == "top-1 50.00% (43.14% to 56.86%), top-5 75.00% (68.57% to 80.49%), n = 200"
    assert Score(10, 5, None).to_dict()["top5"] is None
    assert "top-5" not in str(Score(10, 5, None))


def feed(labels):
    return DeviceImages(Subset.of(np.zeros((len(labels), 2, 2, 3), np.uint8), np.array(labels)))


def logits_of(table):
    """Return a network whose logits are the next rows of a table, whatever the images."""
    rows = iter(np.asarray(table, np.float32))
    return lambda images: jnp.stack([next(rows) for _ in range(len(images))])


def test_counts_labels_among_the_largest_logits_and_no_padding():
    ranked = [9, 8, 7, 6, 5, 4, 3]  # class 0 has the largest logit, class 6 the smallest
    labels = [0, 1, 4, 5, 0]
    table = [ranked] * 6  # two batches of three: the last image is padding, of label 0
    assert score(logits_of(table), feed(labels), 3) == Score(5, 2, 4)


def test_of_equal_logits_the_first_is_the_largest_and_nan_is_never_right():
    equal, broken = [1.0] * 7, [np.nan] * 7
    assert score(logits_of([equal, equal]), feed([0, 5]), 2) == Score(2, 1, 1)
    assert score(logits_of([broken, broken]), feed([0, 1]), 2) == Score(2, 0, 0)


def test_top_5_of_five_classes_says_nothing():
    assert score(logits_of([[1.0, 0, 0, 0, 0]]), feed([0]), 1) == Score(1, 1, None)
