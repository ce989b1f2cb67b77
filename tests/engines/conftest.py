import contextlib

import pytest


@pytest.fixture(scope="session")
def _session_ray():
    ray = pytest.importorskip("ray")
    # Workers import `tests.engines.evaluators` from the driver's sys.path.
    from mnas.engines.ray_directory import local_directory

    options = {"include_dashboard": False, "log_to_driver": False, "_temp_dir": local_directory()}
    ray.init(address="local", num_cpus=2, **options)
    yield ray
    ray.shutdown()


@pytest.fixture
def local_ray(_session_ray):
    """Ray on this machine with two CPUs, for all tests that need not start their own."""
    assert _session_ray.is_initialized()  # an engine would silently start another one
    yield _session_ray
    assert _session_ray.is_initialized()


@pytest.fixture
def unconnected(monkeypatch):
    """Ray as it is to a process without a connection; the one of other tests stays.

    A list that gets True for each call of `ray.shutdown`.
    """
    ray = pytest.importorskip("ray")
    from mnas.engines import ray_connection

    closed: list[bool] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: closed.append(True))
    # At its end, the watchdog ends every process of Ray that this process has started.
    monkeypatch.setattr(ray_connection, "_watchdog", contextlib.nullcontext)
    return closed


@pytest.fixture(autouse=True)
def _close_journals():
    """Close the journals of the test's searches."""
    from tests.engines.searches import OPEN_JOURNALS

    yield
    while OPEN_JOURNALS:
        OPEN_JOURNALS.pop().close()


@pytest.fixture
def reference(tmp_path):
    """Function that runs a search on the inline engine and returns its facts.

    Its best networks are measured again where the search is configured so.
    """
    from mnas.engines import inline
    from mnas.engines.config import EngineConfig
    from mnas.loop.remeasuring import Remeasuring
    from tests.engines.evaluators import TableConfig
    from tests.engines.searches import build_search, facts

    def run(evaluator=None, **config):
        path = tmp_path / "reference.jsonl"
        search = build_search(path, **config)
        source = Remeasuring(search)
        inline.run(source, evaluator or TableConfig(), EngineConfig(kind="inline"))
        return facts(path)

    return run
