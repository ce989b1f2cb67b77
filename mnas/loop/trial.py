"""A proposed network and its result."""

import dataclasses

import numpy as np

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import Cost, network_cost
from mnas.evaluation import Evaluation
from mnas.loop.early_stopping import StoppingRule


@dataclasses.dataclass(frozen=True)
class Trial:
    """A proposed network, to be evaluated with `seed`.

    number        position in the search, from 0
    decisions     canonical vector, int32 [D]
    architecture  the network that the decisions decode to
    hash          its canonical hash: equal for equal networks
    cost          its parameters and mult-adds
    seed          seed of the evaluation, derived from (search seed, number)
    report        early-stopping rule for the evaluator; None where early stopping is off
    """

    number: int
    decisions: np.ndarray
    architecture: Architecture
    hash: str
    cost: Cost
    seed: int
    report: StoppingRule | None = None

    @classmethod
    def of(
        cls,
        number: int,
        decisions: np.ndarray,
        architecture: Architecture,
        search_seed: int,
        report: StoppingRule | None = None,
    ) -> "Trial":
        """Return a trial with its seed, its network's hash and its cost."""
        return cls(
            number=number,
            decisions=decisions,
            architecture=architecture,
            hash=architecture.canonical_hash(),
            cost=network_cost(architecture),
            seed=int(np.random.SeedSequence([search_seed, number]).generate_state(1)[0]),
            report=report,
        )

    def again(self, search_seed: int, number: int) -> "Trial":
        """Return the trial of a further measurement, which nothing stops early.

        search_seed  from which its seed is derived, with the trial and the number
        number       of the measurement, from 0
        """
        # Not number alone: trailing zeros don't change a SeedSequence.
        sequence = np.random.SeedSequence([search_seed, self.number, 1 + number])
        seed = int(sequence.generate_state(1)[0])
        return dataclasses.replace(self, seed=seed, report=None)


@dataclasses.dataclass(frozen=True)
class Result:
    """A trial with its evaluation and reward.

    duplicate_of  number of the earlier trial of the same network, whose evaluation this result
                  copies; None for a network of its own
    """

    trial: Trial
    evaluation: Evaluation
    reward: float
    duplicate_of: int | None = None

    @property
    def cost(self) -> Cost:
        """Return the network's parameters and mult-adds."""
        return self.trial.cost

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Return the sort key of results that did not fail: complete first, then by reward."""
        return self.evaluation.stopped, -self.reward, self.trial.number
