"""Environment of worker processes."""

import dataclasses
import os
import types

import pytest

from mnas.engines import worker
from mnas.engines.config import EngineConfig
from mnas.engines.environment import (
    backend_of,
    child_environment,
    pinned_cores,
    process_environment,
)
from mnas.engines.ray import worker_count
from mnas.errors import UsageError
from mnas.runtime.backends import BACKENDS

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


def test_workers_of_one_gpu_share_its_memory_and_others_see_none(monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    memory = {}
    for gpus in (0.25, 1, 2):
        environment = child_environment(EngineConfig(gpus_per_worker=gpus))
        assert "JAX_PLATFORMS" not in environment
        memory[gpus] = float(environment["XLA_CLIENT_MEM_FRACTION"])
    assert memory == {0.25: 0.225, 1: 0.9, 2: 0.9}  # of each GPU
    environment = child_environment(EngineConfig())
    assert environment["JAX_PLATFORMS"] == "cpu" and "XLA_CLIENT_MEM_FRACTION" not in environment


def test_automatic_gpus_per_worker_are_the_share_of_the_table(monkeypatch):
    table = {**BACKENDS, "gpu": dataclasses.replace(BACKENDS["gpu"], workers=5)}
    monkeypatch.setattr("mnas.runtime.backends.BACKENDS", table)
    config = EngineConfig(gpus_per_worker="auto")
    assert config.gpus_per_worker == config.gpu_share == 0.2
    assert child_environment(config)["XLA_CLIENT_MEM_FRACTION"] == "0.180"
    assert worker_count(config, {"CPU": 16.0, "GPU": 2.0}) == 10


@pytest.mark.parametrize("wrong", ["all", None, True, -0.5, float("nan")])
def test_other_gpus_per_worker_are_rejected(wrong):
    with pytest.raises(UsageError, match=r"^engine: gpus_per_worker = .*; accepted: "):
        EngineConfig(gpus_per_worker=wrong)


def test_backend_follows_the_engine():
    assert backend_of(EngineConfig()) == "cpu"
    assert backend_of(EngineConfig(kind="tune", gpus_per_worker=0.5)) == "gpu"
    assert backend_of(EngineConfig(kind="inline", gpus_per_worker=0.5)) == "cpu"  # of this process


def test_a_worker_for_gpus_does_not_silently_compute_on_the_cpu(monkeypatch):
    monkeypatch.setattr(worker, "end_with_parent", lambda: None)
    monkeypatch.setattr(worker, "reset_process", lambda: None)
    built = types.SimpleNamespace(build=lambda: None)
    worker.Worker(built, cores=0, backend="cpu")
    with pytest.raises(UsageError, match=r"JAX in the workers computes on the cpu; accepted: 0,"):
        worker.Worker(built, cores=0, backend="gpu")


def test_settings_of_jax_in_the_shell_do_not_reach_workers(monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    with process_environment(ENGINE):
        assert "JAX_ENABLE_X64" not in os.environ and os.environ["JAX_LOG_COMPILES"] == "1"
    assert os.environ["JAX_ENABLE_X64"] == "1"
    monkeypatch.setattr(worker, "end_with_parent", lambda: None)
    # A worker of Ray starts with the environment of its node.
    worker.Worker(types.SimpleNamespace(build=lambda: None), cores=0)
    assert "JAX_ENABLE_X64" not in os.environ
