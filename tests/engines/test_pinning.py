"""Every worker has cores of its own, as long as it lives and no longer."""

import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from mnas.engines.config import EngineConfig
from mnas.engines.environment import pinned_cores
from mnas.runtime import pinning
from mnas.runtime.pinning import allowed_cores, pin
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pins on Linux only")


@pytest.fixture(autouse=True)
def cores_are_free():
    """Actors of an earlier test may still be ending, and another search may be running here."""
    for _ in range(600):
        locks = [pinning._lock(core) for core in allowed_cores()]
        for lock in filter(None, locks):
            lock.close()
        if all(locks):
            return
        time.sleep(0.1)
    pytest.skip("the cores of this machine are another search's")


@pytest.fixture
def worker():
    """Starts processes that can be pinned."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start() -> ProcessPoolExecutor:
        started.append(ProcessPoolExecutor(1, context))
        return started[-1]

    yield start
    for pool in started:
        pool.shutdown()


def pin_at_once(count: int) -> tuple[list[int], list[int]]:
    """What `pin` answers without patience, and where the process may run afterwards."""
    pinning.PATIENCE_SECONDS = 0.0
    return pin(count), allowed_cores()


def test_cores_are_distinct_and_free_again_when_a_worker_is_gone(worker):
    cores = allowed_cores()
    workers = [worker() for _ in cores]
    pinned = [pool.submit(pin_at_once, 1).result() for pool in workers]
    assert sorted(pinned) == [([core], [core]) for core in cores]
    # One too many runs where it likes, and gets a core once one is free.
    late = worker()
    assert late.submit(pin_at_once, 1).result() == ([], cores)
    (process,) = workers[0]._processes.values()
    process.kill()
    process.join()
    assert late.submit(pin, 1).result() == pinned[0][0]


def test_a_worker_of_many_threads_has_as_many_cores_or_none(worker):
    cores = allowed_cores()
    everything = worker()
    assert everything.submit(pin_at_once, len(cores) + 1).result() == ([], cores)
    assert everything.submit(pin_at_once, len(cores)).result() == (cores, cores)
    assert worker().submit(pin_at_once, 1).result() == ([], cores)


def test_only_workers_on_the_cpu_are_pinned():
    assert pinned_cores(EngineConfig()) == 1
    assert pinned_cores(EngineConfig(threads=3)) == 3
    assert pinned_cores(EngineConfig(pin=False)) == 0
    assert pinned_cores(EngineConfig(gpus_per_worker=0.5)) == 0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
@pytest.mark.parametrize("kind", ["ray", "tune"])
@pytest.mark.parametrize("pins", [True, False])
def test_actors_are_pinned_also_those_in_place_of_killed_ones(tmp_path, local_ray, kind, pins):
    import mnas.engines

    search = build_search(tmp_path / "journal.jsonl", trials=12)
    evaluator = TableConfig(
        fault="kill-once", every=6, directory=str(tmp_path), note_cores=True, seconds=0.05
    )
    config = EngineConfig(kind=kind, workers=2, pin=pins)
    mnas.engines.drive.drive(search, evaluator, config)
    noted = [line.split(":") for line in notes(tmp_path, "cores")]
    by_process = {pid: cores for pid, cores in noted}
    everywhere = ",".join(map(str, allowed_cores()))
    if not pins:
        assert set(by_process.values()) == {everywhere}
        return
    assert len(by_process) > 2  # some were killed
    # One core each. Not which: a worker that starts late may find all children taken.
    assert set(by_process.values()) <= {str(core) for core in allowed_cores()}
