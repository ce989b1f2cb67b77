import math
import pickle

import numpy as np
import pytest

from mnas.evaluation import Evaluation, evaluate_safely, failure
from mnas.loop.early_stopping import Curves, StoppingConfig, StoppingRule, savings

MEDIAN = StoppingConfig(quantile=0.5, min_curves=4)


def child(*accuracies, stopped=False) -> Evaluation:
    """Return an evaluation with these accuracies after epochs 1, 2, ..."""
    history = tuple(enumerate(accuracies, start=1))
    return Evaluation(accuracies[-1], epochs=len(history), history=history, stopped=stopped)


FOUR = [child(0.1, 0.5, 0.6), child(0.2, 0.3, 0.8), child(0.3, 0.4, 0.5), child(0.4, 0.6, 0.9)]


# --- the rule ---


def test_rule_stops_below_thresholds_of_their_epochs_only():
    rule = StoppingRule(((1, 0.2), (3, 0.5)))
    answers = [rule(1, 0.19), rule(1, 0.2), rule(2, 0.0), rule(3, 0.49), rule(3, 0.5), rule(4, 0.0)]
    assert answers == ["stop", None, None, "stop", None, None]
    assert rule(1, math.nan) == "stop"
    assert StoppingRule()(1, 0.0) is None


def test_rule_can_be_pickled_and_built_from_json():
    rule = StoppingRule(((1, 0.25),))
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert StoppingRule([[1, 0.25]])(1, 0.2) == "stop"


# --- thresholds by hand ---


def test_thresholds_are_quantiles_by_epoch():
    # Of four, the median's order statistic is the second: 0.2 of .1 .2 .3 .4, 0.4 of .3 .4 .5 .6.
    assert MEDIAN.rule(Curves(FOUR)).thresholds == ((1, 0.2), (2, 0.4))
    assert MEDIAN.rule(Curves(reversed(FOUR))) == MEDIAN.rule(Curves(FOUR))
    # Three quarters of the way from the first to the fourth is 2.25 steps: the third.
    upper = StoppingConfig(quantile=0.75, min_curves=4)
    assert upper.rule(Curves(FOUR)).thresholds == ((1, 0.3), (2, 0.5))


def test_no_threshold_with_few_curves_in_early_epochs_or_at_the_last_one():
    assert MEDIAN.rule(Curves([])) == MEDIAN.rule(Curves(FOUR[:3])) == StoppingRule()
    later = StoppingConfig(quantile=0.5, min_curves=4, min_epochs=2)
    assert later.rule(Curves(FOUR)).thresholds == ((2, 0.4),)
    assert StoppingConfig(quantile=0.5, min_curves=1).rule(Curves([child(0.5)])) == StoppingRule()


def test_quantile_zero_gives_no_rule():
    assert StoppingConfig().rule(Curves(FOUR)) is None
    assert StoppingConfig(quantile=0.0, min_curves=1).rule(Curves(FOUR)) is None


def test_stopped_children_rank_below_all_others_at_later_epochs():
    children = [*FOUR, child(0.05, stopped=True), child(0.06, stopped=True)]
    # Epoch 1, all six: .05 .06 .1 .2 .3 .4, the third. Epoch 2: two below, then .3 .4 .5 .6: the
    # third is .3, where survivors alone would give .4.
    assert MEDIAN.rule(Curves(children)).thresholds == ((1, 0.1), (2, 0.3))


def test_no_threshold_where_more_than_the_quantile_was_stopped():
    children = [*FOUR[:2], *[child(0.05, stopped=True)] * 4]
    assert MEDIAN.rule(Curves(children)).thresholds == ((1, 0.05),)


def test_failed_children_and_those_without_history_are_ignored():
    assert MEDIAN.rule(Curves([*FOUR, failure("lost"), Evaluation(0.0, epochs=3)])) == MEDIAN.rule(
        Curves(FOUR)
    )


def test_shorter_complete_training_is_ignored_at_later_epochs():
    assert MEDIAN.rule(Curves([*FOUR, child(0.9)])).thresholds == ((1, 0.3), (2, 0.4))


