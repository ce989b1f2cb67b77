"""Imports against declared dependencies: what users install is what the package needs."""

import ast
import contextlib
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [Requirement(line) for line in PROJECT["dependencies"]]
BASE = {canonicalize_name(requirement.name) for requirement in DECLARED}

# Modules that import what the base installation lacks, and report it where it is missing.
OPTIONAL = {
    "mnas/data/hub.py": {"datasets", "pyarrow"},
    "mnas/data/hugging_face.py": {"pyarrow"},
    "mnas/data/streaming.py": {"absl", "grain"},
    "mnas/experiment/notebook.py": {"pandas"},
    "mnas/export/onnx.py": {"onnx"},
    "mnas/reports/notebook_progress.py": {"IPython"},
    "mnas/reports/page/plot.py": {"vl_convert"},
    "mnas/trackers/mlflow.py": {"mlflow"},
    "mnas/trackers/wandb.py": {"wandb"},
    "mnas/benchmark/contenders/inference_torch.py": {"torch"},
    "mnas/benchmark/contenders/torch_eager.py": {"torch"},
    "experiments/performance/cifar_peer.py": {"timm", "torch"},
}
# Distributions that come with a declared one and are released with it.
TOGETHER = {"jaxlib": "jax"}


def distributions() -> dict[str, set[str]]:
    """Return the installed distributions of every top-level module."""
    found = importlib.metadata.packages_distributions()
    return {module: set(map(canonicalize_name, names)) for module, names in found.items()}


def closure(requirements: list[Requirement]) -> set[str]:
    """Return the installed distributions that these bring along, extras only where named."""
    found: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), extra)
            if key in found:
                continue
            found.add(key)
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                waiting += [
                    needed
                    for needed in map(Requirement, importlib.metadata.requires(key[0]) or [])
                    if needed.marker is None or needed.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


def imported(path: Path) -> set[str]:
    """Return the top-level names that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_every_import_is_a_declared_dependency():
    known = distributions()
    ours = {"mnas", "controllers", "experiments", "search_spaces", "tests"}
    undeclared = []
    for top in ("mnas", "controllers", "search_spaces", "experiments"):
        for path in (ROOT / top).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            for module in imported(path) - sys.stdlib_module_names - ours:
                packages = {TOGETHER.get(p, p) for p in known.get(module, {module})}
                if not packages & BASE and module not in OPTIONAL.get(name, set()):
                    undeclared.append(f"{name}: {module}")
    assert not undeclared


def test_optional_imports_are_still_made():
    for name, modules in OPTIONAL.items():
        assert modules & imported(ROOT / name), name


def test_tested_versions_list_every_declared_dependency():
    for file in ("constraints.txt", "constraints-lowest.txt"):
        lines = (ROOT / file).read_text().splitlines()
        listed = {canonicalize_name(line.split("==")[0]) for line in lines}
        assert listed >= BASE, file


def test_jax_for_gpus_is_the_jax_of_the_base_installation():
    (gpu,) = map(Requirement, PROJECT["optional-dependencies"]["cuda"])
    (base,) = (requirement for requirement in DECLARED if requirement.name == "jax")
    assert (gpu.name, gpu.specifier) == ("jax", base.specifier)
    assert gpu.extras <= set(importlib.metadata.metadata("jax").get_all("Provides-Extra"))


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
from mnas.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("kind", "status"),
    [("json", 0), ("tf", 0), ("timm", 0), ("safetensors", 0), ("stablehlo", 0), ("onnx", 2)],
)
def test_exports_need_the_base_dependencies_only(kind, status, tmp_path):
    installed = closure(DECLARED)
    blocked = {m for m, names in distributions().items() if not names & installed} - {"mnas"}
    assert {"onnx", "pytest"} <= blocked
    flags = ["--random-weights", "0"] if kind in ("safetensors", "stablehlo", "onnx") else []
    out = tmp_path / "network"
    program = [sys.executable, "-c", BLOCKED.format(blocked=blocked)]
    network = ["r1_k3_s11_e1_i8_o8", "--resolution", "8"]
    done = subprocess.run(
        [*program, "export", *network, "--format", kind, "--out", str(out), *flags],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == status, done.stderr
    assert out.exists() == (status == 0)
    if status:
        assert done.stderr.count("\n") == 1 and "pip install 'mnas[onnx]'" in done.stderr
