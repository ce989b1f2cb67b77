"""What the README shows is run as it stands."""

import re
import shlex
from pathlib import Path

import pytest

from mnas import __main__ as mnas_command
from mnas.cli import prepare, study
from mnas.cli.arguments import parse
from mnas.cli.named_experiment import ExperimentArguments, exchange
from tests.registered import EXPERIMENTS, STUDIES

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = re.findall(r"^\$ (.*?)(?:\s+#.*)?$", README, re.MULTILINE)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert "Architecture(blocks=" in capsys.readouterr().out
    assert len(example.splitlines()) < 60  # a space, an evaluator and a controller of one's own


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python search.py ")])
def test_flags_of_search_commands_exist(command):
    words = shlex.split(command)[2:]
    if words[0] in ("--list", "--resume") or "--help" in words:
        return
    if words[0] == "--latency-table":
        experiment = EXPERIMENTS[words[2]]
        arguments = prepare.LatencyArguments(experiment)
        parse(prepare.LatencyArguments, "search.py", words[3:], arguments)
        return
    name = "digits" if words[0].startswith("-") else words.pop(0)
    if name in STUDIES:
        parse(study.StudyArguments, "search.py", words, study.StudyArguments(1, 1, 1))
        return
    experiment, flags = exchange(EXPERIMENTS[name], words)
    parse(ExperimentArguments, "search.py", flags, ExperimentArguments(experiment))


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("mnas ")])
def test_verbs_of_mnas_commands_exist(command):
    assert shlex.split(command)[1] in mnas_command.VERBS


def test_the_readme_opens_with_the_two_commands():
    assert COMMANDS[:2] == [
        "pip install -e . && python search.py",
        "pip install -e '.[test]' && pytest",
    ]
