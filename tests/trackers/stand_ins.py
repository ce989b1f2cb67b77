"""Trackers on stand-ins for their libraries, and records of a search."""

import importlib.util
import sys
from types import ModuleType

import pytest

from mnas import trackers
from mnas.experiment.tracking import TrackedSearch
from mnas.loop.metrics import Metrics
from mnas.loop.records import UpdateRecord
from tests.runs import proposals, result

RECORDS = [
    proposals([[0], [1]]),
    result(0, 0.25, time=5.0),
    result(1, -1.0, accuracy=None, error="lost", time=6.0),
    UpdateRecord(batch=0, mean_reward=-0.375, time=7.0),
]


def tracked(directory, run_id=None, study=None) -> TrackedSearch:
    """Return what a tracker is told of a search."""
    settings = {"search.trials": 2, "reward.form": "soft", "engine.pin": True}
    return TrackedSearch("digits", directory, settings, run_id, Metrics(), study)


def fresh(name: str) -> ModuleType:
    """Return the module of a tracker, on the library that is in `sys.modules` now."""
    path = f"{trackers.__path__[0]}/{name}.py"
    spec = importlib.util.spec_from_file_location(f"fresh_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **members) -> ModuleType:
    """Put a module with these members in the place of a library."""
    module = ModuleType(name)
    vars(module).update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module
