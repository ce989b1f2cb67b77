import dataclasses
import socket

import pytest

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.loop.journal import read
from mnas.loop.records import WORKER, ResultRecord
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search, facts

pytest.importorskip("ray")
from mnas.engines import ray as engine

RAY = EngineConfig(kind="ray", workers=2)


def changed(**changes):
    return dataclasses.replace(RAY, **changes)


def test_workers_and_the_callers_ray_outlive_a_batch(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    engine.run(search, TableConfig(directory=str(tmp_path), seconds=0.05), RAY)
    assert 1 <= len(notes(tmp_path, "builds")) <= 2  # not one per batch
    assert local_ray.is_initialized()


def test_a_child_whose_workers_die_is_retried_and_then_recorded_as_failed(tmp_path, local_ray):
    evaluator = TableConfig(fault="exit", every=6, directory=str(tmp_path))
    search = build_search(tmp_path / "journal.jsonl", trials=12)
    engine.run(search, evaluator, changed(retries=1))
    evaluated = [r for r in search.results.values() if r.duplicate_of is None]
    lost = [r for r in evaluated if evaluator.faulty(r.trial.architecture)]
    assert lost
    for result in evaluated:
        error = result.evaluation.error
        cause = "worker lost: its process was killed, or ended by os._exit"
        assert error == (cause if result in lost else None)
        tries = notes(tmp_path, "attempts").count(result.trial.hash)
        assert tries == (2 if result in lost else 1)


def test_a_worker_that_dies_is_replaced_without_changing_the_journal(
    tmp_path, reference, local_ray
):
    path = tmp_path / "journal.jsonl"
    evaluator = TableConfig(fault="kill-once", every=6, directory=str(tmp_path))
    engine.run(build_search(path, trials=12), evaluator, RAY)
    attempts = notes(tmp_path, "attempts")
    assert len(attempts) > len(set(attempts))
    assert facts(path) == reference(trials=12)
    # The replacement has the number of the lost worker.
    timings = [record.timings for record in read(path) if isinstance(record, ResultRecord)]
    assert {each[WORKER] for each in timings if each} <= {0.0, 1.0} and any(timings)


def test_a_child_over_the_time_limit_fails_and_start_up_does_not_count(tmp_path, local_ray):
    evaluator = TableConfig(fault="slow", every=6, build_seconds=1.2)
    search = build_search(tmp_path / "journal.jsonl", trials=8)
    engine.run(search, evaluator, changed(time_limit_seconds=1.0))
    late = [r for r in search.results.values() if evaluator.faulty(r.trial.architecture)]
    assert late and search.done
    assert {r.evaluation.error for r in late} == {"time limit of 1 s exceeded"}
    assert all(r.duplicate_of is not None or 1 < r.evaluation.seconds < 30 for r in late)
    others = [r for r in search.results.values() if r not in late]
    assert others and not any(r.evaluation.error for r in others)


def test_too_many_failures_end_the_search_with_the_most_frequent_error(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"6 of the first 6 .* \(6 times\): ValueError: this"):
        engine.run(search, TableConfig(fault="raise", every=1), changed(workers=1))


def test_more_workers_than_ray_has_resources_for_are_a_usage_error(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match=r"workers = 3 with 1 threads.* 2 CPUs.*accepted: 1 to 2"):
        engine.run(search, TableConfig(), changed(workers=3))
    with pytest.raises(UsageError, match=r"= 0.5, but Ray sees no GPU; accepted: 0"):
        engine.run(search, TableConfig(), changed(gpus_per_worker=0.5))
    with pytest.raises(UsageError, match=r"threads = 3, but Ray has 2 CPUs.*accepted: 1 to 2$"):
        engine.run(search, TableConfig(), changed(workers=None, threads=3))


@pytest.mark.parametrize(
    ("resources", "config", "count"),
    [
        ({"CPU": 8.0}, {}, 8),
        ({"CPU": 8.0}, {"threads": 3}, 2),
        ({"CPU": 8.0}, {"workers": 5}, 5),
        ({"CPU": 8.0, "GPU": 1.0}, {"gpus_per_worker": 0.25}, 4),
        ({"CPU": 8.0, "GPU": 3.0}, {"gpus_per_worker": 0.3}, 8),
        ({"CPU": 2.0, "GPU": 4.0}, {"gpus_per_worker": 1.0}, 2),
    ],
)
def test_worker_count_follows_cpus_gpus_and_the_requested_number(resources, config, count):
    assert engine.worker_count(EngineConfig(**config), resources) == count


def test_a_failing_evaluator_build_ends_the_search(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    with pytest.raises(RuntimeError, match=r"Ray workers don't start: OSError: no images here"):
        engine.run(search, TableConfig(fault="build"), changed(workers=1))
    assert not search.results


def test_an_unreachable_address_is_a_usage_error(tmp_path, monkeypatch, unconnected):
    search = build_search(tmp_path / "journal.jsonl")

    def fail(**_):
        raise ConnectionError("no cluster\nmore")

    monkeypatch.setattr(engine.ray, "init", fail)
    with pytest.raises(UsageError, match=r"address = 'auto': no cluster$"):
        engine.run(search, TableConfig(), changed(address="auto"))
    # Tested by a connection: Ray itself would wait for many minutes.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"address = '{address}': Connection refused"):
            engine.run(search, TableConfig(), changed(address=address))


def test_workers_have_the_environment_of_the_configuration(tmp_path, local_ray, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere/else")
    search = build_search(tmp_path / "journal.jsonl", trials=1)
    engine.run(search, TableConfig(fault="environment", every=1), changed(workers=1))
    assert search.results[0].evaluation.error == "RuntimeError: 1 1 cpu /somewhere/else 0.0 -1"
