"""The controllers that ship with mnas, one algorithm per module.

In: a `Space`. Out: a `Controller`, four pure functions over a state pytree (`mnas.controller`):
`init(key) -> state`, `ask(state, key, n) -> Proposals`, `tell(state, proposals, rewards) -> state`
and `summary(state) -> {name: float}`. A controller is chosen by its configuration, a frozen
dataclass whose fields are the flags of the command line and whose `build(space)` returns the
`Controller`. All satisfy `mnas.testing.check_controller`: any batch in any order; NaN and infinite
rewards change nothing; equal keys give equal results.

Every module has the same form: state, configuration, static arguments (`Spec`), then `init`,
`ask`, `tell` and `summary` as module-level functions, which `build` binds to the static arguments
and jits.

    core           parts shared by the algorithms (see there)
    random_search  uniform samples, the baseline
    exhaustive     grid search
    evolution      regularized evolution
    reinforce      policy gradient
    ppo            clipped policy gradient, several steps per batch
    dyna           policy gradient on a model of the rewards; the default

Names on the command line are entry points (`mnas.controllers` in `pyproject.toml`).

May import `mnas.controller`, `mnas.space`, `mnas.errors` and `mnas.loop.kernel`; never search
spaces, experiments or each other.
"""

from mnas.controllers.dyna import Dyna
from mnas.controllers.evolution import Evolution
from mnas.controllers.exhaustive import Exhaustive
from mnas.controllers.ppo import Ppo
from mnas.controllers.random_search import RandomSearch
from mnas.controllers.reinforce import Reinforce

__all__ = ["Dyna", "Evolution", "Exhaustive", "Ppo", "RandomSearch", "Reinforce"]
