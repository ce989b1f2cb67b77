"""Ray actor that evaluates children. Its module imports neither JAX nor the search."""

from mnas.architecture.architecture import Architecture
from mnas.engines.environment import require_backend
from mnas.evaluation import Evaluation, EvaluatorConfig, Report, evaluate_safely
from mnas.runtime.jax_settings import reset_process
from mnas.runtime.parent import end_with_parent
from mnas.runtime.pinning import pin


class Worker:
    """Class of the actor; it holds one evaluator.

    cores    number of cores to pin the process to; 0 for no pinning
    backend  that children are to be evaluated on
    """

    def __init__(self, config: EvaluatorConfig, cores: int, backend: str = "cpu") -> None:
        reset_process()
        end_with_parent()  # the raylet; Ray itself takes some seconds
        if cores:
            pin(cores)
        require_backend(backend)
        self._evaluate = config.build()

    def ready(self) -> None:
        """Return once the constructor has finished."""

    def evaluate(self, architecture: Architecture, seed: int, report: Report | None) -> Evaluation:
        """Return the evaluation of one child; an exception in it is a failed evaluation."""
        return evaluate_safely(self._evaluate, architecture, seed, report)
