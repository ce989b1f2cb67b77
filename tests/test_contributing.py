"""The plug-in of CONTRIBUTING.md: its modules import, and pass the conformance checks it shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
MODULES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture
def plug_in(tmp_path):
    """Write the plug-in into a directory of its own and return the directory."""
    for name, source in MODULES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(source)
    return tmp_path


def test_shows_a_space_a_controller_an_evaluator_and_their_tests():
    assert set(MODULES) == {
        "my_nas/space.py",
        "my_nas/controller.py",
        "my_nas/evaluator.py",
        "tests/test_conformance.py",
    }


def test_plug_in_passes_its_conformance_tests(plug_in):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    result = subprocess.run(command, cwd=plug_in, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_entry_points_name_objects_that_exist(plug_in):
    entries = re.findall(r'= "my_nas\.(\w+):(\w+)"', TEXT)
    assert len(entries) == 3
    for module, name in entries:
        assert f"class {name}" in (plug_in / "my_nas" / f"{module}.py").read_text()


def test_every_package_is_in_the_layout():
    packages = {path.parent.name for path in (ROOT / "mnas").glob("*/__init__.py")}
    packages |= {"search_spaces", "controllers", "experiments"}
    layout = TEXT[TEXT.index("## Layout") : TEXT.index("## Conventions")]
    assert not {name for name in packages if f"{name}/`" not in layout}


@pytest.mark.parametrize("path", ["README.md", "docs/results/README.md", ".ci/types", ".ci/run"])
def test_files_it_relies_on_exist(path):
    assert (ROOT / path).is_file()
