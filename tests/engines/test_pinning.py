"""Pinning: each worker has cores of its own for as long as it lives."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from mnas.engines.config import EngineConfig
from mnas.engines.drive import drive
from mnas.runtime import pinning
from mnas.runtime.pinning import allowed_cores, pin
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pins on Linux only")


@pytest.fixture(autouse=True)
def cores_are_free():
    """Wait until actors of earlier tests have ended; skip if another search has the cores."""
    cores = allowed_cores()
    for _ in range(12):  # of PATIENCE_SECONDS each
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            if pool.submit(pin, len(cores)).result() == cores:
                return
    pytest.skip("another search on this machine has pinned the cores")


@pytest.fixture
def worker():
    """Function that starts a process that can be pinned."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start() -> ProcessPoolExecutor:
        started.append(ProcessPoolExecutor(1, context))
        return started[-1]

    yield start
    for pool in started:
        pool.shutdown()


def pin_at_once(count: int) -> tuple[list[int], list[int]]:
    """Return the cores that `pin` gets without waiting, and those allowed afterwards."""
    patience, pinning.PATIENCE_SECONDS = pinning.PATIENCE_SECONDS, 0.0
    try:
        return pin(count), allowed_cores()
    finally:
        pinning.PATIENCE_SECONDS = patience


def pin_in_time(count: int) -> tuple[list[int], list[int]]:
    """Return the same with waiting: a process that ends, or tries for more, may hold some cores."""
    return pin(count), allowed_cores()


def test_cores_are_distinct_and_released_when_a_worker_ends(worker):
    cores = allowed_cores()
    workers = [worker() for _ in cores]
    pinned = [pool.submit(pin_in_time, 1).result() for pool in workers]
    assert sorted(pinned) == [([core], [core]) for core in cores]
    # A worker without a core is not pinned, until a core is released.
    late = worker()
    assert late.submit(pin_at_once, 1).result() == ([], cores)
    (process,) = workers[0]._processes.values()
    process.kill()
    process.join()
    assert late.submit(pin, 1).result() == pinned[0][0]


def test_a_worker_gets_as_many_cores_as_threads_or_none(worker):
    cores = allowed_cores()
    everything = worker()
    assert everything.submit(pin_at_once, len(cores) + 1).result() == ([], cores)
    assert everything.submit(pin_in_time, len(cores)).result() == (cores, cores)
    assert worker().submit(pin_at_once, 1).result() == ([], cores)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("kind", ["ray", pytest.param("tune", marks=pytest.mark.slow)])
def test_workers_and_their_replacements_are_pinned(kind, tmp_path, local_ray):
    evaluator = TableConfig(
        fault="kill-once", every=5, directory=str(tmp_path), note_cores=True, seconds=0.05
    )
    search = build_search(tmp_path / "journal.jsonl", trials=8, batch=8)
    drive(search, evaluator, EngineConfig(kind=kind, workers=2))
    cores_by_process = dict(line.split(":") for line in notes(tmp_path, "cores"))
    assert len(cores_by_process) > 2  # some were killed
    # One core each; which ones is open, as a worker that starts late may get no child.
    assert set(cores_by_process.values()) <= {str(core) for core in allowed_cores()}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_workers_of_tune_are_pinned(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=3, batch=3)
    evaluator = TableConfig(directory=str(tmp_path), note_cores=True)
    drive(search, evaluator, EngineConfig(kind="tune", workers=1))
    cores = {line.split(":")[1] for line in notes(tmp_path, "cores")}
    assert cores <= {str(core) for core in allowed_cores()}


@pytest.mark.parametrize("kind", ["ray", pytest.param("tune", marks=pytest.mark.slow)])
def test_workers_are_not_pinned_where_pin_is_off(kind, tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", trials=2, batch=2)
    evaluator = TableConfig(directory=str(tmp_path), note_cores=True)
    drive(search, evaluator, EngineConfig(kind=kind, workers=1, pin=False))
    cores = {line.split(":")[1] for line in notes(tmp_path, "cores")}
    assert cores == {",".join(map(str, allowed_cores()))}
