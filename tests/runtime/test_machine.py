"""Description of the machine."""

import json
import platform

from mnas.runtime.machine import available_bytes, machine, package_versions


def test_description_is_json_with_the_number_of_cores():
    description = machine([0, 3])
    assert json.loads(json.dumps(description)) == description
    assert description["cores"] == 2
    assert description["processor"]


def test_available_memory_is_positive():
    assert 1 << 20 < available_bytes() <= 1 << 62


def test_versions_are_those_of_python_and_the_packages():
    python, *packages = package_versions()
    assert python == platform.python_version()
    assert [line.split()[0] for line in packages[:4]] == ["jax", "jaxlib", "flax", "optax"]
