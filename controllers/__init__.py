"""The controllers that ship with mnas: each a frozen dataclass whose `build(space)` gives one."""

from mnas.controllers.dyna import Dyna
from mnas.controllers.evolution import Evolution
from mnas.controllers.exhaustive import Exhaustive
from mnas.controllers.ppo import Ppo
from mnas.controllers.random_search import RandomSearch
from mnas.controllers.reinforce import Reinforce

CONTROLLERS = {
    "dyna": Dyna,
    "reinforce": Reinforce,
    "ppo": Ppo,
    "evolution": Evolution,
    "random": RandomSearch,
    "exhaustive": Exhaustive,
}
