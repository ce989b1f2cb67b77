"""Rates of children by program, precision and number at once: ratios by hand, failures."""

import math
import sys

import pytest

from mnas.errors import RunFailure, UsageError
from mnas.experiments.performance import children
from mnas.experiments.performance.children import Arguments, Configuration, Turn


def arguments(**changes):
    return Arguments(**{"rounds": 2, "children": 3, "epochs": 2, "images": 100, **changes})


def test_rates_and_ratios_by_hand(monkeypatch):
    # Seconds of three children, and of these without compilation, by round.
    turns = {
        ("blocks", 1): [Turn(30, 20), Turn(20, 20)],
        ("blocks", 2): [Turn(30, 20), Turn(20, 20)],
        ("whole", 1): [Turn(60, 10), Turn(80, 10)],
        ("whole", 2): [Turn(60, 10), Turn(80, 10)],
    }
    trained = []

    def take_turn(configuration, arguments, networks, cache):
        trained.append((cache.name, [network.canonical_hash() for network in networks]))
        return turns[configuration.program, configuration.at_once].pop(0)

    monkeypatch.setattr(children, "take_turn", take_turn)
    logged: list[str] = []
    rows = children.measure(arguments(precisions=("float32",), at_once=(1, 2)), logged.append)
    assert [(row.program, row.precision, row.at_once) for row in rows] == [
        ("blocks", "float32", 1),
        ("blocks", "float32", 2),
        ("whole", "float32", 1),
        ("whole", "float32", 2),
    ]
    assert [row.children_per_hour for row in rows] == pytest.approx(
        [3600 * 6 / 50, 2 * 3600 * 6 / 50, 3600 * 6 / 140, 2 * 3600 * 6 / 140]
    )
    assert [row.compiling for row in rows] == pytest.approx([0.2, 0.2, 6 / 7, 6 / 7])
    # 2 rounds of 3 children, each 2 epochs of 100 images.
    assert [row.images_per_second for row in rows] == pytest.approx([30, 60, 60, 120])
    assert [row.ratio for row in rows] == pytest.approx(
        [1, 2, math.sqrt(0.5 * 0.25), 2 * math.sqrt(0.5 * 0.25)]
    )
    assert [row.images_ratio for row in rows] == pytest.approx([1, 2, 2, 4])
    # ln 0.5 and ln 0.25 differ by ln 2: their deviation is ln 2 / √2, and t(0.975, 1) = 12.706.
    half = rows[2].ratio * 12.706 * math.log(2) / 2
    assert [row.half for row in rows[:3]] == pytest.approx([0, 0, half], rel=1e-3)
    # In a round all train the same children, which those of the next round differ from.
    first, second = trained[:4], trained[4:]
    assert [name for name, _ in first] == [name for name, _ in second] == ["0", "1", "2", "3"]
    assert len({tuple(hashes) for _, hashes in first}) == 1
    assert not set(first[0][1]) & set(second[0][1])
    assert len(logged) == 8


def test_a_configuration_that_fails_does_not_end_the_others(monkeypatch):
    def take_turn(configuration, *rest):
        if configuration.precision == "bfloat16":
            raise RunFailure("out of memory")
        return Turn(2.0, 1.0)

    monkeypatch.setattr(children, "take_turn", take_turn)
    logged: list[str] = []
    rows = children.measure(arguments(programs=("blocks",), at_once=(1,)), logged.append)
    assert [row.rounds for row in rows] == [2, 0]
    assert rows[0].ratio == 1 and math.isnan(rows[1].ratio)
    assert sum("out of memory" in line for line in logged) == 1  # not tried again


def test_workers_have_the_environment_and_settings_of_a_search():
    quarter = Configuration("whole", "bfloat16", 4)
    assert quarter.engine("gpu").gpu_share == 0.25 and quarter.engine("gpu").workers == 4
    assert quarter.engine("cpu").gpu_share == 0
    config = quarter.evaluator(arguments())
    assert (config.program, config.training.precision) == ("whole", "bfloat16")
    assert (config.training.epochs, config.data.train_images) == (2, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"programs": ("blocks", "all")},
        {"precisions": ()},
        {"at_once": (0,)},
        {"at_once": ()},
        {"children": 1, "at_once": (1, 2)},
        {"rounds": 0},
    ],
)
def test_settings_are_checked(wrong):
    with pytest.raises(UsageError, match=r"^children: .*; accepted: "):
        arguments(**wrong)


def test_a_machine_without_gpu_is_said_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(children, "in_new_process", lambda function: function())
    monkeypatch.setattr(children, "measure", lambda *_: sys.exit("measured"))
    with pytest.raises(UsageError, match=r"device = 'gpu'; accepted: cpu, the only one"):
        children.main(["--device", "gpu"])


@pytest.mark.slow
def test_children_are_trained_in_processes():
    small = arguments(rounds=1, children=2, epochs=1, images=64, resolution=16, at_once=(2,))
    rows = children.measure(small, lambda line: None)
    assert len(rows) == 4
    assert all(row.rounds == 1 and 0 < row.compiling < 1 for row in rows)
    assert all(math.isfinite(row.images_per_second) for row in rows)
