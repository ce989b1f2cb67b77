"""A network for each of several budgets of mult-adds. Five seconds."""

import dataclasses

import mnas
from mnas.controllers import Evolution
from mnas.experiment.registry import load_experiment

if __name__ == "__main__":
    for budget in (200e6, 300e6, 400e6):
        experiment = dataclasses.replace(
            load_experiment("b0-imagenet"),
            name=f"budget-{budget / 1e6:.0f}M",
            controller=Evolution(),
            # Nothing is gained below the target, and much is lost above it.
            reward=mnas.RewardConfig(form="hard", target_madds=budget),
            search=mnas.SearchConfig(trials=400, batch=8),
        )
        run = mnas.search(experiment, out=f"runs/{experiment.name}")
        print(
            f"{budget / 1e6:.0f}M: {run.best.mult_adds / 1e6:.0f}M mult-adds, "
            f"predicted top-1 {run.best.accuracy:.3f}, {len(run.architecture.layers())} layers"
        )
