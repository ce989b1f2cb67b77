"""An experiment: everything that determines a search, as one frozen dataclass.

The parts are configurations, each a frozen dataclass that says what it `build()`s. Overrides are
strict: an unknown key or a value of the wrong kind is an error that names it (`override`). The
command line makes typed flags of the same fields.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from mnas.architecture.published import PUBLISHED
from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.evaluation import WrapperConfig
from mnas.loop.config import SearchConfig
from mnas.loop.search import Search
from mnas.reward import RewardConfig

T = TypeVar("T")
NotAFlag = Annotated[T, tyro.conf.Fixed, tyro.conf.Suppress]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A search, entire. `name`, `takes` and `expect` are for people."""

    name: NotAFlag[str]
    space: Any
    """A space's configuration (`search_spaces`): `build()` gives a `Space`."""
    controller: Any
    """A controller's configuration (`controllers`): `build(space)` gives a `Controller`."""
    evaluator: Any
    """An evaluator's configuration: `build()` gives an evaluator."""
    reward: RewardConfig
    search: SearchConfig
    engine: EngineConfig = EngineConfig()
    reference: str | None = None
    """Published network that the report compares the best one with."""
    finish: NotAFlag[Callable[[Search, Path], None] | None] = None
    """Called at the end of a run, with its directory, to write what else the search is for."""
    takes: NotAFlag[str] = ""
    expect: NotAFlag[str] = ""

    def __post_init__(self) -> None:
        if self.reference is not None and self.reference not in PUBLISHED:
            raise UsageError(
                f"experiment: reference = {self.reference!r}; accepted: {', '.join(PUBLISHED)}"
            )

    def settings(self) -> dict[str, Any]:
        """All settings as plain nested data; `override(experiment, settings)` puts them back."""
        return {part: dataclasses.asdict(getattr(self, part)) for part in PARTS}

    def kinds(self) -> dict[str, str]:
        """Return the class names of space, controller and evaluator by the path of the setting.

        The evaluators inside wrappers (`mnas.evaluation.WrapperConfig`) have longer paths:
        `evaluator.evaluator`, ...
        """
        kinds = {part: type(getattr(self, part)).__name__ for part in KINDS}
        config, path = self.evaluator, "evaluator"
        while isinstance(config, WrapperConfig):
            config, path = config.evaluator, f"{path}.evaluator"
            kinds[path] = type(config).__name__
        return kinds


KINDS = ("space", "controller", "evaluator")
PARTS = ("space", "controller", "evaluator", "reward", "search", "engine")
