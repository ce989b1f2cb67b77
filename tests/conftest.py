"""The user's cache of compiled programs is neither read nor written: no test may depend on it."""

import os

import pytest

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # which JAX reads as it is imported


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
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
