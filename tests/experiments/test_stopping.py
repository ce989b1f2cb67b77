"""Comparison of early-stopping rules: its variants, and a line of its table."""

import dataclasses
import types

import pytest

from mnas.architecture.cost import Cost
from mnas.controllers.dyna import Dyna
from mnas.evaluation import Evaluation
from mnas.experiments import digits, stopping
from mnas.experiments.stopping import VARIANTS, Arguments, experiment_of
from mnas.loop.trial import Result, Trial


def test_variants_differ_only_in_how_children_are_stopped():
    experiments = {
        name: experiment_of(variant, Arguments(controller="dyna"))
        for name, variant in VARIANTS.items()
    }
    off, rule = experiments["off"], experiments["rule"]
    assert off.controller == Dyna()
    assert off.evaluator == digits.EXPERIMENT.evaluator  # of the default size
    assert off.engine.kind == rule.engine.kind == "ray"
    assert rule.search.stopping.quantile == 0.5
    without_rule = dataclasses.replace(rule.search, stopping=off.search.stopping)
    assert dataclasses.replace(rule, search=without_rule) == off
    for name in ("asha", "median"):
        assert experiments[name].engine.kind == "tune"
        assert dataclasses.replace(experiments[name], engine=off.engine) == off


def test_every_scheduler_of_ray_tune_has_a_variant():
    pytest.importorskip("ray")
    from mnas.engines.tune import SCHEDULERS

    assert {variant.scheduler for variant in VARIANTS.values()} - {None} == set(SCHEDULERS)


def test_line_of_the_table_matches_hand_computed_sums():
    children = [
        (Evaluation(0.9, epochs=4, seconds=4.0), None),
        (Evaluation(0.2, epochs=1, seconds=1.4, stopped=True), None),
        (Evaluation(0.9, epochs=4), 0),
    ]
    results = {
        number: Result(Trial(number, None, None, "", Cost(1, 1), 0), evaluation, 0.9, duplicate_of)
        for number, (evaluation, duplicate_of) in enumerate(children)
    }
    finished = types.SimpleNamespace(results=results, best=results[0])
    expected = ["rule", "0.9000 (trial 0)", "2", "1", "5", "3", "5", "3"]
    assert stopping.row("rule", finished, 3.2) == expected


def test_unknown_controller_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown controller 'dina'; did you mean dyna\?"):
        Arguments(controller="dina")