def test_epochs_without_evaluation_have_no_threshold():
    curves = [Evaluation(0.9, epochs=9, history=((3, 0.5), (6, 0.6), (9, 0.9)))] * 4
    assert MEDIAN.rule(Curves(curves)).thresholds == ((3, 0.5), (6, 0.6))


def thresholds_from_all(config: StoppingConfig, children: list[Evaluation]):
    """Compute the thresholds from all curves at once, epoch by epoch."""
    curves = [(dict(c.history), c.stopped) for c in children]
    thresholds = []
    for epoch in sorted({epoch for curve, _ in curves for epoch in curve})[:-1]:
        known = [
            curve.get(epoch, -math.inf)
            for curve, stopped in curves
            if epoch in curve or (stopped and max(curve) < epoch)
        ]
        if epoch >= config.min_epochs and len(known) >= config.min_curves:
            least = sorted(known)[math.floor(config.quantile * (len(known) - 1))]
            if least > -math.inf:
                thresholds.append((epoch, least))
    return tuple(thresholds)


@pytest.mark.parametrize("quantile", [0.01, 0.3, 0.5, 0.99])
def test_incremental_curves_give_the_thresholds_of_all_curves_at_once(quantile):
    rng = np.random.default_rng(0)
    config, curves, children = StoppingConfig(quantile, min_curves=3), Curves(), []
    for _ in range(60):
        # One to six epochs, some not evaluated, accuracies with ties.
        length = rng.integers(1, 7)
        accuracies = rng.integers(0, 20, length) / 20
        history = [(e, float(a)) for e, a in enumerate(accuracies, 1) if rng.random() < 0.8]
        stopped = bool(history) and length < 6 and bool(rng.integers(2))
        evaluation = Evaluation(0.5, epochs=int(length), history=tuple(history), stopped=stopped)
        children.append(evaluation)
        curves.add(evaluation)
        assert config.rule(curves).thresholds == thresholds_from_all(config, children)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantile", -0.1),
        ("quantile", 1.0),
        ("quantile", math.nan),
        ("min_curves", 0),
        ("min_epochs", 0),
    ],
)
def test_invalid_setting_is_rejected_with_its_name(field, value):
    with pytest.raises(ValueError, match=rf"stopping: {field} = {value}; accepted: "):
        StoppingConfig(**{field: value})


# --- evaluators with a rule ---


def curve(architecture, seed, report=None) -> Evaluation:
    """Evaluate three epochs of accuracy 0.1, 0.2, 0.3."""
    for epoch in (1, 2, 3):
        if report is not None and report(epoch, epoch / 10) == "stop":
            break
    return Evaluation(epoch / 10, epochs=epoch)


def test_evaluate_safely_records_history_and_stop():
    stopped = evaluate_safely(curve, None, 0, StoppingRule(((2, 0.25),)))
    assert stopped == Evaluation(0.2, epochs=2, history=((1, 0.1), (2, 0.2)), stopped=True)
    whole = evaluate_safely(curve, None, 0, StoppingRule())
    assert whole == child(0.1, 0.2, 0.3)
    assert evaluate_safely(curve, None, 0) == Evaluation(0.3, epochs=3)


def test_evaluator_that_ignores_stop_is_not_stopped():
    def stubborn(architecture, seed, report=None):
        for epoch in (1, 2, 3):
            report(epoch, epoch / 10)
        return Evaluation(0.3, epochs=3)

    assert not evaluate_safely(stubborn, None, 0, StoppingRule(((2, 0.25),))).stopped


def test_evaluator_that_never_reports_is_never_stopped():
    def silent(architecture, seed, report=None):
        return Evaluation(0.1, epochs=3)

    assert evaluate_safely(silent, None, 0, StoppingRule(((1, 0.9),))) == Evaluation(0.1, epochs=3)


def test_savings_counts_epochs_up_to_the_longest_training():
    assert savings([]) == (0, 0)
    assert savings([(3, False), (3, False)]) == (0, 0)
    assert savings([(5, False), (1, True), (2, True), (0, False)]) == (2, 4 + 3)
