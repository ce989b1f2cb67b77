"""Imports run one way: contracts below, packages above them, the plural packages, the command."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
INSTANCES = ("search_spaces", "controllers", "experiments")
CONTRACTS = {"space", "controller", "evaluation", "reward"}
BASE = {"architecture", "errors", "files"}

# Each package or contract with what it may import besides itself.
MAY_IMPORT = {
    "errors": set(),
    "runtime": set(),
    "files": {"errors"},
    "architecture": {"errors", "files"},
    "space": {"architecture", "errors"},
    "controller": {"space"},
    "evaluation": {"architecture", "errors"},
    "reward": {"errors"},
    "nn": BASE,
    "data": BASE | {"runtime"},
    "training": BASE | {"data", "evaluation", "nn", "runtime"},
    "evaluators": BASE | {"data", "evaluation", "nn", "runtime", "space", "training"},
    "loop": BASE | CONTRACTS | {"runtime"},
    "engines": BASE | CONTRACTS | {"loop", "runtime"},
    "experiment": BASE | CONTRACTS | {"engines", "loop", "preparation", "runtime"},
    "preparation": BASE | CONTRACTS | {"engines", "evaluators", "nn", "runtime", "training"},
    "trackers": {"experiment", "loop"},
    "analysis": BASE | CONTRACTS | {"experiment", "loop"},
    "reports": BASE | CONTRACTS | {"analysis", "experiment", "loop"},
    "export": BASE | {"nn"},
    "testing": BASE | CONTRACTS | {"loop"},
    "benchmark": BASE | {"data", "engines", "nn", "runtime", "space", "training"},
    "search_spaces": BASE | {"space"},
    "controllers": {"controller", "errors", "loop", "space"},
}
# The public interface, the command and the experiments may use everything below them.
TOPMOST = {"mnas", "api", "cli", "__main__", "experiments", "search"}

ARRAYS = {"jax", "jaxlib", "flax", "optax"}
NO_JAX = (
    *("mnas", "mnas.space", "mnas.evaluation", "mnas.reward", "mnas.errors", "mnas.files"),
    *("mnas.training.config", "mnas.training.transfer", "mnas.training.recipes"),
    *("mnas.loop.config", "mnas.loop.records", "mnas.loop.selection"),
    *("mnas.engines.config", "mnas.experiment.settings", "mnas.experiment.registry"),
    *("mnas.evaluators.surrogate", "mnas.analysis.comparison", "mnas.analysis.rescoring"),
    *("mnas.export.text", "mnas.search_spaces", "mnas.architecture.architecture"),
    *("mnas.architecture.spec", "mnas.architecture.scaling", "mnas.architecture.signatures"),
    *("mnas.architecture.sources", "mnas.reports.run_report"),
)


def sources() -> dict[str, Path]:
    """Return every module of the project by the name it is imported by."""
    found = {"search": ROOT / "search.py"}
    for top in ("mnas", *INSTANCES):
        for file in (ROOT / top).rglob("*.py"):
            parts = file.relative_to(ROOT).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join(parts if top == "mnas" else ("mnas", *parts))] = file
    return found


MODULES = sources()


def imported_names(module: str) -> set[str]:
    """Return dotted names that a module imports anywhere in it, also inside functions.

    `from a import b` gives `a.b` where that is a module of ours, else `a`. The public names of
    `mnas` itself are imported when used; their types, for type checkers, don't count.
    """
    found = set()
    tree = ast.parse(MODULES[module].read_text())
    for node in tree.body if module == "mnas" else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import in line {node.lineno}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {word.value for word in node.args if isinstance(word, ast.Constant)}
    return found


def imports(module: str) -> set[str]:
    """Return the modules of ours that a module imports."""
    return {name for name in imported_names(module) if name in MODULES} - {module}


def package(module: str) -> str:
    """Return the first level below `mnas`, by which MAY_IMPORT is ordered."""
    parts = module.split(".")
    return parts[0] if len(parts) == 1 else parts[1]


def test_finds_modules_and_their_imports():
    assert {"mnas", "mnas.loop.search", "mnas.controllers.dyna", "search"} <= set(MODULES)
    assert {"mnas.space", "jax"} <= imported_names("mnas.controller")
    assert "mnas.loop.group" in imports("mnas.engines.inline")
    assert package("mnas.controllers.core.policy") == "controllers"


def test_every_package_has_a_row():
    assert {package(module) for module in MODULES} - TOPMOST == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_package_imports_only_what_it_may(name):
    allowed = MAY_IMPORT[name] | {name}
    wrong = {
        module: sorted(other for other in imports(module) if package(other) not in allowed)
        for module in MODULES
        if package(module) == name
    }
    assert not {module: others for module, others in wrong.items() if others}


def test_only_the_script_imports_the_command():
    assert {m for m in MODULES if "mnas.__main__" in imports(m)} == {"search"}


def test_table_of_packages_has_no_cycle():
    waiting = {name: set(below) for name, below in MAY_IMPORT.items()}
    while waiting:
        ready = {name for name, below in waiting.items() if not below & set(waiting)}
        assert ready, f"packages that import each other: {sorted(waiting)}"
        waiting = {name: below for name, below in waiting.items() if name not in ready}


def test_modules_import_each_other_without_cycles():
    waiting = {module: imports(module) for module in MODULES}
    while waiting:
        ready = {module for module, below in waiting.items() if not below & set(waiting)}
        assert ready, f"modules in cycles, or above one: {sorted(waiting)}"
        waiting = {module: below for module, below in waiting.items() if module not in ready}


@pytest.mark.parametrize("top", INSTANCES)
def test_plural_packages_are_imported_by_their_installed_name(top):
    wrong = [m for m in MODULES if any(n.split(".")[0] == top for n in imported_names(m))]
    assert not wrong


def test_only_contracts_lie_flat():
    flat = {path.stem for path in (ROOT / "mnas").glob("*.py")}
    assert flat == CONTRACTS | {"files", "errors", "__init__", "__main__"}


def test_every_package_states_its_contract():
    packages = [path for path in MODULES.values() if path.name == "__init__.py"]
    undocumented = [str(p) for p in packages if not ast.get_docstring(ast.parse(p.read_text()))]
    assert packages and not undocumented


def test_files_and_functions_are_short():
    long = []
    for module, path in MODULES.items():
        text = path.read_text()
        if text.count("\n") > 400:
            long.append(module)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno > 80:
                long.append(f"{module}.{node.name}")
    assert not long


def test_ray_is_imported_by_its_engines_only():
    users = {m for m in MODULES if any(n.split(".")[0] == "ray" for n in imported_names(m))}
    allowed = ("mnas.engines.ray", "mnas.engines.tune")
    assert "mnas.engines.ray" in users
    assert all(module.startswith(allowed) for module in users), users


def loaded_by(program: str) -> set[str]:
    """Return the top-level names that a fresh interpreter has loaded after `program`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        **{"env": {**os.environ, "PYTHONPATH": str(ROOT)}, "cwd": ROOT},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_describing_networks_and_experiments_loads_no_jax():
    program = f"""
        import importlib, sys
        for module in {NO_JAX}:
            importlib.import_module(module)
            assert not {ARRAYS | {"ray"}} & set(sys.modules), module
    """
    loaded_by(textwrap.dedent(program))


def test_package_and_command_load_nothing_heavy():
    assert not loaded_by("import mnas, mnas.__main__") & (ARRAYS | {"ray", "numpy", "matplotlib"})


def test_ray_need_not_be_installed():
    modules = "mnas.engines.inline, mnas.engines.drive, mnas.loop.search, mnas.cli.search"
    loaded_by(f"import sys; sys.modules['ray'] = None; import {modules}")
