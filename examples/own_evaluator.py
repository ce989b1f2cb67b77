"""Search with an evaluator of your own: a formula in place of a training. Three seconds."""

import dataclasses

import mnas
from mnas.architecture.cost import network_cost
from mnas.controllers import Evolution
from mnas.search_spaces import EfficientNetSpace


@dataclasses.dataclass(frozen=True)
class Saturating:
    """Accuracy that grows with the parameters, with diminishing returns."""

    half: float = 1e6
    """Parameters of a network with accuracy 0.5."""

    def build(self):
        """Return the evaluator."""
        return self

    def __call__(self, architecture, seed, report=None):
        """Return the evaluation of one network."""
        params = network_cost(architecture).params
        return mnas.Evaluation(accuracy=params / (params + self.half))


experiment = mnas.Experiment(
    name="own-evaluator",
    space=EfficientNetSpace(),
    controller=Evolution(population=20, tournament=5),
    evaluator=Saturating(),
    reward=mnas.RewardConfig(target_madds=400e6),
    search=mnas.SearchConfig(trials=64, batch=8),
    engine=mnas.EngineConfig(kind="inline"),
)

if __name__ == "__main__":
    run = mnas.search(experiment, out="runs/own-evaluator")
    print(f"{len(run.results)} trials, best reward {run.best.reward:.4f}")
    print(f"{run.best.mult_adds / 1e6:.0f}M mult-adds, accuracy {run.best.accuracy:.3f}")
