"""Imports run one way: mnas <- search_spaces, controllers <- experiments <- search.py."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("mnas", "search_spaces", "controllers", "experiments", "search")
ARRAYS = {"jax", "jaxlib", "flax", "optax"}
NO_JAX = (
    *(
        "mnas.architecture.architecture",
        "mnas.space",
        "mnas.architecture.cost",
        "mnas.reward",
        "mnas.architecture.scaling",
    ),
    *(
        "mnas.analysis.comparison",
        "mnas.analysis.rescoring",
        "mnas.architecture.spec",
        "mnas.evaluation",
        "mnas.evaluators.surrogate",
    ),
    *(
        "mnas.architecture.block",
        "mnas.architecture.block_strings",
        "mnas.architecture.published",
        "mnas.loop.selection",
    ),
    "mnas.export.text",
    "search_spaces",
)


def sources() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    files = [p for top in OURS for p in (ROOT / top).rglob("*.py")] + [ROOT / "search.py"]
    found = {}
    for file in files:
        if file.is_file():
            parts = file.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


MODULES = sources()


def imports(module: str) -> set[str]:
    """Dotted names that a module imports anywhere in it, also inside functions.

    `from a import b` counts as `a` and as `a.b`, which may be a module.
    """
    found = set()
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *base.split(".")]).rstrip(".")
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def tops(module: str) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


def inside(package: str) -> list[str]:
    return [name for name in MODULES if name.split(".")[0] == package]


def reached(module: str) -> set[str]:
    """Modules of ours that importing `module` imports, their packages too."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in seen:
            seen.add(name)
            waiting += imports(name)
            waiting.append(name.rpartition(".")[0])
    return seen


def test_the_walk_sees_what_there_is():
    assert {"mnas", "mnas.loop.search", "mnas.engines.ray", "mnas.search_spaces.mnasnet"} <= set(
        MODULES
    )
    assert {"jax", "mnas.space", "mnas.space.Space"} <= imports("mnas.controller")
    assert {"mnas.space", "mnas.architecture.architecture"} <= reached("mnas.controller")


@pytest.mark.parametrize(
    "package, above",
    [
        ("mnas", {"search_spaces", "controllers", "experiments", "search"}),
        ("search_spaces", {"controllers", "experiments", "search"}),
        ("controllers", {"search_spaces", "experiments", "search"}),
        ("experiments", {"search"}),
    ],
)
def test_imports_run_one_way(package, above):
    wrong = {module: sorted(tops(module) & above) for module in inside(package)}
    assert not {module: names for module, names in wrong.items() if names}


@pytest.mark.parametrize("module", [module for module in NO_JAX if module in MODULES])
def test_describing_an_architecture_needs_no_jax(module):
    wrong = {name: sorted(tops(name) & ARRAYS) for name in reached(module)}
    assert not {name: libraries for name, libraries in wrong.items() if libraries}


def test_ray_is_imported_by_its_engines_only():
    users = {module for module in MODULES if tops(module) & {"ray"}}
    allowed = ("mnas.engines.ray", "mnas.engines.tune", "mnas.engines.tune_searcher")
    assert "mnas.engines.ray" in users
    assert all(module.startswith(allowed) for module in users), users


def python(program: str) -> str:
    """Standard output of a fresh interpreter at the root of the project."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("module", [m for m in (*NO_JAX, "mnas.__main__") if m in MODULES])
def test_no_jax_is_loaded(module):
    loaded = python(f"import sys, {module}; print(*sys.modules)").split()
    assert module in loaded
    assert not {name.split(".")[0] for name in loaded} & (ARRAYS | {"ray"})


@pytest.mark.parametrize(
    "module", ["mnas", "mnas.engines.inline", "mnas.loop.search", "mnas.experiment.settings"]
)
def test_ray_need_not_be_installed(module):
    python(f"import sys; sys.modules['ray'] = None; import {module}")


def test_importing_the_package_loads_nothing_heavy():
    loaded = python("import sys, mnas; print(*sys.modules)").split()
    assert not {name.split(".")[0] for name in loaded} & (ARRAYS | {"ray", "numpy"})
