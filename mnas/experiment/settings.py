"""Settings of an experiment: everything that determines a search, as one frozen dataclass.

The parts are configurations, frozen dataclasses with a method `build`. `mnas.experiment.overrides`
changes nested fields by name; the command line makes typed flags of the same fields.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Self, TypeVar

import tyro

from mnas.architecture.published import PUBLISHED
from mnas.engines.config import EngineConfig
from mnas.errors import rejected, require_one_of
from mnas.evaluation import ClassSource, WrapperConfig
from mnas.loop.config import SearchConfig
from mnas.reward import RewardConfig

T = TypeVar("T")
NotAFlag = Annotated[T, tyro.conf.Fixed, tyro.conf.Suppress]

# Parts that can be of several classes, and all parts.
KINDS = ("space", "controller", "evaluator")
PARTS = (*KINDS, "reward", "search", "engine")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Settings of a search.

    space       configuration of a space: `build()` returns a `Space`
    controller  configuration of a controller: `build(space)` returns a `Controller`
    evaluator   configuration of an evaluator: `build()` returns an evaluator
    finish      called with the finished `Search` and the directory of its run, to write further
                files
    takes       duration of the whole command on stated hardware that does nothing else; how it is
                known is in the docstring of the experiment's module
    expect      expected result
    """

    name: NotAFlag[str]
    space: Any
    """Search space."""
    controller: Any
    """Controller."""
    evaluator: Any
    """Evaluator."""
    reward: RewardConfig
    search: SearchConfig
    engine: EngineConfig = EngineConfig()
    reference: str | None = None
    """Published network that reports compare the best network with."""
    finish: NotAFlag[Callable[..., None] | None] = None
    takes: NotAFlag[str] = ""
    expect: NotAFlag[str] = ""

    def __post_init__(self) -> None:
        if self.reference is not None:
            require_one_of("experiment", "reference", self.reference, list(PUBLISHED))

    def settings(self) -> dict[str, Any]:
        """Return all settings as nested plain data, the inverse of `override(self, settings)`."""
        return {part: _settings_of(part, getattr(self, part)) for part in PARTS}

    def with_classes_of_data(self) -> Self:
        """Return the experiment whose space has as many classes as the evaluator's data.

        It is the same one where the space has no whole number `classes`, or there are no data.
        Raises UsageError if the data can't be read.
        """
        current = getattr(self.space, "classes", None)
        if type(current) is not int or not isinstance(self.evaluator, ClassSource):
            return self
        classes = self.evaluator.data_classes()
        if classes is None or classes == current:
            return self
        return dataclasses.replace(self, space=dataclasses.replace(self.space, classes=classes))

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


def _settings_of(part: str, config: Any) -> dict[str, Any]:
    """Return a configuration's fields; UsageError for an object whose settings are unknown."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    if getattr(config, "__dict__", None):
        raise rejected("experiment", part, config, "a frozen dataclass with a method build")
    return {}
