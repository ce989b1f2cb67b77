"""A search in a process whose user has settings of JAX: the same results, the settings kept."""

import concurrent.futures
import dataclasses

import jax
import pytest

import mnas
from mnas.controllers import Dyna
from mnas.experiment import run as runs
from mnas.loop.config import SearchConfig
from tests.registered import EXPERIMENTS

USERS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_numpy_rank_promotion": "raise",
    "jax_debug_nans": True,
}
SMALL = dataclasses.replace(
    EXPERIMENTS["b0-imagenet"], controller=Dyna(members=2), search=SearchConfig(trials=12, batch=4)
)


@pytest.fixture
def results(tmp_path):
    """Function that runs the search and returns what it found."""

    def search(name: str) -> list:
        runs._built.cache_clear()  # else the controller of another process's settings
        run = mnas.search(SMALL, out=tmp_path / name)
        return [(result.hash, result.reward) for result in run.results]

    return search


def test_results_do_not_depend_on_them_and_they_are_kept(results):
    expected = results("default")
    # Those of the process: this thread's are the suite's strict ones.
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        before = thread.submit(lambda: {name: getattr(jax.config, name) for name in USERS}).result()
    try:
        for name, value in USERS.items():
            jax.config.update(name, value)
        assert results("users") == expected
        assert {name: getattr(jax.config, name) for name in USERS} == USERS
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
