"""The controllers that ship with mnas: each a frozen dataclass whose `build(space)` gives one."""

from controllers.evolution import Evolution
from controllers.random_search import RandomSearch
from controllers.reinforce import Reinforce

CONTROLLERS = {
    "reinforce": Reinforce,
    "evolution": Evolution,
    "random": RandomSearch,
}
