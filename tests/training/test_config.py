"""Training settings and learning-rate schedule."""

import math

import pytest

from mnas.errors import UsageError
from mnas.training.config import TrainingConfig, learning_rate


def test_learning_rates_by_hand():
    cosine = TrainingConfig(epochs=5, learning_rate=1.0, warmup_epochs=1.0)
    rates = [learning_rate(cosine, step, 2) for step in range(10)]
    # Two steps of warm-up, then half a cosine over eight: cos(0), cos(π/8), ...
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5)
    assert rates[9] == pytest.approx((1 + math.cos(7 / 8 * math.pi)) / 2)
    exponential = TrainingConfig(learning_rate=1.0, schedule="exponential", warmup_epochs=0.0)
    # ×0.97 every 2.4 epochs: at epochs 2, 3 and 5 after 0, 1 and 2 decays.
    rates = [learning_rate(exponential, epoch * 10, 10) for epoch in (0, 2, 3, 5)]
    assert rates == pytest.approx([1, 1, 0.97, 0.9409])


@pytest.mark.parametrize(
    ("field", "value", "accepted"),
    [
        ("epochs", 0, "at least 1"),
        ("batch_size", 2.5, "whole number"),
        ("crop_padding", -1, "at least 0"),
        ("learning_rate", 0.0, "above 0"),
        ("learning_rate", math.nan, "above 0"),
        ("schedule", "linear", "cosine, exponential"),
        ("label_smoothing", 1.0, "below 1"),
        ("warmup_epochs", -1.0, "at least 0"),
        ("flip", 1, "True, False"),
    ],
)
def test_invalid_settings_are_rejected_by_name(field, value, accepted):
    with pytest.raises(UsageError, match=f"training: {field} = .*; accepted: .*{accepted}"):
        TrainingConfig(**{field: value})
