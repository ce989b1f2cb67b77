"""Short experiments whose evaluators log what they are asked."""

import dataclasses
import functools

from mnas.architecture.architecture import Architecture
from mnas.architecture.block import Block
from mnas.controllers.random_search import RandomSearch
from mnas.engines.config import EngineConfig
from mnas.evaluators.surrogate import SurrogateConfig
from mnas.experiment.study import Study
from mnas.experiments import b0_imagenet, digits, scaling_dimensions
from mnas.loop.config import SearchConfig
from mnas.space import OneOf, Space
from tests.chaos.evaluators import LoggedConfig
from tests.engines.searches import controller as chained_controller


@dataclasses.dataclass(frozen=True)
class Chained:
    """Controller whose proposals depend on all rewards, and which compiles next to nothing."""

    def build(self, space):
        return chained_controller(space)


@dataclasses.dataclass(frozen=True)
class TinySpace:
    """24 networks of one stage for images of 16×16 pixels, which compile in seconds."""

    def build(self):
        stage = functools.partial(
            Block,
            kernel=OneOf(3, 5),
            stride=2,
            expand_ratio=OneOf(1, 3),
            filters=OneOf(8, 16, 24),
            repeats=OneOf(1, 2),
        )
        tiny = functools.partial(Architecture, resolution=16, classes=10, head=64, blocks=(stage,))
        return Space("tiny", tiny)


ENGINE = EngineConfig(kind="inline", retries=50, pin=False)
TRAINING = digits.EXPERIMENT.evaluator

SURROGATE = dataclasses.replace(
    b0_imagenet.EXPERIMENT,
    name="chaos-surrogate",
    controller=Chained(),
    evaluator=LoggedConfig(SurrogateConfig(fit="ridge"), seconds=0.02),
    search=SearchConfig(trials=160, batch=8),
    engine=ENGINE,
)
PROXY = dataclasses.replace(
    digits.EXPERIMENT,
    name="chaos-proxy",
    space=TinySpace(),
    controller=Chained(),
    evaluator=LoggedConfig(
        dataclasses.replace(
            TRAINING,
            data=dataclasses.replace(TRAINING.data, train_images=128),
            training=dataclasses.replace(TRAINING.training, epochs=1),
        )
    ),
    search=SearchConfig(trials=12, batch=3),
    engine=ENGINE,
)
# Some networks of few blocks, at 12 to 17 pixels.
BLOCKS = dataclasses.replace(
    scaling_dimensions.EXPERIMENT,
    name="chaos-blocks",
    space=dataclasses.replace(
        scaling_dimensions.EXPERIMENT.space, doublings=2, base="r1_k3_s22_e1_i8_o8"
    ),
    engine=dataclasses.replace(ENGINE, workers=2),
)
STUDY = Study(
    "chaos-study",
    {
        "chained": SURROGATE,
        "random": dataclasses.replace(SURROGATE, controller=RandomSearch()),
    },
    seeds=2,
    marks=(8, 24),
).resized(seeds=2, trials=48)
