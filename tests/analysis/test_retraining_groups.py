"""Searches compared by their retrained networks: means, differences, files that are rejected."""

import pytest

from mnas.analysis.retraining_groups import (
    Group,
    difference,
    groups_of,
    records,
    require_same_training,
)
from mnas.errors import UsageError


def row(network, trial, mult_adds=10):
    return {"network": network, "trial": trial, "mult_adds": mult_adds}


def content(**changes):
    rows = [row("a", 3, 10), row("b", 5, 20), row("b0", None, 30)]
    accuracies = {"a": [0.7, 0.8], "b": [0.9, 0.9], "b0": [0.6, 0.7, 0.8]}
    return {"networks": rows, "accuracies": accuracies, **changes}


def test_search_is_a_group_of_network_means_and_reference_one_of_seeds():
    best, reference = groups_of(content(), "dyna", "dyna/retrained.json")
    assert best.values == pytest.approx((0.75, 0.9))
    assert (best.name, best.networks, best.trainings, best.mult_adds) == ("dyna", 2, 4, 15)
    assert best.mean == pytest.approx(0.825)
    assert best.interval == pytest.approx(12.7062 * 0.075, rel=1e-4)  # t(0.975, 1) · s/√2
    assert reference == Group("dyna: b0", (0.6, 0.7, 0.8), 1, 3, 30)


def test_networks_without_a_training_are_left_out():
    data = content(accuracies={"a": [0.7], "b": [], "b0": []})
    (best,) = groups_of(data, "dyna", "x")
    assert (best.values, best.networks, best.interval) == ((0.7,), 1, None)


def test_difference_has_welchs_interval():
    first = Group("first", (0.8, 0.9), 2, 2, 1)
    second = Group("second", (0.6, 0.7, 0.8), 3, 3, 1)
    # Variances of the means 0.0025 and 0.01/3; degrees of freedom 2.882, t(0.975) = 3.2571.
    distance, half = difference(first, second)
    assert distance == pytest.approx(0.15)
    assert half == pytest.approx(3.2571 * (0.0025 + 0.01 / 3) ** 0.5, rel=1e-3)
    assert difference(first, Group("one", (0.5,), 1, 1, 1)) == (pytest.approx(0.35), None)
    assert difference(Group("x", (0.5, 0.5), 2, 2, 1), Group("y", (0.5, 0.5), 2, 2, 1)) == (0, 0)


def test_records_compare_each_group_with_the_first():
    first, second = records(groups_of(content(), "dyna", "x"))
    assert (first["difference"], first["difference_half_interval"]) == (None, None)
    assert second["difference"] == pytest.approx(0.825 - 0.7)
    assert second["accuracy"] == pytest.approx(0.7) and second["trainings"] == 3


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        {},
        content(networks={}),
        content(accuracies=[]),
        content(networks=[1]),
        content(networks=[row(["a"], 1)]),
        content(networks=[row("c", 1)]),
        content(networks=[row("a", 1, "many")]),
        content(networks=[row("a", 1, 10**400)]),
        content(accuracies={"a": 0.7}),
        content(accuracies={"a": [True], "b": [], "b0": []}),
        content(accuracies={"a": [1.5], "b": [], "b0": []}),
        content(accuracies={"a": [], "b": [], "b0": [0.5]}),
    ],
)
def test_malformed_content_is_rejected_by_the_file_s_name(data):
    with pytest.raises(UsageError, match=r"^out/retrained\.json"):
        groups_of(data, "out", "out/retrained.json")


def test_retrainings_with_other_settings_are_not_compared():
    one = content(training={"epochs": 8, "seed": 1}, measured_on="10 test images")
    require_same_training({"a": one, "b": dict(one)})
    with pytest.raises(UsageError, match=r"^b: training\.epochs = 9, and a has 8; accepted"):
        require_same_training({"a": one, "b": {**one, "training": {"epochs": 9, "seed": 1}}})
    with pytest.raises(UsageError, match=r"^b: measured_on = '5 test images', and a has '10"):
        require_same_training({"a": one, "b": {**one, "measured_on": "5 test images"}})
