"""Profiles of hypothesis: the default suite takes seconds, `--hypothesis-profile fuzz` an hour.

    pytest tests/fuzz -n 0 --hypothesis-profile fuzz

The default one tries the same inputs in every run; the other one new inputs, which it remembers in
`.hypothesis` when they fail.
"""

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Limits of time and memory are those of `tests.fuzz.contract`; a file is overwritten by each input.
_COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "print_blob": False,
}
settings.register_profile("fuzz", max_examples=10_000, **_COMMON)
settings.register_profile("short", max_examples=250, derandomize=True, database=None, **_COMMON)
if not any(argument.startswith("--hypothesis-profile") for argument in sys.argv):
    settings.load_profile("short")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let failures show large inputs."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings("ignore:Generating overly large repr"))
