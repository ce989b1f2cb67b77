"""What all tests share: a cache of their own, the `quick` mark."""

import os
from pathlib import Path

import pytest

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # which JAX reads as it is imported

HERE = Path(__file__).parent
# The inner loop: tests without Ray, and next to no compiling. Seconds, all together.
QUICK = (
    *("architecture", "analysis", "loop", "search_spaces", "reports"),
    *("test_layering.py", "test_reward.py", "test_space.py", "test_public_interface.py"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the inner loop."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in QUICK and not item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.quick)


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Neither read nor write the user's cache of compiled programs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
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
