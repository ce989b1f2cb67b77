import dataclasses

import pytest
from mnas.controllers.dyna import Dyna
from mnas.experiments import digits, stopping
from mnas.experiments.stopping import VARIANTS, Arguments, experiment_of

from mnas.architecture.cost import Cost
from mnas.evaluation import Evaluation
from mnas.loop.trial import Result, Trial


def test_only_how_children_are_stopped_differs():
    made = {name: experiment_of(v, Arguments(controller="dyna")) for name, v in VARIANTS.items()}
    assert made["off"].engine.kind == made["rule"].engine.kind == "ray"
    assert made["asha"].engine.kind == made["median"].engine.kind == "tune"
    assert made["off"].controller == Dyna()
    assert made["off"].evaluator == digits.EXPERIMENT.evaluator  # its own size
    assert made["rule"].search.stopping.quantile == 0.5
    off = dataclasses.replace(made["rule"].search, stopping=made["off"].search.stopping)
    same = dataclasses.replace(made["rule"], search=off)
    assert same == made["off"]
    assert dataclasses.replace(made["asha"], engine=made["off"].engine) == made["off"]


def test_schedulers_of_the_variants_exist():
    pytest.importorskip("ray")
    from mnas.engines.tune import SCHEDULERS

    named = {variant.scheduler for variant in VARIANTS.values()} - {None}
    assert named == set(SCHEDULERS)
    assert SCHEDULERS["asha"](3)._max_t == 4


def test_a_line_of_the_table_by_hand():
    children = [
        (Evaluation(0.9, epochs=4, seconds=4.0), None),
        (Evaluation(0.2, epochs=1, seconds=1.4, stopped=True), None),
        (Evaluation(0.9, epochs=4), 0),
    ]
    results = {
        number: Result(Trial(number, None, None, "", Cost(1, 1), 0), evaluation, 0.9, repeat)
        for number, (evaluation, repeat) in enumerate(children)
    }

    class Finished:
        pass

    finished = Finished()
    finished.results, finished.best = results, results[0]
    expected = ["rule", "0.9000 (trial 0)", "2", "1", "5", "3", "5", "3"]
    assert stopping.row("rule", finished, 3.2) == expected


def test_an_unknown_controller_is_named():
    with pytest.raises(ValueError, match=r"controller = 'dina'; accepted: dyna, "):
        Arguments(controller="dina")
