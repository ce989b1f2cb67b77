"""Ray Tune trainable that evaluates children. Its module imports neither JAX nor the search."""

import dataclasses
import os
import queue
import sys
import threading
from typing import Any, Literal

from ray import tune

from mnas.architecture.architecture import Architecture
from mnas.engines.environment import require_backend
from mnas.evaluation import Evaluation, EvaluatorConfig, Report, evaluate_safely, failure
from mnas.loop.early_stopping import StoppingRule
from mnas.runtime.jax_settings import reset_process
from mnas.runtime.parent import end_with_parent
from mnas.runtime.pinning import pin

METRIC, MODE = "accuracy", "max"


class Child(tune.Trainable):
    """Tune trainable: actor that evaluates one child after another with one evaluator.

    Without reports, one `step` is the whole evaluation of a child. With reports, the child is
    evaluated in a thread that waits at each report until Tune calls `step` again or stops it.
    """

    def setup(  # type: ignore[override]  # Tune passes the arguments of `with_parameters` too
        self,
        config: dict[str, Any],
        evaluator: EvaluatorConfig,
        environment: dict[str, str],
        cores: int,
        backend: str,
        reports: bool,
    ) -> None:
        reset_process()
        end_with_parent()
        _set_environment(environment)
        if cores:
            pin(cores)
        self._reports = reports
        self._thread: threading.Thread | None = None
        self._clear()
        # An exception in `setup` would count as an error of the child and be retried. the engine
        # ends the search with this one.
        self._build_error = None
        try:
            require_backend(backend)
            self._evaluate = evaluator.build()
        except Exception as error:
            self._build_error = failure(error).error

    def step(self) -> dict[str, Any]:
        if self._build_error is not None:
            return {"build_error": self._build_error, "done": True}
        if not self._reports:
            thresholds = self.config["child"].get("thresholds")
            rule = None if thresholds is None else StoppingRule(thresholds)
            return _final_result(self._evaluate_child(rule))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run_thread, daemon=True)
            self._thread.start()
        else:
            self._continue.release()
        return self._tune_results.get()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._stop()
        if self._thread is not None:
            self._thread.join()  # the evaluator is not used by two threads at a time
        self._clear()
        return True

    def cleanup(self) -> None:
        self._stop()

    def _clear(self) -> None:
        """Set the state of a child that has not been started."""
        self._thread = None
        self._stopped = False
        self._history: list[tuple[int, float]] = []
        self._tune_results: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._continue = threading.Semaphore(0)

    def _run_thread(self) -> None:
        self._tune_results.put(_final_result(self._evaluate_child(self._report)))

    def _evaluate_child(self, report: Report | None) -> Evaluation:
        child = self.config["child"]
        architecture = Architecture.from_dict(child["architecture"])
        return evaluate_safely(self._evaluate, architecture, child["seed"], report)

    def _report(self, epoch: int, accuracy: float) -> Literal["stop"] | None:
        if not self._stopped:
            self._history.append((epoch, float(accuracy)))
            history = tuple(self._history)
            self._tune_results.put({"epoch": epoch, METRIC: float(accuracy), "history": history})
            self._continue.acquire()
        return "stop" if self._stopped else None

    def _stop(self) -> None:
        self._stopped = True
        if self._thread is not None:
            self._continue.release()


def _final_result(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "epoch": evaluation.epochs,
        METRIC: evaluation.accuracy,
        "evaluation": dataclasses.asdict(evaluation),
        "done": True,
    }


def _set_environment(environment: dict[str, str]) -> None:
    """Set variables in a process that may have imported JAX but has not used it.

    Tune does not let us set the environment in which its actors start. XLA reads its variables at
    first use, but JAX reads its own at import; where that is done, they are set as options of JAX.
    """
    os.environ.update(environment)
    if "jax" not in sys.modules:
        return
    import jax

    for name, value in environment.items():
        if name.startswith("JAX_"):
            current = getattr(jax.config, name.lower())
            is_number = type(current) in (int, float)
            jax.config.update(name.lower(), type(current)(value) if is_number else value)
