"""The user's cache of compiled programs is neither read nor written: no test may depend on it."""

import os

import pytest

os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # which JAX reads as it is imported


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
