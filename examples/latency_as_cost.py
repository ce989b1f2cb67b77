"""Latency in place of mult-adds as the cost in the reward. Five seconds."""

import dataclasses

import mnas
from mnas.controllers import Evolution
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.registry import load_experiment

# Predicted from measurements on the device, so that nothing is timed here.
DEVICES = {"zcu102": 4.0, "vck190": 2.0}

if __name__ == "__main__":
    for device, target_ms in DEVICES.items():
        experiment = dataclasses.replace(
            load_experiment("b0-imagenet"),
            name=f"latency-{device}",
            controller=Evolution(),
            evaluator=SurrogateConfig(device=device),
            reward=mnas.RewardConfig(cost="latency_ms", target_latency_ms=target_ms),
            search=mnas.SearchConfig(trials=400, batch=8),
        )
        run = mnas.search(experiment, out=f"runs/{experiment.name}")
        print(
            f"{device}: {run.best.latency_ms:.2f} ms (target {target_ms} ms), "
            f"{run.best.mult_adds / 1e6:.0f}M mult-adds, predicted top-1 {run.best.accuracy:.3f}"
        )
