"""Search for small networks; a second, as a study over two seeds two seconds."""

from mnas import EngineConfig, Experiment, RewardConfig, SearchConfig, Study
from mnas_plugin.controller import HillClimbing
from mnas_plugin.evaluator import Params
from mnas_plugin.space import TwoStages

EXPERIMENT = Experiment(
    name="small-networks",
    takes="a second",
    expect="a network of few filters",
    space=TwoStages(),
    controller=HillClimbing(),
    evaluator=Params(),
    reward=RewardConfig(target_madds=1e6),
    search=SearchConfig(trials=12, batch=4),
    engine=EngineConfig(kind="inline"),
)
STUDY = Study(
    name="small-networks-seeds",
    takes="two seconds",
    expect="the same network from both seeds",
    variants={"hill climbing": EXPERIMENT},
    seeds=2,
    marks=(4, 12),
)
