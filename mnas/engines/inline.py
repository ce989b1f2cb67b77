"""One child after the other in this process: for surrogates, tests and machines without Ray."""

from mnas.engines.config import EngineConfig
from mnas.evaluation import EvaluatorConfig, evaluate_safely
from mnas.loop.search import Search


def run(search: Search, evaluator: EvaluatorConfig, config: EngineConfig) -> None:
    """Drives `search` to its end here; time limit and retries don't apply.

    The number of XLA's threads is the process's own; `search.py` sets it before JAX starts.
    """
    evaluate = evaluator.build()
    while (trial := search.ask()) is not None:  # nothing is ever out, so None means done
        evaluation = evaluate_safely(evaluate, trial.architecture, trial.seed, trial.report)
        search.tell(trial, evaluation)
