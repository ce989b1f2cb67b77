import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for engine_fixtures


@pytest.fixture(scope="session")
def local_ray():
    """One small Ray for all tests that need not start their own."""
    ray = pytest.importorskip("ray")
    import engine_fixtures

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(engine_fixtures)
    yield ray
    ray.cloudpickle.unregister_pickle_by_value(engine_fixtures)
    ray.shutdown()


@pytest.fixture
def reference(tmp_path):
    """Runs a search inline and gives its facts."""
    from engine_fixtures import TableConfig, build_search, facts

    from mnas.engines import inline
    from mnas.engines.config import EngineConfig

    def run(evaluator=None, **config):
        path = tmp_path / "reference.jsonl"
        search = build_search(path, **config)
        inline.run(search, evaluator or TableConfig(), EngineConfig(kind="inline"))
        return facts(path)

    return run
