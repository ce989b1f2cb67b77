"""Environment of worker processes."""

import os

from mnas.engines.config import EngineConfig
from mnas.engines.environment import child_environment, pinned_cores, process_environment

ENGINE = EngineConfig(workers=2)


def test_the_environment_of_this_process_is_restored(monkeypatch):
    monkeypatch.setenv("NPROC", "7")
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with process_environment(ENGINE):
        inside = {name: os.environ.get(name) for name in child_environment(ENGINE)}
    assert inside == child_environment(ENGINE)
    assert os.environ["NPROC"] == "7"
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


def test_only_cpu_workers_are_pinned():
    assert pinned_cores(EngineConfig()) == 1
    assert pinned_cores(EngineConfig(threads=3)) == 3
    assert pinned_cores(EngineConfig(pin=False)) == 0
    assert pinned_cores(EngineConfig(gpus_per_worker=0.5)) == 0
