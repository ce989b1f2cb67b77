"""Registered experiments and studies, loaded; registrations for the duration of a test."""

from typing import Any

import pytest

from mnas.experiment import registry
from mnas.experiment.settings import Experiment
from mnas.experiment.study import Study

_LOADED = {name: entry.load() for name, entry in registry.entries("experiment").items()}
EXPERIMENTS = {name: item for name, item in _LOADED.items() if isinstance(item, Experiment)}
STUDIES = {name: item for name, item in _LOADED.items() if isinstance(item, Study)}


class Entry:
    """Entry point of a package that is not installed."""

    def __init__(self, value: Any) -> None:
        self.loaded = value
        self.value = self.attr = getattr(value, "__name__", "")

    def load(self) -> Any:
        return self.loaded


def register(patch: pytest.MonkeyPatch, part: str, name: str, value: Any) -> None:
    """Register `value` as the `part` called `name` until `patch` is undone."""
    patch.setitem(registry.entries(part), name, Entry(value))
