"""Rediscovery of EfficientNet-B0: its search, on a surrogate for ImageNet training.

Paper     arXiv 1905.11946, section 4: reward accuracy · (mult-adds / 400M)^-0.07
Command   mnas search b0-imagenet                            1,000 samples in batches of 16
          mnas search b0-imagenet --search.trials 8000       as many samples as MnasNet's search
          mnas search b0-imagenet --controller evolution
          mnas search b0-imagenet-seeds                      ten seeds on either fit
Cost      half a minute on one core of an AMD EPYC, by the files and the journal of one run (n = 1):
          3 s to import, 2 to the first batch, 0.22 for each of 62 batches (median), 5 to compile
          the update of the last one, of 8 samples, 2 for the files; the ten seeds, by these
          figures, 3 minutes on 2 cores
Expect    a reward above B0's on both fits, in 10 of 10 seeds; about 300M mult-adds (B0: 386M)
Results   docs/results/surrogate.md

Accuracies are predicted by fits to 4,623 trained networks (`mnas.evaluators.surrogate`). A search
uses one fit, and its report compares the best network with B0 on both. The networks were trained
for 16 epochs, which favours small ones: a reward above B0's here does not imply a better network
after 350 epochs.
"""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path

from mnas.architecture.architecture import Architecture
from mnas.architecture.cost import network_cost
from mnas.architecture.published import PUBLISHED
from mnas.controllers.dyna import Dyna
from mnas.engines.config import EngineConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.evaluators.surrogate_fits import FITS, top1
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Outcome, Study
from mnas.loop.config import SearchConfig
from mnas.loop.records import ResultRecord
from mnas.reports.terminal import plain_console
from mnas.reward import RewardConfig
from mnas.search_spaces.accel_nasbench import AccelNasbenchSpace

EXPERIMENT = Experiment(
    name="b0-imagenet",
    takes="half a minute on 1 core",
    expect="reward above B0's on both fits",
    space=AccelNasbenchSpace(),
    controller=Dyna(),
    evaluator=SurrogateConfig(),
    reward=RewardConfig(target_madds=400e6, w=-0.07),
    search=SearchConfig(trials=1000, batch=16),
    engine=EngineConfig(kind="inline"),
    reference="efficientnet-b0",
)


def samples_to_beat(outcome: Outcome, reference: Architecture) -> int | None:
    """Return the number of samples after which the search stays ahead of the reference.

    Ahead means that its best network so far has a higher reward than the reference on every fit.
    None if the best network of the whole search is not ahead.
    """
    reward = outcome.experiment.reward
    incumbents: list[ResultRecord] = []
    for result in outcome.results:
        if not incumbents or result.reward > incumbents[-1].reward:
            incumbents.append(result)
    reference_rewards = rewards_by_fit([reference], reward)[0]
    architectures = [Architecture.from_dict(result.architecture) for result in incumbents]
    samples = None
    for incumbent, own in zip(incumbents, rewards_by_fit(architectures, reward), strict=True):
        ahead = all(a > b for a, b in zip(own, reference_rewards, strict=True))
        if not ahead:
            samples = None
        elif samples is None:
            samples = incumbent.trial + 1
    return samples


def rewards_by_fit(
    architectures: Sequence[Architecture], reward: RewardConfig
) -> list[tuple[float, ...]]:
    """Return each network's reward by every fit, in the order of `FITS`."""
    accuracies = [top1(architectures, fit).mean.tolist() for fit in FITS]
    return [
        tuple(reward(values[n], network_cost(architecture).mult_adds) for values in accuracies)
        for n, architecture in enumerate(architectures)
    ]


def finish(study: Study, outcomes: Sequence[Outcome], directory: Path) -> None:
    """Print how many seeds beat B0 on both fits, and after how many samples."""
    console = plain_console(stderr=True)
    reference = PUBLISHED["efficientnet-b0"]
    for variant in study.variants:
        samples = [samples_to_beat(o, reference) for o in outcomes if o.variant == variant]
        ahead = sorted(n for n in samples if n is not None)
        text = f"{variant}: {len(ahead)} of {len(samples)} seeds beat {reference.name} on both fits"
        if ahead:
            text += f", after {statistics.median(ahead):.0f} samples (median; at most {ahead[-1]})"
        console.print(text, soft_wrap=True)


SEEDS = Study(
    name="b0-imagenet-seeds",
    takes="3 minutes on 2 cores",
    expect="10 of 10 seeds beat B0 on both fits, the median after fewer than 200 samples",
    variants={
        f"searched on {fit}": dataclasses.replace(EXPERIMENT, evaluator=SurrogateConfig(fit=fit))
        for fit in FITS
    },
    seeds=10,
    marks=(100, 200, 500, 1000),
    finish=finish,
)
