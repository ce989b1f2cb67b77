"""The controllers that ship with mnas: each a frozen dataclass whose `build(space)` gives one."""

from controllers.dyna import Dyna
from controllers.evolution import Evolution
from controllers.exhaustive import Exhaustive
from controllers.ppo import Ppo
from controllers.random_search import RandomSearch
from controllers.reinforce import Reinforce

CONTROLLERS = {
    "dyna": Dyna,
    "reinforce": Reinforce,
    "ppo": Ppo,
    "evolution": Evolution,
    "random": RandomSearch,
    "exhaustive": Exhaustive,
}
