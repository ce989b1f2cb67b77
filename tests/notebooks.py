"""Notebooks run by Jupyter as readers run them: in a kernel of their own, cell after cell."""

import importlib.util
from pathlib import Path
from types import ModuleType

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]


def script() -> ModuleType:
    """Return `docs/scripts/notebooks.py`, which makes the tutorials' notebooks."""
    path = ROOT / "docs" / "scripts" / "notebooks.py"
    spec = importlib.util.spec_from_file_location("docs_scripts_notebooks", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def execute(
    notebook: nbformat.NotebookNode, directory: Path, patch: pytest.MonkeyPatch
) -> nbformat.NotebookNode:
    """Return the notebook with its outputs, executed in a directory.

    The user's kernels, settings and history are left alone. Raises CellExecutionError where a cell
    fails.
    """
    jupyter = directory.parent / f"{directory.name}-jupyter"
    for place in ("IPYTHONDIR", *(f"JUPYTER_{kind}_DIR" for kind in ("CONFIG", "DATA", "RUNTIME"))):
        patch.setenv(place, str(jupyter / place))
    settings = {"timeout": 600, "startup_timeout": 300, "kernel_name": "python3"}
    resources = {"metadata": {"path": str(directory)}}
    return nbclient.NotebookClient(notebook, resources=resources, **settings).execute()


def streams(notebook: nbformat.NotebookNode) -> dict[str, str]:
    """Return what an executed notebook printed, by `stdout` and `stderr`."""
    printed = {"stdout": "", "stderr": ""}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                printed[output.name] += output.text
    return printed
