"""Conformance checks for search spaces, controllers and evaluators, ours or a user's own.

In: an implementation of a contract. Out: nothing, or an AssertionError that names the violated
requirement. They are plain functions, so they run under any test runner:

    from mnas.search_spaces import EfficientNetSpace
    from mnas.testing import check_controller, check_evaluator, check_space

    def test_my_space():
        check_space(MySpace().build())

    def test_my_controller():
        check_controller(MyController(), EfficientNetSpace().build())

    def test_my_evaluator():
        check_evaluator(MyEvaluatorConfig(), MySpace().build().decode(...))

    space       `check_space`: decoding, encoding, conditions, cardinality
    controller  `check_controller`: proposals, purity, determinism, checkpoints, bad rewards
    evaluator   `check_evaluator`: settings, determinism, reports, optional hooks

Imports the contracts `space`, `controller` and `evaluation`.
"""

from mnas.testing.controller import check_controller
from mnas.testing.evaluator import check_evaluator
from mnas.testing.space import check_space

__all__ = ["check_controller", "check_evaluator", "check_space"]
