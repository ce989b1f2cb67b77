"""Files of other people are data: no code of theirs is run, and no markup.

Ruff's rules (S) find the rest; unpickling is allowed by file in pyproject.toml (S301).
"""

import ast
from pathlib import Path

import pytest

from mnas.evaluators.surrogate_fits import predict
from mnas.loop.records import UpdateRecord
from mnas.reports.page.document import SCRIPTS
from mnas.reports.run_report import write_report
from tests import runs

ROOT = Path(__file__).parents[1]
SOURCES = [
    file
    for folder in ("mnas", "controllers", "search_spaces", "experiments")
    for file in sorted((ROOT / folder).rglob("*.py"))
]
# Formats that hold code; `pickle` itself is left to ruff.
UNSAFE_MODULES = {
    *("cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "pandas", "shelve", "yaml"),
}
ALLOWED = {
    # Reads by a subclass of yaml.SafeLoader; tests/cli/test_config_file.py has tags that would run.
    "mnas/cli/config_file.py": ["yaml"],
    # Makes a data frame, and reads nothing.
    "mnas/experiment/notebook.py": ["pandas"],
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


def unsafe(tree: ast.AST) -> list[str]:
    """Return what runs code from data, in the order of the source."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        found += [name for name in names if name.split(".")[0] in UNSAFE_MODULES]
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in UNSAFE_CALLS:
            found.append(node.func.id)
        called = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if options.get("allow_pickle", "False") != "False":
            found.append("allow_pickle")
        if called == "torch.load" and options.get("weights_only") != "True":
            found.append(called)
    return found


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import joblib", ["joblib"]),
        ("from yaml import load", ["yaml"]),
        ("np.load(path, allow_pickle=True)", ["allow_pickle"]),
        ("np.load(path, allow_pickle=allowed)", ["allow_pickle"]),
        ("eval(text)", ["eval"]),
        ("torch.load(path)", ["torch.load"]),
        ("np.load(path); model.eval(); re.compile(text)", []),
        ("np.load(path, allow_pickle=False); torch.load(path, weights_only=True)", []),
    ],
)
def test_finds_what_runs_code(source, expected):
    assert unsafe(ast.parse(source)) == expected


def test_nothing_runs_code_from_data():
    assert len(SOURCES) > 100
    found = {file.relative_to(ROOT): unsafe(ast.parse(file.read_text("utf-8"))) for file in SOURCES}
    assert {str(file): names for file, names in found.items() if names} == ALLOWED


def test_names_and_errors_in_a_report_are_text(tmp_path):
    hostile = '<script>alert("x")</script>&$\\frac{$ [/b] \x1b[31m'
    records = [
        runs.proposals([[0, 1], [1, 0]]),
        runs.result(0),
        runs.result(1, error=hostile, accuracy=None),
        UpdateRecord(batch=0, mean_reward=0.5, controller={hostile: 1.0}),
    ]
    named = [tmp_path / name for name in ("a<b>&$x", "$b$")]
    for directory in named:
        runs.write_run(directory, records, first=runs.head(name=hostile))
    write_report(named, tmp_path / "report.html", predict)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert text.count("<script") == len(SCRIPTS) + 2  # also the notices and the data
    assert '<script>alert("x")' not in text
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;" in text
