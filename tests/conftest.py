"""Shared by all tests: strict promotion in JAX, a cache of their own, the `quick` mark."""

import os
import sys
from pathlib import Path

import pytest

# JAX reads both as it starts. Compiling takes most of the suite's time: a third less without LLVM's
# optimizations, and half of the rest without XLA's newer emitters of fused operations. CI also runs
# the tests of numerics as users compile (XLA_FLAGS= pytest tests/nn).
FAST_COMPILATION = "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
os.environ.setdefault("XLA_FLAGS", FAST_COMPILATION)

HERE = Path(__file__).parent
# The inner loop: tests without Ray, and next to no compiling. Seconds, all together.
QUICK = (
    *("architecture", "analysis", "loop", "search_spaces", "reports"),
    *("space", "test_layering.py", "test_reward.py", "test_errors.py", "test_evaluation.py"),
)
# Directories whose tests trace networks: per-channel arithmetic broadcasts [N, H, W, C] with [C].
TRACES_NETWORKS = (
    *("nn", "training", "data", "runtime", "export", "interchange", "preparation", "evaluators"),
    *("benchmark", "chaos", "experiments", "engines", "cli", "examples"),
    *("test_readme.py", "test_contributing.py", "test_docs.py"),
)
# Directories whose tests start Ray, pin cores or measure time: one after the other.
ONE_AT_A_TIME = ("engines", "preparation", "benchmark", "chaos")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the inner loop; say which must run in the same process of pytest-xdist."""
    for item in items:
        path = item.path.relative_to(HERE)
        if path.parts[0] in QUICK and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.quick)
        # Tests of a file share fixtures, which may have taken seconds to make.
        alone = path.parts[0] in ONE_AT_A_TIME or path.name == "test_prepare.py"
        item.add_marker(pytest.mark.xdist_group("machine" if alone else str(path)))


@pytest.fixture(autouse=True)
def _strict_promotion(request):
    """Raise where JAX would promote ranks or dtypes silently.

    `pytest.mark.promotes_dtypes` allows the latter, for modules in which optax or a reference does.
    """
    jax = sys.modules.get("jax")
    if jax is None or request.path.relative_to(HERE).parts[0] in TRACES_NETWORKS:
        yield
        return
    promotes = request.node.get_closest_marker("promotes_dtypes")
    dtypes = "standard" if promotes else "strict"
    with jax.numpy_dtype_promotion(dtypes), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Neither read nor write the user's cache of compiled programs; share one in this session."""
    base = tmp_path_factory.getbasetemp()
    in_worker = "PYTEST_XDIST_WORKER" in os.environ  # whose directory lies in the session's
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str((base.parent if in_worker else base) / "cache"))
        yield


@pytest.fixture
def no_cache():
    """Keep compiled programs in memory only."""
    from tests.caches import cache_in  # imports JAX

    with cache_in(None):
        yield


@pytest.fixture
def cache(tmp_path):
    """Keep compiled programs in an empty directory, which is returned."""
    from tests.caches import cache_in

    with cache_in(str(tmp_path)):
        yield tmp_path
