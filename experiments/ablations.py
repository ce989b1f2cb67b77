"""Ablations: one part of the search is varied, the rest is as in `b0-imagenet`.

Command   mnas search ablate-controller
          mnas search ablate-policy --seeds 3 --trials 500
          mnas search ablate-reward          likewise -space, -batch, -noise, -space-trained
Cost      15 minutes on 2 cores for ablate-controller, 40 for ablate-space-trained, 1.5 to 5 for the
          others, wall-clock; of ablate-reward and ablate-space by the time of a batch in
          `b0_imagenet`
Expect    in each study's `expect`
Results   docs/results/controllers.md

Accuracies are those of the ridge fit, whose optimum is far above the best of random search, so that
searches can differ. "noisy" variants add Gaussian noise with the standard deviation of the
real training over seeds (`mnas.evaluators.noisy`), export by the model of all accuracies
(`mnas.loop.selection`) and are compared by noise-free accuracies. ablate-space-trained trains on
the embedded images, because the surrogate does not cover the space that decides layer by layer.
"""

import dataclasses
from typing import Any

from mnas.controllers.dyna import Dyna
from mnas.controllers.evolution import Evolution
from mnas.controllers.ppo import Ppo
from mnas.controllers.random_search import RandomSearch
from mnas.controllers.reinforce import Reinforce
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study
from mnas.experiments import b0_imagenet, digits
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig
from mnas.search_spaces.per_layer import PerLayerSpace
from mnas.search_spaces.single_cell import SingleCellSpace

EXACT = SurrogateConfig(fit="ridge")
NOISY = NoisyConfig(EXACT)
BASE = dataclasses.replace(b0_imagenet.EXPERIMENT, evaluator=EXACT)


def vary(**changes: Any) -> Experiment:
    """Return the base experiment with other parts."""
    return dataclasses.replace(BASE, **changes)


def noisy(variants: dict[str, Experiment]) -> dict[str, Experiment]:
    """Return the variants, and each of them again with noisy evaluations."""
    noisy_variants = {
        f"{name}, noisy": dataclasses.replace(
            variant,
            evaluator=NOISY,
            search=dataclasses.replace(variant.search, selection="model"),
        )
        for name, variant in variants.items()
    }
    return variants | noisy_variants


LONG = SearchConfig(trials=2000, batch=16)
MARKS = (250, 500, 1000, 2000)

CONTROLLER = Study(
    name="ablate-controller",
    takes="15 minutes on 2 cores",
    expect="dyna ahead of evolution, reinforce, ppo, random, in this order",
    variants=noisy(
        {
            "dyna": vary(controller=Dyna(), search=LONG),
            "reinforce": vary(controller=Reinforce(policy="factorized"), search=LONG),
            "ppo": vary(controller=Ppo(policy="factorized"), search=LONG),
            "evolution": vary(controller=Evolution(), search=LONG),
            # As published, evolution has no batches.
            "evolution, batch 1": vary(
                controller=Evolution(), search=dataclasses.replace(LONG, batch=1)
            ),
            "random": vary(controller=RandomSearch(), search=LONG),
        }
    ),
    seeds=20,
    marks=MARKS,
    judge=EXACT,
)

POLICY = Study(
    name="ablate-policy",
    takes="5 minutes on 2 cores",
    expect="dyna with 16 members first; factorized and lstm policies about equal",
    variants={
        "dyna, 16 members": vary(controller=Dyna()),
        "dyna, 1 member": vary(controller=Dyna(members=1)),
        "dyna, no explorers": vary(controller=Dyna(explorers=0.0)),
        "reinforce, factorized": vary(controller=Reinforce(policy="factorized")),
        "reinforce, lstm": vary(controller=Reinforce(policy="lstm")),
        "ppo, factorized": vary(controller=Ppo(policy="factorized")),
        "ppo, lstm": vary(controller=Ppo(policy="lstm")),
    },
    seeds=10,
    marks=(250, 500, 1000),
)

REWARD = Study(
    name="ablate-reward",
    takes="4 minutes on 2 cores",
    expect="w moves the result along the front; rewards of different forms are not comparable",
    variants={
        **{f"soft, w = {w}": vary(reward=RewardConfig(w=w)) for w in (0.0, -0.03, -0.07, -0.15)},
        "hard": vary(reward=RewardConfig(form="hard")),
        "absolute, beta = -0.1": vary(reward=RewardConfig(form="absolute")),
    },
    seeds=5,
    marks=(250, 500, 1000),
)

SPACE = Study(
    name="ablate-space",
    takes="1.5 minutes on 2 cores",
    expect="rewards of 0.684 and 0.641: separate decisions for each stage gain 0.04",
    variants={
        "factorized hierarchical": vary(),
        "single cell": vary(space=SingleCellSpace()),
    },
    seeds=5,
    marks=(36, 250, 1000),
)

BATCH = Study(
    name="ablate-batch",
    takes="4 minutes on 2 cores",
    expect="smaller batches need fewer samples",
    variants=noisy(
        {
            f"batch {batch}": vary(search=SearchConfig(trials=1000, batch=batch))
            for batch in (4, 16, 64)
        }
    ),
    seeds=10,
    marks=(250, 500, 1000),
    judge=EXACT,
)

NOISE = Study(
    name="ablate-noise",
    takes="4 minutes on 2 cores",
    expect="0.31 points cost dyna next to nothing at 1,000 samples, evolution 0.003",
    variants={
        f"{name}, {points} points": vary(
            controller=controller,
            evaluator=NoisyConfig(EXACT, points),
            search=dataclasses.replace(BASE.search, selection="model"),
        )
        for name, controller in (("dyna", Dyna()), ("evolution", Evolution()))
        for points in (0.0, 0.31, 1.0)
    },
    seeds=10,
    marks=(250, 500, 1000),
    judge=EXACT,
)

SPACE_TRAINED = Study(
    name="ablate-space-trained",
    takes="40 minutes on 2 cores",
    expect="differences within the standard deviation over seeds at this size",
    variants={
        "factorized hierarchical": digits.EXPERIMENT,
        "per layer": dataclasses.replace(
            digits.EXPERIMENT, space=PerLayerSpace(resolution=32, classes=10)
        ),
        "single cell": dataclasses.replace(
            digits.EXPERIMENT, space=SingleCellSpace(resolution=32, classes=10)
        ),
    },
    seeds=2,
    marks=(24, 48),
)
