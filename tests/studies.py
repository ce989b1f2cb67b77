"""A small study of random search on the surrogate, with and without noise."""

import dataclasses

from mnas.controllers.random_search import RandomSearch
from mnas.evaluators.noisy import NoisyConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.study import Outcome, Study
from mnas.experiments import b0_imagenet
from mnas.loop.config import SearchConfig
from tests.runs import proposals, run_of

RANDOM = dataclasses.replace(
    b0_imagenet.EXPERIMENT,
    controller=RandomSearch(),
    evaluator=SurrogateConfig(fit="ridge"),
    search=SearchConfig(trials=8, batch=4),
)
NOISY = dataclasses.replace(
    RANDOM, evaluator=NoisyConfig(SurrogateConfig(fit="ridge"), std_points=5.0)
)
SMALL = Study(
    name="small",
    variants={"exact": RANDOM, "noisy": NOISY},
    seeds=2,
    marks=(4, 8),
    judge=SurrogateConfig(fit="ridge"),
)


def outcome(results, decisions=None, selection="measured") -> Outcome:
    """Return the outcome of a search with these results, one decision vector each."""
    vectors = decisions or [[result.trial] for result in results]
    search = dataclasses.replace(RANDOM.search, selection=selection)
    experiment = dataclasses.replace(RANDOM, search=search)
    return Outcome("exact", experiment, run_of([proposals(vectors), *results]))
