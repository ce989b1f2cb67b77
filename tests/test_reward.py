import math

import pytest

from mnas.errors import UsageError
from mnas.reward import RewardConfig, absolute, hard, soft

close = pytest.approx


def test_soft_form_by_hand():
    assert soft(0.75, 400e6, 400e6) == 0.75
    # At twice the cost 2^-0.07 = 0.952638 of the accuracy remains: the paper's "5% for doubling".
    assert soft(0.75, 800e6, 400e6) == close(0.7144785, abs=1e-6)
    assert soft(0.75, 200e6, 400e6) == close(0.7872875, abs=1e-6)
    assert soft(0.6, 4.0, 1.0, w=-0.5) == close(0.3)
    assert soft(0.0, 800e6, 400e6) == 0


def test_hard_form_by_hand():
    assert hard(0.75, 100e6, 400e6) == 0.75  # alpha = 0: no reward for being cheaper
    assert hard(0.75, 400e6, 400e6) == 0.75
    assert hard(0.75, 800e6, 400e6) == close(0.375)
    assert hard(0.75, 500e6, 400e6) == close(0.6)
    assert hard(0.8, 1.0, 4.0, alpha=-0.5) == close(1.6)
    assert hard(0.8, 16.0, 4.0, beta=-0.5) == close(0.4)
    assert hard(0.8, 4.0, 4.0, alpha=-0.5, beta=-9.0) == close(0.8)


def test_absolute_form_by_hand():
    assert absolute(0.75, 400e6, 400e6) == 0.75
    assert absolute(0.75, 600e6, 400e6) == close(0.70)
    assert absolute(0.75, 200e6, 400e6) == close(0.70)  # a lower cost is penalised too
    assert absolute(0.75, 3.0, 2.0, beta=-0.02) == close(0.74)


@pytest.mark.parametrize(
    "config, cost, reward",
    [
        (RewardConfig(), 800e6, 0.5 * 0.9526380),
        (RewardConfig(target_madds=200e6), 800e6, 0.5 * 0.9075192),
        (RewardConfig(w=-1.0), 800e6, 0.25),
        (RewardConfig(form="hard"), 800e6, 0.25),
        (RewardConfig(form="hard"), 200e6, 0.5),
        (RewardConfig(form="hard", beta=-2.0), 800e6, 0.125),
        (RewardConfig(form="hard", alpha=-1.0), 200e6, 1.0),
        (RewardConfig(form="absolute"), 800e6, 0.4),
        (RewardConfig(form="absolute", beta=-0.2), 200e6, 0.4),
        (RewardConfig(form="absolute", cost="params"), 10e6, 0.4),
        (RewardConfig(form="absolute", cost="params", target_params=2e6), 4e6, 0.4),
        (RewardConfig(form="hard", cost="latency_ms"), 20.0, 0.25),
        (RewardConfig(form="hard", cost="latency_ms", target_latency_ms=5.0), 20.0, 0.125),
    ],
)
def test_the_config_selects_form_cost_and_target(config, cost, reward):
    assert config(0.5, cost) == close(reward, abs=1e-6)


def test_the_target_is_that_of_the_selected_cost():
    targets = {"target_madds": 1.0, "target_params": 2.0, "target_latency_ms": 3.0}
    kinds = ("mult_adds", "params", "latency_ms")
    assert [RewardConfig(cost=c, **targets).target for c in kinds] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("cost", [0, -1.0, math.nan, math.inf])
def test_costs_must_be_positive_and_finite(cost):
    for form in ("soft", "hard", "absolute"):
        config = RewardConfig(form=form, cost="latency_ms")
        with pytest.raises(ValueError, match=rf"latency_ms = {cost}; accepted: a positive number"):
            config(0.5, cost)


@pytest.mark.parametrize(
    "field, value, accepted",
    [
        ("form", "sfot", "soft, hard, absolute"),
        ("cost", "flops", "mult_adds, params, latency_ms"),
        ("target_madds", 0, r"1 to 1e\+18"),
        ("target_params", -1.0, r"1 to 1e\+18"),
        ("target_latency_ms", math.nan, "1e-06 to 1000000000.0"),
        ("target_madds", math.inf, r"1 to 1e\+18"),
        ("w", 0.07, "-100 to 0"),
        ("alpha", 1.0, "-100 to 0"),
        ("beta", 0.1, "-100 to 0"),
        ("w", math.nan, "-100 to 0"),
        ("beta", -math.inf, "-100 to 0"),
    ],
)
def test_bad_settings_are_named(field, value, accepted):
    with pytest.raises(ValueError, match=rf"reward: {field} = {value!r}; accepted: .*{accepted}"):
        RewardConfig(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("w", -1e308),
        ("beta", -1e9),
        ("target_madds", 1e300),
        ("target_madds", 1e-300),
        ("target_params", 10**400),
    ],
)
def test_numbers_that_fit_no_machine_are_rejected(field, value):
    with pytest.raises(UsageError, match=rf"^reward: {field} = .*; accepted: "):
        RewardConfig(**{field: value})


@pytest.mark.parametrize(
    ("config", "cost"),
    [
        (RewardConfig(w=-100.0), 1.0),
        (RewardConfig(form="hard", alpha=-100.0), 1.0),
        (RewardConfig(form="absolute", cost="latency_ms", target_latency_ms=1e-6), 1e307),
    ],
)
def test_reward_that_overflows_is_an_error_with_its_cause(config, cost):
    message = rf"^reward: {config.cost} = 1.* with target .* gives no finite {config.form} "
    with pytest.raises(UsageError, match=message):
        config(0.5, cost)
