"""One proposed network and what came of it."""

import dataclasses

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import Cost
from mnas.evaluation import Evaluation
from mnas.loop.early_stopping import StoppingRule


@dataclasses.dataclass(frozen=True)
class Trial:
    """One proposed network, to be evaluated with `seed`.

    report  for the evaluator; None where the search stops no child early
    """

    number: int
    decisions: np.ndarray
    architecture: Architecture
    hash: str
    cost: Cost
    seed: int
    report: StoppingRule | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    """A trial with what came of it; `duplicate_of` is the trial evaluated in its place, if any."""

    trial: Trial
    evaluation: Evaluation
    reward: float
    duplicate_of: int | None = None

    @property
    def cost(self) -> Cost:
        return self.trial.cost

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Sorts results that did not fail, best first; stopped ones come after all others."""
        return self.evaluation.stopped, -self.reward, self.trial.number
