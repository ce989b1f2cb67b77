"""Engine that evaluates one child after another in this process.

For surrogates, tests and machines without Ray.
"""

from mnas.engines.config import EngineConfig
from mnas.evaluation import EvaluatorConfig, evaluate_safely
from mnas.loop.group import TrialSource
from mnas.runtime import signals


def run(search: TrialSource, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
    """Run `search` until it is done.

    Of `config` nothing applies: there is one worker, without time limit or retries, and the number
    of XLA threads is that of the process (`mnas.engines.environment.prepare_driver`).
    """
    evaluate = evaluator.build()
    # Every trial is told before the next `ask`, so None means that the search is done.
    while (trial := search.ask()) is not None:
        signals.check()  # of a signal whose exception was lost within a library
        evaluation = evaluate_safely(evaluate, trial.architecture, trial.seed, trial.report)
        search.tell(trial, evaluation)
