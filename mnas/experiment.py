"""An experiment: everything that determines a search, as one frozen dataclass.

The parts are configurations, each a frozen dataclass that says what it `build()`s. Overrides are
strict: an unknown key or a value of the wrong kind is an error that names it (`override`). The
command line makes typed flags of the same fields.
"""

import dataclasses
import difflib
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from mnas.architecture.published import PUBLISHED
from mnas.loop.search import Search, SearchConfig
from mnas.reward import RewardConfig


@dataclasses.dataclass(frozen=True)
class EngineConfig:
    """Where children are evaluated. Of all this only `threads` can change a result."""

    kind: Literal["ray", "inline", "tune"] = "ray"
    """ray: persistent Ray actors; inline: this process; tune: one Ray Tune run a batch."""
    workers: int | None = None
    """Children evaluated at the same time; where not given, one for each core (or GPU share)."""
    threads: int = 1
    """Threads of XLA on the CPU for each child. Another number gives other last digits."""
    pin: bool = True
    """Each worker on the CPU keeps to cores of its own, one a thread, where Linux lets it."""
    gpus_per_worker: float = 0.0
    """Share of a GPU for each worker; 0.25 puts four children on one."""
    address: str | None = None
    """Address of a running Ray cluster ('auto' finds it); a local Ray where not given."""
    time_limit_seconds: float | None = None
    """A child that takes longer is stopped and counts as failed."""
    retries: int = 2
    """How often a child is tried again whose worker was lost."""

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("threads", 1), ("retries", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"engine: {name} = {value}; accepted: at least {least}")
        if self.gpus_per_worker < 0:
            raise ValueError(
                f"engine: gpus_per_worker = {self.gpus_per_worker}; accepted: 0 or more"
            )
        if self.time_limit_seconds is not None and not self.time_limit_seconds > 0:
            raise ValueError(
                f"engine: time_limit_seconds = {self.time_limit_seconds}; accepted: above 0"
            )


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
            raise ValueError(
                f"experiment: reference = {self.reference!r}; accepted: {', '.join(PUBLISHED)}"
            )

    def settings(self) -> dict[str, Any]:
        """All settings as plain nested data; `override(experiment, settings)` puts them back."""
        return {part: dataclasses.asdict(getattr(self, part)) for part in PARTS}

    def kinds(self) -> dict[str, str]:
        """Which space, controller and evaluator the settings are of: the classes' names."""
        return {part: type(getattr(self, part)).__name__ for part in KINDS}


KINDS = ("space", "controller", "evaluator")
PARTS = ("space", "controller", "evaluator", "reward", "search", "engine")


def override(target: Any, changes: Mapping[str, Any], path: str = "") -> Any:
    """A copy of a dataclass with nested `changes`; ValueError for unknown keys and wrong kinds."""
    types = typing.get_type_hints(type(target))
    names = [field.name for field in dataclasses.fields(target)]
    values = {}
    for key, value in changes.items():
        place = f"{path}.{key}".lstrip(".")
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"accepted: {', '.join(names)}"
            raise ValueError(f"unknown setting {place} = {value!r}; {hint}")
        current = getattr(target, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                parts = ", ".join(field.name for field in dataclasses.fields(current))
                raise ValueError(f"{place} = {value!r}; accepted: settings by name ({parts})")
            values[key] = override(current, value, place)
        else:
            values[key] = _checked(place, value, types[key])
    return dataclasses.replace(target, **values)


def _checked(place: str, value: Any, kind: Any) -> Any:
    """`value` if it is of `kind`: a plain type, a Literal, or a union of them."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) is not Literal else (kind,)
    for accepted in kinds or (kind,):
        if typing.get_origin(accepted) is Literal:
            if value in typing.get_args(accepted):
                return value
        elif accepted is float and type(value) in (int, float):
            return float(value)
        elif accepted is Any or type(value) is accepted:
            return value
    accepted = " or ".join(map(_kind_text, kinds or (kind,)))
    raise ValueError(f"{place} = {value!r}; accepted: {accepted}")


def _kind_text(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return ", ".join(map(str, typing.get_args(kind)))
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))
