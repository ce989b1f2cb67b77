"""Values of records as trackers show them: what TensorBoard's tests don't reach."""

from mnas.loop.metrics import Metrics, flat
from tests.runs import proposals, remeasure, remeasured, result

ROUND = remeasure([5, 0], seeds=2)
MEASURED = [
    remeasured(5, 0, 0.6),
    remeasured(0, 0, None, "lost"),
    remeasured(0, 1, 0.25),
    remeasured(5, 1, 0.8),
]


def test_further_measurements_are_numbered_and_a_round_ends_with_a_table():
    metrics = Metrics()
    assert metrics.step(proposals([[0]])) is None and metrics.step(ROUND) is None
    steps = [metrics.step(record) for record in MEASURED]
    assert [step.number for step in steps] == [0, 1, 2, 3]
    assert steps[0].values == {
        **{"remeasured/accuracy": 0.6, "remeasured/reward": 0.6},
        **{"remeasured/seconds": 3.0, "remeasured/trial": 5},
    }
    assert steps[1].values == {"remeasured/seconds": 3.0, "remeasured/trial": 0}
    assert [list(step.texts) for step in steps] == [[], [], [], ["remeasured"]]
    # Mean 0.7; t(0.975, 1) = 12.706 and s / √2 = 0.1: the interval is cut at 0 and 1.
    assert steps[3].texts["remeasured"].splitlines() == [
        "| trial | accuracy | 95% interval | reward | n | failed |",
        "|--|--|--|--|--|--|",
        "| 5 | 0.7000 | 0.0000 to 1.0000 | 0.7000 | 2 | 0 |",
        "| 0 | 0.2500 |  | 0.2500 | 1 | 1 |",
    ]


def test_a_resumed_round_goes_on_with_its_numbers_and_its_table():
    metrics = Metrics().follow([ROUND, *MEASURED[:3]])
    step = metrics.step(MEASURED[3])
    assert step.number == 3 and "| 5 | 0.7000 |" in step.texts["remeasured"]


def test_measurements_of_two_rounds_are_numbered_through():
    metrics = Metrics().follow([ROUND, *MEASURED])
    metrics.step(remeasure([5], seeds=3, selection="model"))
    step = metrics.step(remeasured(5, 2, 0.7))
    assert step.number == 4
    assert step.texts["remeasured"].splitlines()[2:] == [
        "| 5 | 0.7000 | 0.4516 to 0.9484 | 0.7000 | 3 | 0 |"
    ]


def test_the_best_of_equals_is_the_first_trial_in_any_order():
    metrics = Metrics()
    for record in (result(3, 0.7), result(2, 0.7), result(4, 0.9, stopped=True)):
        metrics.step(record)
    assert metrics.best.trial == 2 and metrics.trials == 5


def test_settings_are_flat():
    settings = {"a": {"b": 1, "c": None}, "d": (3, 5), "e": {"f": {"g": False}}}
    assert flat(settings) == {"a.b": 1, "d": "(3, 5)", "e.f.g": False}
