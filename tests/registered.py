"""What mnas registers, loaded; and registrations made by a test."""

from typing import Any

from mnas.experiment import registry
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study

_LOADED = {name: entry.load() for name, entry in registry.entries("experiment").items()}
EXPERIMENTS = {name: found for name, found in _LOADED.items() if isinstance(found, Experiment)}
STUDIES = {name: found for name, found in _LOADED.items() if isinstance(found, Study)}


class Entry:
    """An entry point of a package that isn't installed."""

    def __init__(self, value: Any) -> None:
        self.loaded = value
        self.value = self.attr = getattr(value, "__name__", "")

    def load(self) -> Any:
        return self.loaded


def register(patch, part: str, name: str, value: Any) -> None:
    """Register `value` for as long as the MonkeyPatch `patch` lasts."""
    patch.setitem(registry.entries(part), name, Entry(value))
