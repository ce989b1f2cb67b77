import dataclasses
import socket

import pytest

from mnas.engines.config import EngineConfig
from mnas.errors import UsageError
from mnas.loop.search import TooManyFailures
from tests.engines.evaluators import TableConfig, notes
from tests.engines.searches import build_search, facts

pytest.importorskip("ray")
from mnas.engines import ray as engine

RAY = EngineConfig(kind="ray", workers=2)


def changed(**changes):
    return dataclasses.replace(RAY, **changes)


def test_workers_stay_for_the_whole_search(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    engine.run(search, TableConfig(directory=str(tmp_path), seconds=0.1), RAY)
    assert len(notes(tmp_path, "builds")) == 2
    assert local_ray.is_initialized()  # it was not ours to shut down


def test_a_worker_lost_again_and_again_is_recorded(tmp_path, local_ray):
    evaluator = TableConfig(fault="exit", every=6, directory=str(tmp_path))
    search = build_search(tmp_path / "journal.jsonl", trials=12)
    engine.run(search, evaluator, changed(retries=1))
    evaluated = [r for r in search.results.values() if r.duplicate_of is None]
    lost = [r for r in evaluated if evaluator.faulty(r.trial.architecture)]
    assert lost
    for result in evaluated:
        error = result.evaluation.error
        assert error == ("worker lost: ActorDiedError" if result in lost else None)
        tries = notes(tmp_path, "attempts").count(result.trial.hash)
        assert tries == (2 if result in lost else 1)


def test_a_worker_lost_once_changes_nothing(tmp_path, reference, local_ray):
    path = tmp_path / "journal.jsonl"
    evaluator = TableConfig(fault="kill-once", every=6, directory=str(tmp_path))
    engine.run(build_search(path), evaluator, RAY)
    attempts = notes(tmp_path, "attempts")
    assert len(attempts) > len(set(attempts))
    assert facts(path) == reference()


def test_time_limit(tmp_path, local_ray):
    """Start-up, here longer than the limit, does not count."""
    evaluator = TableConfig(fault="slow", every=6, build_seconds=1.5)
    search = build_search(tmp_path / "journal.jsonl", trials=8)
    engine.run(search, evaluator, changed(time_limit_seconds=1.0))
    late = [r for r in search.results.values() if evaluator.faulty(r.trial.architecture)]
    assert late and search.done
    assert {r.evaluation.error for r in late} == {"time limit of 1 s exceeded"}
    assert all(r.duplicate_of is not None or 1 < r.evaluation.seconds < 30 for r in late)
    others = [r for r in search.results.values() if r not in late]
    assert others and not any(r.evaluation.error for r in others)


def test_too_many_failures_name_the_commonest_cause(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl", failed_batches=1)
    with pytest.raises(TooManyFailures, match=r"6 of the first 6 .* \(6 times\): ValueError: this"):
        engine.run(search, TableConfig(fault="raise", every=1), RAY)


def test_more_workers_than_ray_has(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match=r"workers = 3 with 1 threads.* 2 CPUs.*accepted: 1 to 2"):
        engine.run(search, TableConfig(), changed(workers=3))
    with pytest.raises(ValueError, match=r"0\.5 GPUs each.* accepted: 1 to 0|0 GPUs"):
        engine.run(search, TableConfig(), changed(gpus_per_worker=0.5))


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
def test_worker_count(resources, config, count):
    assert engine.worker_count(EngineConfig(**config), resources) == count


def test_an_evaluator_that_cannot_be_built(tmp_path, local_ray):
    search = build_search(tmp_path / "journal.jsonl")
    with pytest.raises(RuntimeError, match=r"Ray workers don't start: OSError: no images here"):
        engine.run(search, TableConfig(fault="build"), RAY)
    assert not search.results


def test_an_address_where_nobody_is(tmp_path, monkeypatch):
    search = build_search(tmp_path / "journal.jsonl")

    def refuse(**_):
        raise ConnectionError("nobody there\nmore")

    monkeypatch.setattr(engine.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(engine.ray, "init", refuse)
    with pytest.raises(UsageError, match=r"address = 'auto': nobody there$"):
        engine.run(search, TableConfig(), changed(address="auto"))
    # A port that nobody listens at is refused before Ray, which would wait for many minutes.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UsageError, match=f"address = '{address}': Connection refused"):
            engine.run(search, TableConfig(), changed(address=address))


def test_environment_of_the_children(tmp_path, local_ray, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/somewhere/else")
    search = build_search(tmp_path / "journal.jsonl", trials=1)
    engine.run(search, TableConfig(fault="environment", every=1), RAY)
    assert search.results[0].evaluation.error == "RuntimeError: 1 1 cpu /somewhere/else 0.0 -1"
