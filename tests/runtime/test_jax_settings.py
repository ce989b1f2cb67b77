"""Settings of JAX: the user's do not reach our programs, and are the user's again afterwards."""

import json
import os
import subprocess
import sys
import threading

import jax
import jax.numpy as jnp
import pytest

from mnas.runtime import jax_settings
from mnas.runtime.jax_settings import DEFAULTS, default_settings, shell_variables

# Settings that change results or raise, where JAX computes with the default ones.
USERS = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_random_seed_offset": 3,
    "jax_default_matmul_precision": "bfloat16",
    "jax_transfer_guard": "disallow",
    "jax_numpy_rank_promotion": "raise",
    "jax_disable_jit": True,
}
VARIABLES = {
    "JAX_ENABLE_X64": "1",
    "JAX_RANDOM_SEED_OFFSET": "3",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_A_SETTING_OF_A_LATER_VERSION": "1",
    "FLAX_LAZY_RNG": "no",
}
KEPT = {
    "JAX_PLATFORMS": "cpu",
    "JAX_COMPILATION_CACHE_DIR": "/cache",
    "JAX_LOG_COMPILES": "1",
    "JAX_TRACEBACK_FILTERING": "off",
    "XLA_FLAGS": "",
}


def values() -> dict:
    """Return this thread's settings, and what JAX computes with them."""
    with_key = jax.random.normal(jax.random.key(0), (2,)) + jnp.ones(())
    return {"dtype": str(with_key.dtype), "numbers": with_key.tolist()}


def in_thread(function) -> dict:
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def users():
    before = in_thread(lambda: {name: getattr(jax.config, name) for name in USERS})
    for name, value in USERS.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    for guard in ("device_to_device", "device_to_host", "host_to_device"):
        jax.config.update(f"jax_transfer_guard_{guard}", None)


@pytest.fixture(scope="module")
def by_default():
    return values()


def test_results_are_those_of_the_defaults(by_default, users):
    with default_settings():
        assert values() == by_default
    with default_settings(other_threads=True):
        assert values() == in_thread(values) == by_default


def test_the_users_settings_apply_again_afterwards(by_default, users):
    def current():
        return {name: getattr(jax.config, name) for name in USERS}

    before = current()
    assert before == USERS
    with jax.enable_x64(False), default_settings(other_threads=True):
        pass
    assert current() == in_thread(current) == USERS


def test_variables_of_the_shell_are_removed_within_the_context(monkeypatch):
    for name, value in {**VARIABLES, **KEPT}.items():
        monkeypatch.setenv(name, value)
    assert set(shell_variables()) == set(VARIABLES)
    with jax_settings.without_shell_variables():
        assert not set(VARIABLES) & set(os.environ) and set(KEPT) <= set(os.environ)
    assert set(VARIABLES) <= set(os.environ)


PROGRAM = """
import json, sys
from mnas.runtime.jax_settings import DEFAULTS, reset_process
if "imported" in sys.argv:
    import jax
if "reset" in sys.argv:
    reset_process()
import jax
values = {name: getattr(jax.config, name) for name in DEFAULTS if hasattr(jax.config, name)}
print(json.dumps({name: getattr(value, "value", value) for name, value in values.items()}))
"""


def settings_of_process(*arguments: str, **environment: str) -> dict:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_a_new_process_has_the_defaults_whatever_its_environment():
    defaults = settings_of_process()
    # A guard that is not set allows everything.
    assert {name: value or DEFAULTS[name] for name, value in defaults.items()} == {
        name: DEFAULTS[name] for name in defaults
    }
    allows = {name: DEFAULTS[name] if "guard" in name else defaults[name] for name in defaults}
    assert settings_of_process("reset", **VARIABLES) == defaults
    assert settings_of_process("imported", "reset", **VARIABLES) in (defaults, allows)
